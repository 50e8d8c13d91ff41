package objects

import (
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"edged/internal/dicom"
)

// partial is what is there of an object of one appliance.
type partial struct {
	store *Store
	key   key

	mu     sync.Mutex // guards what follows, held during I/O
	owner  *Partial   // the newest claim, nil when idle
	gone   bool       // sealed or dropped: no longer in Store.partials
	used   time.Time
	onDisk int64 // bytes of the file, counted in Store.bytes
	sealed bool  // the file is the object's, too: nothing may be written to it any more
	stored bool  // the bucket has the object
	failed error // why the bucket has not, for the next Seal
	files  int   // how often the file began anew
	known  bool  // names, length and what follows are valid

	names   dicom.Names
	length  int64
	preface []byte
	size    int64     // data set bytes in the file
	hash    hash.Hash // of the first hashed of them
	hashed  int64
	file    *os.File // nil when closed
	again   bool     // it was closed since some of it was hashed
	hinted  int64    // bytes of it that the disk was asked to write

	place           *list.Element // among the open files; openFiles.mu guards it
	idle, idleOfAll *list.Element // Store.mu guards them
}

// Partial is a claim on a partial object: the right to write to it until a
// newer claim comes.
type Partial struct {
	p      *partial
	offset int64 // when it was claimed
}

// Claim pre-empts whoever writes this object of this device and returns the
// right to go on where it stands. Nothing is created on disk yet. ErrFull means
// that the disk has no room for the rest of it; ErrTooBig, that this object alone
// does not fit.
func (s *Store) Claim(device string, id dicom.ID, n dicom.Names, length int64) (*Partial, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	for {
		p := s.partial(key{deviceDir(device), id})
		claim, err := p.claim(n, length)
		if claim != nil || err != nil {
			return claim, err
		}
	}
}

// partial returns the entry of k, new when there is none.
func (s *Store) partial(k key) *partial {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partials[k]
	if p == nil {
		p = &partial{store: s, key: k}
		s.partials[k] = p
	}
	return p
}

// claim returns nil, nil when p went away while it was asked for.
func (p *partial) claim(n dicom.Names, length int64) (*Partial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil, nil
	}
	if !p.known || p.names != n || p.length != length {
		if err := p.meet(n, length); err != nil {
			return nil, err
		}
	}
	if err := p.fits(); err != nil {
		if p.onDisk == 0 && p.owner == nil {
			p.forget()
		}
		return nil, err
	}
	p.owner, p.failed = &Partial{p: p, offset: p.size}, nil
	p.taken()
	return p.owner, nil
}

// fits asks for room for what is not here yet.
func (p *partial) fits() error {
	rest := p.length - p.size
	switch {
	case rest <= 0:
		return nil
	case p.length > p.store.max:
		return fmt.Errorf("%w: partial objects of one appliance may have %d bytes", ErrTooBig, p.store.max)
	}
	return p.store.makeRoom(p, rest)
}

// meet fits what is on disk to the announced names. A file that does not begin
// with their preface or is too long is of no use: it starts anew. So does one that
// is an object's already, and has another length.
func (p *partial) meet(n dicom.Names, length int64) error {
	p.close()
	p.names, p.length, p.preface = n, length, dicom.Preface(n)
	p.size, p.hash, p.hashed, p.again, p.known, p.stored = 0, n.NewHash(), 0, false, true, false
	if p.onDisk == 0 {
		return nil
	}
	if size := p.onDisk - int64(len(p.preface)); size >= 0 && size <= length && (size == length || !p.sealed) {
		has, err := p.hasPreface()
		if spent(err) {
			p.known = false // another time
			return full(err)
		}
		if has {
			p.size = size
			return nil
		}
	}
	return p.erase()
}

func (p *partial) hasPreface() (bool, error) {
	f, err := p.store.root.Open(p.key.path())
	if err != nil {
		return false, err
	}
	defer f.Close()
	got := make([]byte, len(p.preface))
	_, err = io.ReadFull(f, got)
	return err == nil && bytes.Equal(got, p.preface), err
}

// Offset is the number of data set bytes that were there when the claim was made.
func (c *Partial) Offset() int64 { return c.offset }

// Write appends data set bytes. It returns ErrPreempted after a newer claim,
// ErrFull when the disk has no space and ErrTooBig when the allowance has none (the
// partial object is dropped then, which makes some), ErrLength when b goes beyond the announced length.
// Where there is no descriptor or no memory that is an ErrFull, too, but what was there stays.
func (c *Partial) Write(b []byte) (int, error) {
	p := c.p
	if !p.store.reserve(p, int64(len(b))) {
		c.Drop()
		return 0, ErrTooBig
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner != c || p.gone {
		p.store.account(p.key.device, -int64(len(b)))
		return 0, ErrPreempted
	}
	if err := p.append(b); err != nil {
		p.store.account(p.key.device, -int64(len(b)))
		p.giveUp(err)
		return 0, fmt.Errorf("write partial object: %w", full(err))
	}
	return len(b), nil
}

// giveUp ends the claim after an error. p.mu is held.
func (p *partial) giveUp(err error) {
	if spent(err) && p.onDisk > 0 {
		p.rest()
		return
	}
	p.drop()
}

// Complete reports whether all announced bytes are there.
func (c *Partial) Complete() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.size == c.p.length
}

