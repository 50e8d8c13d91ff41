package spool

import (
	"container/list"
	"fmt"
	"io"
	"sync"
	"time"
)

// Names below the spool's directory. No byte of a peer ever reaches a path (SPOOL-10).
const (
	objectsDir    = "objects"
	tmpDir        = "tmp"
	journalDir    = "journal"
	quarantineDir = "quarantine"
	lockName      = "lock"
	ballastName   = "ballast"
	suspectName   = "suspect"
	calmName      = "calm"
	indexName     = "index.db"
	shardBits     = 12 // 4096 files in a directory; neighbours share one, and so its fsync
)

func shardName(seq uint64) string  { return fmt.Sprintf("%s/%013x", objectsDir, seq>>shardBits) }
func objectName(seq uint64) string { return fmt.Sprintf("%s/%016x.obj", shardName(seq), seq) }

// Spool keeps objects until they may be forgotten. Its methods may be called
// from any goroutine.
type Spool struct {
	cfg    Config
	fs     FS
	keys   *keyring // nil without encryption
	lock   io.Closer
	report Recovery
	space  space
	shards rounds // flushes of object directories; see syncShard
	index  *index // nil when there is none
	probed *error // what a child said of the index's file; nil: none was asked yet

	obligations rounds   // flushes of the journal
	journal     *journal // owned by the leader of obligations
	unfinished  landing  // owned by it, too: a part of its record found no room

	dirMu sync.Mutex // guards dirs, held while a directory is made
	dirs  map[string]bool

	kick chan struct{} // size 1: Run has something to do

	mu       sync.Mutex // guards all below
	failed   error
	closed   bool
	gone     chan struct{} // closed when the spool failed or was closed
	next     uint64
	age      int64 // nanoseconds of running in the spool's life
	aged     time.Time
	inflight map[uint64]struct{} // sequence numbers given out and not yet proved
	pending  map[ID]*pendingCommit
	byID     map[ID]*entry
	byName   map[nameSum]*entry // the newest of a name
	order    []*entry           // by seq; forgotten ones stay as gaps until they are many
	gaps     int
	groups   map[string]*group

	ran        int64                  // as age, without whatever may be a jump of the clock; since the start
	openGroups map[string]int         // how many associations work on a group
	expected   map[string]expectation // of groups of which nothing is here yet
	unsettled  map[*group]struct{}    // moved since their last event
	untold     *list.List             // of *group: whose event waits for AckGroup, the oldest event first
	latest     *latest

	scrub ScrubStats
	day   hours
	notes notes
	torn  int64 // files of which a power cut left a part and that nobody was told of

	tombs         tombs
	counters      map[string]uint64
	dirty         bool // counters or mark changed since the journal last wrote them
	count         [states]int64
	bytes         [states]int64 // of containers
	backlogGroups int64         // groups of which something is still to be sent
	damaged       int64         // objects whose bytes are not what was stored
	conflicts     int64         // objects whose name another one with other contents has or had
	setAside      int64         // of lost ones the archive has not confirmed
	missing       int64
	healed        []*entry // damaged copies of which a good one came again; mend lets them go
	unproved      int64    // what recovery would have to read again: bytes since the mark was last written, and a price for each file
	tmpNext       uint64
	queue         queue
	sources       sources
	leased        map[*entry]struct{}
	watchers      map[*Watcher]struct{}
	stale         []*entry // came or went since the index was written
}

// entry is an object that is here. Guarded by Spool.mu.
type entry struct {
	facts
	seq       uint64
	start     int64 // bytes before the content
	content   int64
	disk      int64 // bytes of its file
	received  int64
	group     *group
	part      *part // nil: nobody knows
	flags     uint32
	preface   uint32
	priority  Priority
	test      bool
	queued    bool // waits in the queue
	gone      bool // forgotten or discarded
	discarded bool // the latter
	fate      fate // of its file
	again     bool // the good copy of a damaged object: not counted as received, that one was
	tries     uint8
	lease     *lease
	wrong     int32  // how often its bytes were found damaged since the start
	source    uint16 // whose turn it takes, see turns
	name      nameSum
	older     *entry // of the same name
	newer     *entry
	conflict  bool // one of the same name has, or had, other contents
}

func (e *entry) size() int64 {
	if e.fate != inPlace {
		return 0
	}
	return e.disk
}
func (e *entry) state() State { return e.shown(e.lease != nil) }

