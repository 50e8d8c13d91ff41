//go:build linux

package spool

import "path/filepath"

// askIndex believes the index once where nobody else knows: a row is written
// behind its commit, so it proves that the object was acknowledged, and which one
// it was (SPOOL-12). One that has no file, and that no row of the journal let go,
// has vanished from this disk, or its file no longer says what it was (P1, P14).
//
// It proves something only of numbers that the journal says were given away, and
// while the journal knows what was let go. A damaged one does not; and when it has reached its bound, rows of objects older than the
// oldest that it remembers prove nothing either, however old the index is.
func (r *recovery) askIndex() error {
	fs, ok := r.s.fs.(*osFS)
	if !ok || !r.book.played || r.book.doubted {
		return nil
	}
	x := r.s.newIndex(fs)
	err := probeIndex(r.ctx, x.path)
	if r.s.probed = &err; err != nil {
		return r.ctx.Err()
	}
	rows, err := x.known()
	if err != nil {
		return nil // openIndex tells it
	}
	known, oldest := r.letGo()
	for _, o := range r.found {
		known[o.seq] = true
	}
	for _, w := range rows {
		if !known[w.seq] && w.seq >= oldest && w.seq < r.book.standing.next && r.book.facts[w.seq] == nil {
			r.book.facts[w.seq] = &facts{id: w.id}
		}
	}
	return nil
}

// letGo is what the journal remembers of that, and the lowest number that it would
// remember. Numbers begin with 1.
func (r *recovery) letGo() (gone map[uint64]bool, oldest uint64) {
	gone = map[uint64]bool{}
	for _, t := range r.book.tombs {
		gone[t.seq] = true
	}
	if n := len(r.book.tombs); n > 0 && n >= r.s.cfg.MaxTombstones {
		oldest = r.book.tombs[0].seq
	}
	return gone, oldest
}

func (s *Spool) newIndex(fs *osFS) *index {
	return &index{path: filepath.Join(fs.dir, indexName), rows: s.keys.rows(), log: s.cfg.Logger.Info}
}

// known lists the rows, without Meta.
func (x *index) known() (rows []row, err error) {
	if err := x.open(); err != nil {
		return nil, err
	}
	defer x.close()
	err = x.each(func(_ []byte, r row) { rows = append(rows, row{seq: r.seq, id: r.id}) })
	return rows, err
}