// Release ends the claim and keeps what is there for the next one.
func (c *Partial) Release() {
	p := c.p
	defer p.store.fewer(p.key.device)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == c && !p.gone {
		p.rest()
	}
}

// Drop ends the claim and removes what is there.
func (c *Partial) Drop() {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == c && !p.gone {
		p.drop()
	}
}

// Recorded ends the claim on what is sealed: there is a row for it now, durably, and
// whoever offers it again is answered from that.
func (c *Partial) Recorded() { c.Drop() }

// Recorded drops what is here of an object of this device that has its row, unless
// somebody is at it: the hub may have ended between the row and Partial.Recorded.
func (s *Store) Recorded(device string, id dicom.ID) {
	s.mu.Lock()
	p := s.partials[key{deviceDir(device), id}]
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == nil && !p.gone {
		p.drop()
	}
}

// writeback is how many bytes are left to the page cache before the disk is
// asked to begin, so that the flush of a large object has little left to do.
const writeback = 8 << 20

// append writes b behind what is there. The caller has accounted for b.
func (p *partial) append(b []byte) error {
	if int64(len(b)) > p.length-p.size {
		return ErrLength
	}
	if err := p.ready(); err != nil {
		return err
	}
	if _, err := p.file.WriteAt(b, p.onDisk); err != nil {
		return err
	}
	p.hash.Write(b)
	p.hashed += int64(len(b))
	p.size += int64(len(b))
	p.onDisk += int64(len(b))
	p.hint()
	return nil
}

// hint asks the disk to begin with what is complete or has become much. An
// error of the disk shows at the flush.
func (p *partial) hint() {
	if p.onDisk-p.hinted >= writeback || p.size == p.length {
		unix.SyncFileRange(int(p.file.Fd()), p.hinted, p.onDisk-p.hinted, unix.SYNC_FILE_RANGE_WRITE)
		p.hinted = p.onDisk
	}
}

// ready opens the file, begins it with the preface when it is new, and hashes
// what an earlier run wrote.
func (p *partial) ready() error {
	if err := p.open(); err != nil {
		return err
	}
	if p.onDisk == 0 {
		if _, err := p.file.WriteAt(p.preface, 0); err != nil {
			return err
		}
		p.onDisk = int64(len(p.preface))
		p.store.account(p.key.device, p.onDisk)
	}
	if p.hashed == p.size {
		return nil
	}
	rest := io.NewSectionReader(p.file, int64(len(p.preface))+p.hashed, p.size-p.hashed)
	n, err := io.Copy(p.hash, rest)
	p.hashed += n
	if err == nil && p.hashed != p.size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (p *partial) open() error {
	if p.file != nil {
		p.store.files.used(p)
		return nil
	}
	flags := os.O_RDWR
	if p.onDisk == 0 {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := p.store.root.OpenFile(p.key.path(), flags, 0o600)
	if p.onDisk == 0 && errors.Is(err, fs.ErrNotExist) { // the first one of its device
		if err = mkdir(p.store.root, "partial/"+p.key.device); err == nil {
			f, err = p.store.root.OpenFile(p.key.path(), flags, 0o600)
		}
	}
	if errors.Is(err, fs.ErrExist) { // not removed when it should have been; never truncated: it may be an object's
		if err = p.store.root.Remove(p.key.path()); err == nil {
			f, err = p.store.root.OpenFile(p.key.path(), flags, 0o600)
		}
	}
	if err != nil {
		return err
	}
	p.file = f
	p.store.files.used(p)
	return nil
}

func (p *partial) close() {
	if p.file != nil {
		p.closeFile()
		p.store.files.closed(p)
	}
}

// closeFile is close for who has told openFiles, or is it.
func (p *partial) closeFile() {
	p.file.Close() // nothing is promised about a partial object
	p.file, p.again = nil, true
}

// erase removes the file; the entry stays.
func (p *partial) erase() error {
	p.close()
	err := p.store.root.Remove(p.key.path())
	if os.IsNotExist(err) {
		err = nil
	}
	p.store.account(p.key.device, -p.onDisk)
	p.onDisk, p.size, p.hashed, p.hinted, p.sealed, p.known = 0, 0, 0, 0, false, p.known && err == nil
	p.stored, p.failed, p.again, p.files = false, nil, false, p.files+1
	if p.known {
		p.hash = p.names.NewHash()
	}
	return err
}

// drop removes file and entry.
func (p *partial) drop() {
	if err := p.erase(); err != nil {
		p.store.log.Warn("partial object not removed", "object", p.key.id, "error", err)
	}
	p.forget()
}

// forget takes p out of the store's map.
func (p *partial) forget() {
	p.gone, p.owner = true, nil
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	delete(p.store.partials, p.key)
	p.store.idle.remove(p)
	if p.store.bytes[p.key.device] == 0 {
		delete(p.store.bytes, p.key.device)
	}
}
