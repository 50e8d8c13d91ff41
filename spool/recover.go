package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Recovery is what Open found.
type Recovery struct {
	Objects      int           // listed now
	Proved       int           // of which the content was read and compared as well
	Rewritten    int           // of which were copied to new files, because a sync had failed
	Quarantined  []string      // files without a matching seal, moved to the quarantine folder
	Unfinished   int           // files in the quarantine folder that a power cut left; see Stats
	SetAside     int           // other files in the quarantine folder, also those of earlier starts; see Stats
	Missing      int           // objects that journal or index know and the disk does not, or of which it gives no file; see Stats
	Returned     int           // files that were set aside or taken for damaged, and are whole: back in their place
	Foreign      int           // names among the objects' that are of no object; left alone
	Partial      int           // unfinished files removed; none of them was ever acknowledged
	Undone       int           // files of forgotten objects unlinked again
	JournalTorn  int64         // bytes of an unfinished record at the journal's end
	JournalHoles int           // damaged places in the journal
	Duration     time.Duration // by Config.Now
}

// found is a file in the object directories that is a whole container.
type found struct {
	seq uint64
	c   *container
}

// damagedFile is one that is none.
type damagedFile struct {
	seq uint64
	why error
}

// recovery is the state of one run. It is idempotent: killed anywhere and run
// again it ends the same (SPOOL-15). It deletes only what cannot be an
// acknowledged object: names in tmp, and files whose forgetting is in the
// journal and in its new segment (SPOOL-16).
type recovery struct {
	s       *Spool
	ctx     context.Context
	book    *book
	suspect bool // a sync failed since the last recovery
	found   []found
	aside   []damagedFile
	unread  map[uint64]error // files that cannot be opened, or not be set aside
	empty   []string         // directories without files
	foreign []string         // names that no object of ours has
	lost    []lost
	undone  []string // files of forgotten objects
	spare   []string // files of which a proved copy is in its place
	tomb    map[uint64]ID
	healed  map[uint64]bool // damaged copies that are to be unlinked, whatever is in them
	again   map[uint64]bool // good copies of what was counted as received before
	damage  map[ID]bool     // of which a damaged copy is known
	maxSeq  uint64
	rep     *Recovery
}

