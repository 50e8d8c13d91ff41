package archivelab

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"edged/dimse"
	"edged/internal/dicom"
)

// Config says what the SCP does.
type Config struct {
	Commitment bool     // it offers storage commitment
	Title      string   // under which it reports on associations of its own
	Doors      []string // where it reports then; empty: on the association that asked alone
}

// Digest is that of a data set.
type Digest = [sha256.Size]byte

// SCP is an archive that counts.
type SCP struct {
	Address string

	c       Config
	server  *dimse.Server
	ended   chan error
	closing context.Context
	close   context.CancelFunc
	reports sync.WaitGroup
	stored  atomic.Pointer[func()]

	mu     sync.Mutex // guards what follows
	has    map[string]Digest
	counts Counts
	said   map[string]bool // a report with it has left, taken or not
	taken  map[string]int  // reports with it that the hub took
}

// Counts are what is not by instance.
type Counts struct {
	Instances int
	Repeats   int // the same bytes again
	Other     int // other bytes under a UID that was there
	Asked     int // references in requests for commitment
	NotHeld   int // of them, what it does not have
	Elsewhere int // reports taken on an association of its own
	Refused   int // reports that the hub answered with a failure, for good
}

// NewSCP is one for a test, which ends with it.
func NewSCP(t testing.TB, c Config) *SCP {
	t.Helper()
	s, err := RunSCP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// RunSCP is one for a tool.
func RunSCP(c Config) (s *SCP, err error) {
	s = &SCP{c: c, ended: make(chan error, 1), has: map[string]Digest{}, said: map[string]bool{}, taken: map[string]int{}}
	config := dimse.ServerConfig{Handler: s, ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName}
	if c.Commitment {
		config.Commitment = s
	}
	if s.server, err = dimse.NewServer(config); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Address = l.Addr().String()
	s.closing, s.close = context.WithCancel(context.Background())
	go func() { s.ended <- s.server.Serve(l) }()
	return s, nil
}

// Close ends it, and reports that nobody has taken.
func (s *SCP) Close() error {
	s.close()
	s.server.Close()
	s.reports.Wait()
	if err := <-s.ended; !errors.Is(err, dimse.ErrServerClosed) {
		return err
	}
	return nil
}

// Echo implements dimse.Handler.
func (*SCP) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

// Store implements dimse.Handler.
func (s *SCP) Store(_ context.Context, _ *dimse.Association, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	h := sha256.New()
	if _, err := io.Copy(h, data); err != nil {
		return dimse.StatusProcessingFailure
	}
	s.keep(rq.SOPInstanceUID, Digest(h.Sum(nil)))
	if f := s.stored.Swap(nil); f != nil {
		(*f)()
	}
	return dimse.StatusSuccess
}

func (s *SCP) keep(uid string, got Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old, again := s.has[uid]; {
	case !again:
		s.has[uid] = got
	case old == got:
		s.counts.Repeats++
	default:
		s.counts.Other++
	}
}

// OnStored has f called once, when it has the next object and before it says so.
func (s *SCP) OnStored(f func()) { s.stored.Store(&f) }

// Has reports whether it has these bytes under uid.
func (s *SCP) Has(uid string, data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.has[uid]
	return ok && d == sha256.Sum256(data)
}

// Holding is all it has.
func (s *SCP) Holding() map[string]Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.has)
}

// Counts are those of now.
func (s *SCP) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Instances = len(s.has)
	return c
}
