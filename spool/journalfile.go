package spool

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
)

// journal writes the newest segment. There is one at a time: it begins with a
// snapshot of everything, records follow, and when it has grown too long the
// next one begins. Owned by whoever leads Spool.obligations, and by Open.
type journal struct {
	fs      FS
	keys    *keyring
	yield   func() bool // gives up the ballast; false when there is none left
	f       File
	seg     *segment // that f is of
	gen     uint64
	foreign map[uint64]bool // segments that are not believed; see foreignSegments
	number  uint64          // of the next record
	size    int64
	atStart int64  // size of the snapshot
	rest    []byte // of a record that was begun and found no room; it is finished before anything else is written
}

func segmentName(gen uint64) string { return path.Join(journalDir, fmt.Sprintf("%016x.log", gen)) }

// begin starts the next segment with a snapshot and removes the older ones.
//
// Order: create under a temporary name, write, fdatasync, rename,
// fsync(directory), unlink the older segments. Until the directory is synced
// the older segment still holds everything.
func (j *journal) begin(st standing, snapshot []op) error {
	j.keepForeign()
	gen := j.gen + 1
	tmp := path.Join(journalDir, "next.tmp")
	if err := j.fs.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	f, err := j.create(tmp)
	if starved(err) {
		return fmt.Errorf("journal: %w: %w", ErrFull, err)
	}
	if err != nil {
		return fullOr(fmt.Errorf("journal: %w", err))
	}
	j.keys.sealFrom(st.next)
	snapshot = append(append(snapshot, j.keys.row()...), op{kind: opSnapshotEnd})
	seg := newSegment(j.keys, gen)
	number, size, err := j.writeSnapshot(f, seg, st, snapshot)
	if err != nil {
		f.Close()
		return errors.Join(fullOr(fmt.Errorf("journal segment %d: %w", gen, err)), j.fs.Remove(tmp))
	}
	err = synced(f.Sync())
	if err == nil {
		err = j.place(tmp, segmentName(gen))
	}
	if errors.Is(err, ErrFull) { // it has no name, so nothing has changed
		f.Close()
		return errors.Join(fmt.Errorf("journal segment %d: %w", gen, err), j.fs.Remove(tmp))
	}
	if err == nil {
		err = synced(j.fs.SyncDir(journalDir))
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("journal segment %d: %w", gen, err)
	}
	if j.f != nil {
		j.f.Close()
	}
	j.f, j.seg, j.gen, j.number = f, seg, gen, number
	j.size, j.atStart, j.rest = size, size, nil
	if err := j.dropOlder(); !starved(err) {
		return err
	}
	return nil // the next one drops them, too; what is in this one overrules them
}

// writeSnapshot writes in pieces: notes alone may be 64 MiB.
func (j *journal) writeSnapshot(f File, seg *segment, st standing, ops []op) (number uint64, size int64, err error) {
	b := append([]byte(nil), seg.header...)
	for payload := range payloads(st, ops) {
		if len(b) > maxRecord {
			n, err := j.write(f, b)
			size += int64(n)
			if b = b[:0]; err != nil {
				return 0, size, err
			}
		}
		b = appendRecord(b, seg.gen, number, seg.seal(number, payload))
		number++
	}
	n, err := j.write(f, b)
	return number, size + int64(n), err
}

// create gives up the ballast when there is no room even for a new name: XFS with
// no block free cannot make an inode.
func (j *journal) create(name string) (File, error) {
	f, err := j.fs.Create(name)
	if noSpace(err) && j.yield() {
		return j.fs.Create(name)
	}
	return f, err
}

// place gives up the ballast when the directory has no room for another name.
func (j *journal) place(tmp, name string) error {
	err := j.fs.Rename(tmp, name)
	if noSpace(err) && j.yield() {
		err = j.fs.Rename(tmp, name)
	}
	return fullOr(err)
}

func (j *journal) dropOlder() error {
	gens, err := segments(j.fs)
	if err != nil {
		return err
	}
	for _, gen := range gens {
		if gen >= j.gen {
			continue
		}
		if err := j.fs.Remove(segmentName(gen)); err != nil {
			return fmt.Errorf("journal segment %d: %w", gen, err)
		}
	}
	return nil
}

// append makes ops durable. The commit point is the fdatasync. Whoever calls it
// has called finish before.
//
// ErrFull means that the record has no room although the ballast is gone. If
// none of it was written it never was. If a part was, the rest is kept and
// finished before the next one, so the segment stays whole, and so that no more
// than one round is ever kept, however often somebody asks on a full disk.
func (j *journal) append(st standing, ops []op) error {
	number := j.number
	b := j.seg.encodeRecords(&j.number, st, ops)
	n, err := j.write(j.f, b)
	j.size += int64(n)
	if err != nil && n == 0 {
		j.number = number
		return fullOr(fmt.Errorf("journal: %w", err))
	}
	if err != nil {
		j.rest = b[n:]
		return fullOr(fmt.Errorf("journal: %w", err))
	}
	return j.sync()
}