// recover runs the steps in their order. Nothing that it found is listed,
// leased, or used to answer a duplicate before the last step has succeeded: a
// whole file may be only in the page cache (D-S5).
func (s *Spool) recover(ctx context.Context) error {
	started := s.cfg.Now()
	r := &recovery{s: s, ctx: ctx, rep: &s.report}
	steps := []struct {
		what string
		do   func() error
	}{
		{"compare keys", func() error { return checkJournalKey(s.fs, s.keys) }},
		{"make directories", r.layout},
		{"read journal", r.readJournal},
		{"read objects", r.scan},
		{"ask the index", r.askIndex},
		{"remove partial objects", r.clearPartial}, // makes room for what follows
		{"set damaged objects aside", r.tidy},
		{"look at damaged objects again", r.lookAgain},
		{"rewrite unproved objects", r.rewrite},
		{"find lost objects", r.findLost},
		{"begin journal", r.beginJournal},
		{"unlink forgotten objects", r.unlinkForgotten},
		{"sync file system", r.syncAll},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			if errors.Is(err, errSync) || !notOurs(err) && !noSpace(err) && !starved(err) && ctx.Err() == nil {
				s.suspect()
			}
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	s.report.Duration = s.cfg.Now().Sub(started)
	s.cfg.Logger.Info("spool recovered", "objects", s.report.Objects, "proved", s.report.Proved, "rewritten", s.report.Rewritten,
		"set_aside", s.report.SetAside, "missing", s.report.Missing, "returned", s.report.Returned, "journal_holes", s.report.JournalHoles)
	return nil
}

// layout makes the directories, each durable in its parent before it is used
// (SPOOL-3). After a failed sync the empty ones are made anew: that of their names may
// have been the one that failed, and is not believed the second time (SPOOL-4). None
// was used if so, because nothing goes on behind that sync.
func (r *recovery) layout() error {
	if err := r.findMarker(); err != nil {
		return err
	}
	r.s.findBallast()
	for _, dir := range []string{objectsDir, tmpDir, journalDir, quarantineDir} {
		if r.suspect {
			_ = r.s.fs.Remove(dir) // in use, or not there: both are well
		}
		err := r.s.fs.Mkdir(dir)
		if noSpace(err) && r.s.yieldBallast() {
			err = r.s.fs.Mkdir(dir)
		}
		if err != nil {
			return fullOr(err)
		}
	}
	return synced(r.s.fs.SyncDir("."))
}

func (r *recovery) findMarker() error {
	f, err := r.s.fs.Open(suspectName)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.suspect = true
	return f.Close()
}

func (r *recovery) readJournal() error {
	b, rep, err := readJournal(r.s.fs, r.s.keys)
	if err != nil {
		return err
	}
	r.book, r.rep.JournalTorn, r.rep.JournalHoles = b, rep.torn, rep.holes
	r.s.journal.gen, r.s.journal.foreign = rep.gen, rep.foreign
	r.maxSeq = b.standing.next - 1
	r.tomb, r.healed = tombsBySeq(b.tombs), healedBySeq(b.tombs)
	r.again, r.damage, r.unread = map[uint64]bool{}, map[ID]bool{}, map[uint64]error{}
	for _, t := range b.tombs {
		r.maxSeq = max(r.maxSeq, t.seq)
		if t.healed {
			r.again[uint64(t.length)] = true
		}
	}
	for _, f := range b.facts {
		if f.damaged {
			r.damage[f.id] = true
		}
	}
	for gen := range rep.foreign {
		r.s.cfg.Logger.Error("a journal segment is not encrypted, though all that this spool writes is: somebody else put it there, and it is not believed", "name", segmentName(gen))
	}
	if rep.holes > 0 {
		r.s.cfg.Logger.Error("journal is damaged: everything not archived is offered again", "places", rep.holes)
	}
	return nil
}

// clearPartial empties tmp. An object is acknowledged only after it was renamed
// out of there, so nothing in it was ever promised to anybody. What cannot be
// removed holds nobody up; its number is not used for a new name.
func (r *recovery) clearPartial() error {
	names, err := r.s.fs.ReadDir(tmpDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.s.fs.Remove(path.Join(tmpDir, name)); err != nil {
			r.s.cfg.Logger.Warn("unfinished object not removed", "name", path.Join(tmpDir, name), "error", err)
			if n, err := strconv.ParseUint(name, 16, 64); err == nil && n < maxSeq {
				r.s.tmpNext = max(r.s.tmpNext, n)
			}
			continue
		}
		r.rep.Partial++
	}
	return nil
}

// scan reads header and seal of every file, oldest first, and the content of
// those whose durability is in doubt: from the mark on. It changes nothing: the
// last file may be the one that shows that all of this is encrypted with another
// key.
func (r *recovery) scan() error {
	files, err := r.listFiles()
	if err != nil {
		return err
	}
	for i, seq := range files {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if i%1024 == 0 {
			r.s.cfg.Progress(i, len(files))
		}
		r.maxSeq = max(r.maxSeq, seq)
		if err := r.scanFile(seq); err != nil {
			return err
		}
	}
	r.s.cfg.Progress(len(files), len(files))
	return nil
}

// tidy carries out what scan found to be done.
func (r *recovery) tidy() error {
	for _, dir := range r.empty {
		if err := r.s.fs.Remove(dir); err != nil {
			return err
		}
	}
	for _, d := range r.aside {
		if err := r.setAside(d.seq, d.why); err != nil {
			return err
		}
	}
	return nil
}

// listFiles returns the sequence numbers that have a file, in order. Empty
// directories of the past go away afterwards.
func (r *recovery) listFiles() ([]uint64, error) {
	return listObjects(r.s.fs, func(dir string, names []string, err error) error {
		first, shard := shardOf(path.Base(dir))
		if err != nil && (!shard || starved(err)) {
			return unlessForeign(shard, err)
		}
		if err != nil { // its numbers are not given away again, nor is anything new put there
			r.s.cfg.Logger.Error("directory of objects cannot be read", "name", dir, "error", err)
			r.maxSeq = max(r.maxSeq, first+1<<shardBits-1)
			return nil
		}
		if len(names) == 0 && shard {
			r.empty = append(r.empty, dir)
		}
		for _, name := range names {
			if seq, ok := parseObjectName(name); !ok || objectName(seq) != path.Join(dir, name) {
				r.foreign = append(r.foreign, path.Join(dir, name))
			}
		}
		return nil
	})
}

// unlessForeign: what is no directory of ours may be no directory at all.
func unlessForeign(ours bool, err error) error {
	if ours {
		return err
	}
	return nil
}

// listObjects reads the object directories; each, if not nil, sees every one, or
// why it cannot be read, and decides whether that ends it.
func listObjects(fs FS, each func(dir string, names []string, err error) error) ([]uint64, error) {
	shards, err := fs.ReadDir(objectsDir)
	if err != nil {
		return nil, err
	}
	var seqs []uint64
	for _, shard := range shards {
		dir := path.Join(objectsDir, shard)
		if _, ours := shardOf(shard); !ours && each == nil {
			continue // left alone
		}
		names, err := fs.ReadDir(dir)
		if each != nil {
			err = each(dir, names, err)
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if seq, ok := parseObjectName(name); ok && objectName(seq) == path.Join(dir, name) {
				seqs = append(seqs, seq)
			}
		}
	}
	sort.Slice(seqs, func(i, k int) bool { return seqs[i] < seqs[k] })
	return seqs, nil
}

// maxSeq bounds what is taken for a sequence number: no spool ever comes near it,
// and a name that the disk altered must not make the next number wrap around.
const maxSeq = 1 << 60

// shardOf is the first number of a directory of objects.
func shardOf(name string) (first uint64, ok bool) {
	n, err := strconv.ParseUint(name, 16, 64)
	return n << shardBits, err == nil && len(name) == 13 && n < maxSeq>>shardBits
}

func parseObjectName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".obj")
	seq, err := strconv.ParseUint(digits, 16, 64)
	return seq, ok && err == nil && seq > 0 && seq < maxSeq
}

