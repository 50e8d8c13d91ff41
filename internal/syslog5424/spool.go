package syslog5424

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"edged/internal/durable"
)

// ErrBroken says that the disk did not keep what it was given: nothing more is taken
// until Close and New (P8).
var ErrBroken = errors.New("the syslog spool is broken until it is opened anew")

var errClosed = errors.New("the syslog spool is closed")

// lockPatience is how long a spool may still be open in a process that ends.
const lockPatience = time.Second

// spool is the queue on the disk. Append is for any goroutine, take, done and release for
// the one that sends.
type spool struct {
	dir          string
	quota, limit int64 // bytes of all segments, of one
	now          func() time.Time
	sync         func(*os.File) error                       // (*os.File).Sync, but in tests
	writeAt      func(*os.File, []byte, int64) (int, error) // (*os.File).WriteAt, but in tests
	lock         *os.File
	wake         chan struct{} // 1: that there is something, not how much

	mu   sync.Mutex
	turn sync.Cond // syncing has ended

	// mu guards:
	sealed          []segment // the oldest first
	leased          uint64    // that is being sent, 0: none
	next            uint64    // number of the next file
	file            *os.File  // the newest segment, nil: none
	active          segment
	fresh           bool // the name of the newest is not durable yet
	syncing         bool
	written, synced uint64 // records, ever
	broken          error
	bytes           int64 // of all segments
	unsaid          int64 // lost, and in no record
	dropped         int64 // lost, ever
}

func openSpool(dir string, quota int64, now func() time.Time, log *slog.Logger) (*spool, error) {
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the syslog spool: %w", err)
	}
	if err := durable.Lock(lock, lockPatience); err != nil {
		return nil, fmt.Errorf("open the syslog spool: somebody else has it open: %w", err)
	}
	s := &spool{dir: dir, quota: quota, limit: min(1<<20, quota/8), now: now,
		sync: (*os.File).Sync, writeAt: (*os.File).WriteAt, lock: lock, wake: make(chan struct{}, 1), next: 1}
	s.turn.L = &s.mu
	if err := s.recover(log); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

// put makes messages durable.
//
// Syscall order: write(record) of each or, with a new file, open, write; then fsync(file),
// fsync(directory) if it is new, unlink of what had to give way. The commit point is the
// last fsync; it serves all who came meanwhile.
func (s *spool) put(messages ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []segment
	var failed error
	kept := int64(0)
	for _, m := range messages {
		victims, err := s.append(m)
		gone = append(gone, victims...)
		if err != nil {
			s.lose(1)
			failed = errors.Join(failed, err)
			continue
		}
		kept++
	}
	if err := s.settle(s.written); err != nil {
		s.lose(kept)
		failed, gone = errors.Join(failed, err), nil
	}
	for _, v := range gone {
		_ = os.Remove(s.name(v.number)) // one that stays is sent although it was told lost
	}
	if kept > 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	if failed != nil {
		return fmt.Errorf("keep a message for syslog: %w", failed)
	}
	return nil
}

// lose counts what no record tells yet.
func (s *spool) lose(n int64) { s.unsaid, s.dropped = s.unsaid+n, s.dropped+n }

// append writes message, before it what was lost, behind the newest segment; a nil one is
// only about what was lost. It gives the segments that make room for it: they are out of
// the books but still on the disk.
func (s *spool) append(message []byte) (victims []segment, err error) {
	need := int64(recordHead + len(message) + recordTail + lostSize)
	for s.broken == nil && s.file != nil && s.active.bytes+need > s.limit {
		s.seal()
	}
	if s.broken == nil && s.file == nil {
		err = s.begin()
	}
	if s.broken != nil || err != nil {
		return nil, errors.Join(s.broken, err)
	}
	gone := s.unsaid
	victims = s.victims(need)
	for _, v := range victims {
		gone += v.messages + v.lost
	}
	return victims, s.write(message, gone, victims)
}

// victims are the oldest segments that have to go so that need bytes fit.
func (s *spool) victims(need int64) (all []segment) {
	free := s.quota - s.bytes
	for _, seg := range s.sealed {
		if free >= need {
			break
		}
		if seg.number != s.leased {
			all, free = append(all, seg), free+seg.bytes
		}
	}
	return all
}