// finish writes what is left of a record and makes it durable. False: nothing
// was left.
func (j *journal) finish() (bool, error) {
	if len(j.rest) == 0 {
		return false, nil
	}
	n, err := j.write(j.f, j.rest)
	j.size += int64(n)
	if j.rest = j.rest[n:]; err != nil {
		return true, fullOr(fmt.Errorf("journal: %w", err))
	}
	j.rest = nil
	return true, j.sync()
}

func (j *journal) sync() error {
	if mutant == mutantEarlyAnswer {
		return nil
	}
	err := j.f.Sync()
	if err != nil && mutant == mutantSecondSync {
		err = j.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// write goes on behind a short write once the ballast made room: a receipt must
// find its place also on a full disk, or nothing could ever be forgotten.
func (j *journal) write(f File, b []byte) (written int, err error) {
	for {
		n, err := f.Write(b[written:])
		written += n
		if err == nil || !noSpace(err) || !j.yield() {
			return written, err
		}
	}
}

// fullOr marks the error of a write as transient if the disk is full. An error
// of a sync never comes here.
func fullOr(err error) error {
	if noSpace(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func (j *journal) close() {
	if j.f != nil {
		j.f.Close()
	}
}

// segments lists the generations that have a file, oldest first.
func segments(fs FS) ([]uint64, error) {
	names, err := fs.ReadDir(journalDir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var gens []uint64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".log")
		gen, err := strconv.ParseUint(digits, 16, 64)
		if ok && err == nil && len(digits) == 16 && gen < maxSeq { // the next one must not wrap around
			gens = append(gens, gen)
		}
	}
	sort.Slice(gens, func(i, k int) bool { return gens[i] < gens[k] })
	return gens, nil
}

// journalReport is what reading the journal found out about it.
type journalReport struct {
	gen   uint64 // highest generation seen
	torn  int64  // bytes of an unfinished write at the end
	holes int    // places of damage

	foreign map[uint64]bool // segments that were not believed
}

// readJournal replays the newest segment whose snapshot is whole. Newer ones
// that are not whole are damage: they were renamed into place only after they
// had been synced. What they hold is played on top all the same.
func readJournal(fs FS, keys *keyring) (*book, journalReport, error) {
	var rep journalReport
	b := newBook()
	gens, err := segments(fs)
	if err != nil {
		return nil, rep, err
	}
	if rep.foreign, err = foreignSegments(fs, keys, gens); err != nil {
		return nil, rep, err
	}
	for _, gen := range gens {
		if rep.foreign[gen] { // its number does not count either
			rep.holes++
			continue
		}
		rep.gen = gen
		r, err := readSegment(fs, keys, gen)
		if err != nil {
			return nil, rep, err
		}
		if r.complete && r.holes == 0 {
			b = newBook()
			rep.holes = 0
			rep.overrule(gen)
		}
		if r.standing.counters != nil {
			b.standing = merge(b.standing, r.standing)
		}
		b.play(r.ops)
		rep.torn = r.torn
		rep.holes += r.holes
		if !r.complete {
			rep.holes++
		}
	}
	if rep.holes > 0 {
		b.doubt()
	}
	if b.sealed > 0 {
		keys.sealFrom(b.sealed)
	}
	return b, rep, nil
}

// overrule: what lies below a whole snapshot is only waiting to be unlinked.
func (r *journalReport) overrule(gen uint64) {
	maps.DeleteFunc(r.foreign, func(older uint64, _ bool) bool { return older < gen })
}

// merge never lets a number go back.
func merge(a, b standing) standing {
	b.mark, b.next, b.age = max(a.mark, b.mark), max(a.next, b.next), max(a.age, b.age)
	for name, n := range a.counters {
		b.counters[name] = max(n, b.counters[name])
	}
	return b
}

// readSegment returns an empty result for a file that is not a segment at all;
// that counts as damage like an incomplete snapshot.
func readSegment(fs FS, keys *keyring, gen uint64) (replayed, error) {
	f, err := fs.Open(segmentName(gen))
	if err != nil {
		return replayed{}, fmt.Errorf("journal segment %d: %w", gen, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return replayed{}, fmt.Errorf("journal segment %d: %w", gen, err)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, size), b); err != nil {
		return replayed{}, fmt.Errorf("journal segment %d: %w", gen, err)
	}
	r, err := replaySegment(b, keys)
	if err != nil && !notOurs(err) {
		return replayed{gen: gen}, nil // told through complete == false
	}
	if err == nil && r.gen != gen { // it was copied from another name
		return replayed{gen: gen}, nil
	}
	return r, err
}