// Object is what callers see of an entry; a copy.
type Object struct {
	ID         ID
	Seq        uint64 // the order of arrival, and the file's name
	Group      string
	Part       string
	Priority   Priority
	Meta       []byte // filled by Lease, Object, Objects and Commit
	PrefaceLen int64
	Length     int64 // content bytes
	Size       int64 // bytes on the disk
	State      State
	Held       bool // the hub is to keep it back; it is uploaded all the same
	Flags      uint32
	Test       bool
	Received   time.Time
	AtHubAt    time.Time // when the hub first said that it has it; zero: not yet
	ArchivedAt time.Time // zero unless archived
	Reason     string    // why it is quarantined
	Damaged    bool      // its bytes are not what was stored
	Lost       bool      // of which nothing can be read: its file was set aside, cannot be opened or is gone; Length and Received are zero
	Unfinished bool      // Lost, and only a lying disk could have had it acknowledged: no reason to worry
	HubHasCopy bool      // the hub, or the archive, said so and has not taken it back
	Conflict   bool      // another object of the same Name has, or had while that is remembered, other contents
	Owner      string    // who leased it
	Tries      int       // poison tries since the start
}

func (e *entry) object() Object {
	o := Object{ID: e.id, Seq: e.seq, Group: e.group.name, Part: e.part.label(), Priority: e.priority, PrefaceLen: int64(e.preface),
		Length: e.content, Size: e.size(), State: e.state(), Held: e.held, Flags: e.flags, Test: e.test,
		Reason: e.because(), Damaged: e.damaged, Lost: e.fate != inPlace, Unfinished: e.torn, HubHasCopy: e.hubHasCopy(), Conflict: e.conflict, Tries: int(e.tries)}
	if e.fate == inPlace {
		o.Received = time.Unix(0, e.received)
	}
	if e.atHubAt != 0 {
		o.AtHubAt = time.Unix(0, e.atHubAt)
	}
	if e.facts.state == Archived {
		o.ArchivedAt = time.Unix(0, e.archivedAt)
	}
	if e.lease != nil {
		o.Owner = e.lease.owner
	}
	return o
}

func (f *facts) hubHasCopy() bool { return f.state == AtHub || f.state == Archived }

// because is the reason, and for damage what to do about it.
func (f *facts) because() string {
	switch {
	case !f.damaged || f.torn:
		return f.reason
	case f.hubHasCopy():
		return f.reason + "; the hub has a good copy"
	}
	return f.reason + "; no other copy is known: send it again from the modality"
}

// fail ends the spool: nothing is accepted or confirmed any more until it is
// opened again (P8). It leaves a marker, so that the next recovery does not
// take the page cache's word for what the disk refused.
func (s *Spool) fail(err error) error {
	s.mu.Lock()
	first := s.failed == nil && !s.closed
	if first {
		s.failed = fmt.Errorf("%w: %w", ErrFailed, err)
		close(s.gone)
	}
	err = s.usable()
	s.mu.Unlock()
	if !first {
		return err
	}
	s.cfg.Logger.Error("spool failed", "error", err)
	s.suspect()
	return err
}

// usable is nil while the spool may be used. Guarded by mu.
func (s *Spool) usable() error {
	switch {
	case s.failed != nil:
		return s.failed
	case s.closed:
		return ErrClosed
	}
	return nil
}

// Err is nil, or says why the spool has failed.
func (s *Spool) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usable()
}

// Recovery tells what Open found.
func (s *Spool) Recovery() Recovery { return s.report }

// mark is the lowest sequence number that is not proved durable. Guarded by mu.
func (s *Spool) mark() uint64 {
	mark := s.next
	for seq := range s.inflight {
		mark = min(mark, seq)
	}
	return mark
}

// closeFiles waits for flushes that are under way.
func (s *Spool) closeFiles() {
	s.shards.lead.Lock()
	defer s.shards.lead.Unlock()
	s.obligations.lead.Lock()
	defer s.obligations.lead.Unlock()
	s.journal.close()
}

// Close ends the spool: writers and senders get ErrClosed. What was not
// committed is left to the next recovery. Run must have ended.
func (s *Spool) Close() error {
	var err error
	if s.Err() == nil {
		err = s.writeStanding()
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	if s.failed == nil {
		close(s.gone)
	}
	s.closed = true
	s.mu.Unlock()
	s.closeFiles()
	s.index.close()
	if cerr := s.lock.Close(); err == nil {
		err = cerr
	}
	closeFS(s.fs)
	return err
}