func (r *recovery) scanFile(seq uint64) error {
	if r.healed[seq] {
		r.undone = append(r.undone, objectName(seq))
		return nil
	}
	b, c, err := openObject(r.s.fs, r.s.keys, seq)
	if b == nil && starved(err) {
		return err
	}
	if b == nil { // one bad inode holds nothing up (P6)
		r.unread[seq] = err
		return nil
	}
	defer b.Close()
	if err == nil && r.tomb[seq] == c.id {
		r.undone = append(r.undone, objectName(seq)) // a crash brought it back
		return nil
	}
	if err == nil && seq >= r.book.standing.mark && !r.isDamaged(seq, c) {
		r.rep.Proved++
		err = c.proveContent(b, nil)
	}
	if notOurs(err) {
		return err
	}
	if err != nil {
		r.aside = append(r.aside, damagedFile{seq, err})
		return nil
	}
	r.s.lean(c)
	r.found = append(r.found, found{seq, c})
	return nil
}

// lean drops from what is to be kept of a container whatever is as large as its
// sender made it. Who that was is asked before.
func (s *Spool) lean(c *container) {
	c.source = s.sources.number(s.cfg.Source(c.meta))
	c.seed, c.meta, c.preface = nil, nil, nil
}

func (r *recovery) isDamaged(seq uint64, c *container) bool {
	f := r.book.facts[seq]
	return f != nil && f.id == c.id && f.damaged
}

// openObject opens the file of seq and reads what stands around its content. As
// with openBlob there is no blob only if there is no file to look into.
func openObject(fs FS, keys *keyring, seq uint64) (*blob, *container, error) {
	b, err := openBlob(fs, keys, objectName(seq))
	if err != nil {
		return b, nil, err
	}
	c, err := inspect(b, seq)
	return b, c, err
}

// inspect reads a container that must belong to seq.
func inspect(b *blob, seq uint64) (*container, error) {
	c, err := readContainer(b, b.size)
	if err != nil {
		return nil, err
	}
	c.disk = b.disk
	if c.seq != seq {
		return nil, fmt.Errorf("%w: the seal is of object %d", errNotSealed, c.seq)
	}
	return c, nil
}

// setAside moves a file that is not a whole object to the quarantine folder. It
// is not deleted: it could be an acknowledged object that the disk damaged.
//
// Never over one there that is whole: then it stays. It stays also when the name
// finds no room in that folder, not even that of the ballast: it is told as damaged
// where it is, and the next start moves it (P7).
func (r *recovery) setAside(seq uint64, why error) error {
	name := path.Base(objectName(seq))
	if _, err := r.prove(asideName(seq), seq); err == nil {
		r.unread[seq] = why
		return nil
	}
	err := r.s.fs.Rename(objectName(seq), asideName(seq))
	if noSpace(err) && r.s.yieldBallast() {
		err = r.s.fs.Rename(objectName(seq), asideName(seq))
	}
	if noSpace(err) {
		r.unread[seq] = why
		r.s.cfg.Logger.Warn("no room to set a file aside", "name", name, "reason", why)
		return nil
	}
	if err != nil {
		return err
	}
	r.rep.Quarantined = append(r.rep.Quarantined, name)
	r.s.cfg.Logger.Warn("file set aside", "name", name, "reason", why) // findLost tells what that means
	return nil
}

// rewrite copies, after a failed sync, each object that is not proved to a new
// file under the same name: what the page cache shows of the old file may never
// reach the disk, and no second sync of it can be believed (D-S6). Everything
// below the mark was synced without an error when it was acknowledged.
func (r *recovery) rewrite() error {
	if !r.suspect {
		return nil
	}
	r.s.yieldBallast() // one copy at a time must fit
	for i, o := range r.found {
		if o.seq < r.book.standing.mark || r.isDamaged(o.seq, o.c) {
			continue
		}
		err := r.rewriteOne(o.seq)
		if isDamage(err) { // it was whole a moment ago
			err = r.setAside(o.seq, err)
			r.found[i].c = nil
		} else {
			r.rep.Rewritten++
		}
		if err != nil {
			return err
		}
	}
	r.found = slices.DeleteFunc(r.found, func(o found) bool { return o.c == nil })
	return nil
}

func (r *recovery) rewriteOne(seq uint64) error { return r.copyToPlace(objectName(seq), seq) }
