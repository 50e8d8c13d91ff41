package spool

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ID names an object by what is in it: SHA-256 of its Seed followed by its
// content bytes. The spool computes it while the bytes pass.
type ID [32]byte

// String is the ID as 64 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("object id %.80q: want %d hexadecimal digits", s, 2*len(id))
	}
	copy(id[:], b)
	return id, nil
}

// Priority decides what leaves first.
type Priority uint8

const (
	Urgent   Priority = iota // before everything else, always
	Routine                  // four of these
	Backfill                 // for one of these
	priorities
)

func (p Priority) String() string {
	return [...]string{"urgent", "routine", "backfill", "?"}[min(p, priorities)]
}

// State is how far an object has come. There is one way forward, and one step
// back: Reoffer, or ReofferObjects for some.
type State uint8

const (
	Received    State = iota // durable here, waiting to be sent
	Sending                  // leased by a sender
	AtHub                    // the hub has a durable copy
	Held                     // at the hub, kept back there before the archive
	Archived                 // the archive has it: it may be forgotten
	Quarantined              // set aside with a reason; Release or a receipt brings it back
	states
)

func (s State) String() string {
	return [...]string{"received", "sending", "at_hub", "held", "archived", "quarantined", "?"}[min(s, states)]
}

// Keep says from when on an object may be forgotten (P2).
type Keep uint8

const (
	KeepArchived Keep = iota // when the archive has confirmed it
	KeepHub                  // when the hub has confirmed it
)

// Config of a spool.
type Config struct {
	Dir string // the spool's directory; created if it is missing
	FS  FS     // If nil, the real one below Dir, and the index is kept.

	MaxBytes      int64 // Bytes that containers may take. If zero, only the disk limits.
	ReserveBytes  int64 // Bytes that stay free on the disk. If zero, 64 MiB; negative: none.
	BallastBytes  int64 // Size of the file that is given up so that receipts can still be written on a full disk (D-S8). If zero, 8 MiB; negative: none.
	JournalBytes  int64 // Size from which on the journal is compacted. If zero, 16 MiB.
	MaxTombstones int   // How many forgotten objects are remembered. If zero, 100,000.

	Keep           Keep          // If zero, KeepArchived.
	RetainArchived time.Duration // How long an archived object stays. If zero, 72 hours; negative: not at all. Counted in hours of running, not by the wall clock (D-S7).
	LeaseTimeout   time.Duration // When a lease that was neither renewed nor given back ends. If zero, never: a sender in this process gives back what it has, or ends with it.
	MaxTries       int           // Poison tries before an object is parked. If zero, 5.

	// Key encrypts everything that is written from now on: objects, journal, index
	// (D-S12). 32 bytes; if nil, nothing is encrypted. What is encrypted with another
	// key, or while there is none, cannot be opened: ErrKey.
	Key []byte

	GroupQuiet time.Duration // How long nothing may come for a group before it counts as complete. If zero, one minute. Counted in time of running.
	ScrubRate  int64         // Bytes a second that Scrub reads. If zero, 4 MiB; negative: Scrub does nothing.

	AllowUnsafeFilesystem bool // Run where a power cut loses data (D-S9). For tests and demonstrations.

	// Source says who sent an object, by its Meta: inside a priority they leave in turns
	// between sources. It is asked once for each object, at Commit and by Open, must
	// always say the same and be quick. At most 64 bytes of what it says count. If nil, all is of one source.
	Source func(meta []byte) string

	Logger   *slog.Logger          // If nil, nothing is logged.
	Now      func() time.Time      // If nil, time.Now.
	Progress func(done, total int) // Called by Open, on its goroutine, about once per thousand files. May be nil.
}

// Limits of what a caller may put in front of the content.
const (
	MaxGroup   = 1 << 10
	MaxSeed    = 16 << 10
	MaxMeta    = 256 << 10
	MaxPreface = 256 << 10
	maxReason  = 512
)

var (
	ErrFull     = errors.New("spool is full") // transient: try again when space is free (P7)
	ErrFailed   = errors.New("spool has failed and must be opened again")
	ErrLocked   = errors.New("spool is in use by another process")
	ErrUnknown  = errors.New("object is not in the spool")
	ErrCorrupt  = errors.New("object is damaged")
	ErrMismatch = errors.New("receipt does not fit the object")
	ErrUnsafe   = errors.New("file system loses data at a power cut")
	ErrClosed   = errors.New("spool is closed")
	ErrKey      = errors.New("spool is encrypted with another key")
)

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" && c.FS == nil {
		return c, errors.New("spool: Dir is empty")
	}
	if c.Keep > KeepHub {
		return c, fmt.Errorf("spool: Keep is %d, want KeepArchived or KeepHub", c.Keep)
	}
	defaulted(&c.ReserveBytes, 64<<20)
	defaulted(&c.BallastBytes, 8<<20)
	defaulted(&c.JournalBytes, 16<<20)
	defaulted(&c.MaxTombstones, 100_000)
	defaulted(&c.RetainArchived, 72*time.Hour)
	defaulted(&c.MaxTries, 5)
	defaulted(&c.GroupQuiet, time.Minute)
	defaulted(&c.ScrubRate, 4<<20)
	if c.Key != nil && len(c.Key) != 32 {
		return c, fmt.Errorf("spool: Key has %d bytes, want 32", len(c.Key))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Source == nil {
		c.Source = func([]byte) string { return "" }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
	return c, nil
}

// defaulted sets a zero to its default and a negative value to zero.
func defaulted[T ~int | ~int64](v *T, zero T) {
	switch {
	case *v == 0:
		*v = zero
	case *v < 0:
		*v = 0
	}
}
