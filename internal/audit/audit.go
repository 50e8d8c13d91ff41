package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"edged/internal/durable"
)

// Outcomes that every log has. A failure is "failed: " and why.
const (
	Intended = "intended" // written before the act
	Done     = "done"
	failed   = "failed: "
)

// What an event may hold, in bytes; more is cut.
const (
	MaxReason = 512
	maxField  = 128
	maxPath   = 4096
	maxLine   = 64 << 10 // of a file; each byte above may take six in JSON, and a third more when sealed
)

// ErrKey says that the log is encrypted and the key is missing or another one.
var ErrKey = errors.New("the audit log is encrypted with another key")

// Event is one row.
type Event struct {
	At      time.Time `json:"at"`
	Seq     uint64    `json:"seq"`
	Who     string    `json:"who"`
	Action  string    `json:"action"`
	Object  string    `json:"object,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Outcome string    `json:"outcome"`
	Export  string    `json:"export,omitempty"` // where a copy was written before
	Of      uint64    `json:"of,omitempty"`     // the row with the intent that this is the outcome of
}

// Config of a log.
type Config struct {
	Dir string           // made when the first event comes
	Key []byte           // the spool's, 32 bytes. If nil, rows are not encrypted.
	Now func() time.Time // If nil, time.Now.
}

// Log appends. Its methods may be called from any goroutine, and other processes
// may have the same Dir.
type Log struct {
	cfg   Config
	sync  func(syncer) error                                     // of a file; a test makes it fail
	place func(name string, data []byte, perm fs.FileMode) error // durable.WriteFile; a test makes it fail

	mu    sync.Mutex // guards what follows, and the file while a row is written
	dead  error      // of a sync: what is in the file now nobody knows (P8)
	named string     // the file whose name is durable
}

// New starts nothing and touches nothing.
func New(cfg Config) *Log {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Log{cfg: cfg, sync: func(f syncer) error { return f.Sync() }, place: durable.WriteFile}
}

// Append writes an event; its time and number are set here. The commit point is
// the return: fsync of the file, and of the directory where the file is new.
func (l *Log) Append(e Event) (seq uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		return 0, l.dead
	}
	if err := l.makeDir(); err != nil {
		return 0, fmt.Errorf("audit log: %w", err)
	}
	unlock, err := lockDir(l.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("audit log: %w", err)
	}
	defer unlock()
	if seq, err = l.append(e); err != nil {
		return 0, fmt.Errorf("audit log: %w", err)
	}
	l.restoreReserve()
	return seq, nil
}

func (l *Log) append(e Event) (uint64, error) {
	t, err := findTail(l.cfg.Dir)
	if err != nil {
		return 0, err
	}
	if t.sealed && l.cfg.Key == nil {
		return 0, ErrKey
	}
	if t.torn > 0 {
		if err := t.mend(); err != nil {
			return 0, err
		}
		note := Event{Who: "edged", Action: "audit", Reason: fmt.Sprintf("%d bytes of an unfinished row were removed", t.torn), Outcome: Done}
		if t, err = l.write(t, note); err != nil {
			return 0, err
		}
	}
	t, err = l.write(t, e)
	return t.seq, err
}

// Do writes the intent, acts, and writes the outcome. Without the intent on the
// disk nothing is done; an intent without an outcome was cut off by a crash, and
// Read tells of it.
func (l *Log) Do(e Event, act func() error) error {
	e.Outcome = Intended
	seq, err := l.Append(e)
	if err != nil {
		return fmt.Errorf("nothing was done, because it could not be recorded: %w", err)
	}
	err = act()
	e.Of, e.Outcome = seq, Done
	if err != nil {
		e.Outcome = failed + err.Error()
	}
	if _, lost := l.Append(e); lost != nil {
		err = errors.Join(err, fmt.Errorf("the outcome could not be recorded: %w", lost))
	}
	return err
}

// bounded is e as it is written.
func (e Event) bounded() Event {
	e.Who, e.Action, e.Object = clip(e.Who, maxField), clip(e.Action, maxField), clip(e.Object, maxField)
	e.Reason, e.Outcome, e.Export = clip(e.Reason, MaxReason), clip(e.Outcome, MaxReason), clip(e.Export, maxPath)
	return e
}

// clip keeps whole characters, and valid ones.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