// write is all or nothing: what was half written is taken back.
func (s *spool) write(message []byte, gone int64, victims []segment) error {
	var b []byte
	after := s.active
	if gone > 0 {
		r := lost(gone, s.now())
		b = r.encode(b, after.number)
		after.count(r)
	}
	if message != nil {
		r := record{kindMessage, message}
		b = r.encode(b, after.number)
		after.count(r)
	}
	if _, err := s.writeAt(s.file, b, s.active.bytes); err != nil {
		if terr := s.file.Truncate(s.active.bytes); terr != nil {
			s.broken = fmt.Errorf("%w: %w", ErrBroken, terr)
		}
		return errors.Join(s.broken, err)
	}
	for _, v := range victims {
		s.forget(v)
		s.dropped += v.messages
	}
	s.unsaid = 0
	after.bytes += int64(len(b))
	s.bytes += int64(len(b))
	s.active = after
	s.written++
	return nil
}

// forget takes a sealed segment out of the books.
func (s *spool) forget(seg segment) {
	for i := range s.sealed {
		if s.sealed[i].number == seg.number {
			s.sealed = append(s.sealed[:i:i], s.sealed[i+1:]...)
			s.bytes -= seg.bytes
			return
		}
	}
}

// begin makes a new file.
func (s *spool) begin() error {
	number := s.next
	s.next++ // also when it fails: a name is never used twice
	f, err := os.OpenFile(s.name(number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(magic); err != nil {
		_ = os.Remove(f.Name()) // one that stays has no record, and goes at the next start
		return errors.Join(err, f.Close())
	}
	s.file, s.fresh = f, true
	s.active = segment{number: number, bytes: int64(len(magic))}
	s.bytes += s.active.bytes
	return nil
}

// settle waits until the first upTo records are durable; mu is given up meanwhile.
func (s *spool) settle(upTo uint64) error {
	for s.synced < upTo && s.broken == nil {
		if s.syncing {
			s.turn.Wait()
			continue
		}
		s.flush()
	}
	if s.synced >= upTo {
		return nil
	}
	return s.broken
}

// flush makes durable what is written. While it does, nobody seals.
func (s *spool) flush() {
	file, fresh, upTo := s.file, s.fresh, s.written
	s.syncing = true
	s.mu.Unlock()
	err := s.sync(file)
	if err == nil && fresh {
		err = durable.SyncDir(s.dir)
	}
	s.mu.Lock()
	s.syncing = false
	if err != nil {
		s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	} else {
		s.synced, s.fresh = upTo, false
	}
	s.turn.Broadcast()
}

// seal ends the newest segment: what is in it is durable, and nothing more comes. When it
// returns somebody else may have begun another one.
func (s *spool) seal() {
	file := s.file
	if s.settle(s.written) != nil || s.syncing || s.file != file || s.synced < s.written {
		return // broken, or others came meanwhile: the caller looks again
	}
	_ = s.file.Close() // all of it is synced
	s.sealed = append(s.sealed, s.active)
	s.file, s.active = nil, segment{}
}

// take leases the oldest segment and reads it as far as that goes; number 0: there is none.
func (s *spool) take() (seg segment, all []record, err error) {
	s.mu.Lock()
	if s.unsaid > 0 && s.broken == nil {
		if victims, err := s.append(nil); err == nil {
			s.drop(victims)
		}
	}
	for len(s.sealed) == 0 && s.file != nil && s.active.messages+s.active.lost > 0 && s.broken == nil {
		s.seal()
	}
	if len(s.sealed) == 0 {
		s.mu.Unlock()
		return seg, nil, nil
	}
	seg = s.sealed[0]
	s.leased = seg.number
	s.mu.Unlock()
	b, err := s.load(seg.number)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO) { // these two do not get better
		return seg, nil, fmt.Errorf("read what is to be sent: %w", err)
	}
	all, _ = records(b, seg.number)
	return seg, all, nil
}

// drop removes victims once the record about them is durable.
func (s *spool) drop(victims []segment) {
	if s.settle(s.written) == nil {
		for _, v := range victims {
			_ = os.Remove(s.name(v.number)) // one that stays is sent although it was told lost
		}
	}
}

// done removes a segment of which so many messages have arrived; the others could not be
// read any more.
func (s *spool) done(seg segment, arrived int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(seg)
	s.leased = 0
	if arrived < seg.messages {
		s.lose(seg.messages - arrived)
	}
	_ = os.Remove(s.name(seg.number)) // one that stays is sent once more after a restart
}

// release gives back what could not be sent.
func (s *spool) release() {
	s.mu.Lock()
	s.leased = 0
	s.mu.Unlock()
}

// backlog says whether there is more than the newest segment.
func (s *spool) backlog() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sealed) > 0
}

func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.syncing {
		s.turn.Wait()
	}
	var err error
	if s.file != nil {
		err = s.file.Close()
		s.file = nil
	}
	if s.broken == nil {
		s.broken = errClosed
	}
	return errors.Join(err, s.lock.Close())
}
