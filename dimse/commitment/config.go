package commitment

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"edged/dimse"
)

// Store keeps transactions. What it has done when it returns without error is
// durable. Called from several goroutines, for one key one at a time.
type Store interface {
	// Put keeps a transaction under its Key, in place of an older one. ErrFull
	// means that there is no room now.
	Put(ctx context.Context, t Transaction) error
	// Drop forgets one; to forget one that is not there is no error.
	Drop(ctx context.Context, key string) error
	// All gives every transaction. Called once, by Run.
	All(ctx context.Context) ([]Transaction, error)
}

// ErrFull is what a Store has no room for.
var ErrFull = errors.New("no room for another commitment transaction")

// Same says on which association a device wants its results.
type Same int

// The kinds of devices.
const (
	SameIfOpen Same = iota // on its own, if that is still open, else on a new one
	SameNever              // on a new one only
	SameOnly               // on its own only: it has no address, or takes no calls
)

// Config is what an Engine needs to know.
type Config struct {
	// Store keeps the transactions. Required.
	Store Store
	// Judge says what is known of each instance, in the order of refs. It is asked
	// again and again until no verdict is Wait. Called from several goroutines.
	// Required.
	Judge func(ctx context.Context, calling, called string, refs []dimse.Reference) []Verdict
	// Reach says how to connect to a device: address, TLS, who we are. Titles,
	// contexts and roles are filled in; Called may be set if the device has another
	// title as SCU of commitment. If nil, or when ok is false, only associations of
	// the device itself are used. Required unless they are.
	Reach func(calling string) (cfg dimse.ClientConfig, ok bool)
	// Same is asked about a device. If nil, SameIfOpen for all.
	Same func(calling string) Same
	// GivenUp is told of a transaction whose result was not taken in time. If nil,
	// only the log is.
	GivenUp func(t Transaction, last error)
	// Log gets a line a report and a device in trouble. If nil, nothing is logged.
	Log *slog.Logger

	// Grace is how long an unknown instance may still arrive. If zero, 2 min.
	Grace time.Duration
	// Linger is how long after the request the device's own association is left
	// alone: most close it at once. If zero, 1 s.
	Linger time.Duration
	// Patience is how long instances may be undecided. If zero, 24 h.
	Patience time.Duration
	// GiveUp is for how long, after that, a result is offered. If zero, 7 days.
	GiveUp time.Duration
	// FirstPause and LongestPause bound the pauses between attempts. If zero, 30 s
	// and 1 h.
	FirstPause, LongestPause time.Duration

	// MaxTransactions and MaxReferences bound what one device may have pending. If
	// zero, 1000 and 200,000.
	MaxTransactions, MaxReferences int
	// MaxPending bounds transactions of all devices. If zero, 10,000.
	MaxPending int
	// Parallel is how many devices are served at a time. If zero, 8.
	Parallel int
}

func orDefault[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// WithDefaults is the configuration as New will use it.
func (c Config) WithDefaults() Config {
	c.setDefaults()
	return c
}

func (c *Config) setDefaults() {
	orDefault(&c.Log, slog.New(slog.DiscardHandler))
	orDefault(&c.Grace, 2*time.Minute)
	orDefault(&c.Linger, time.Second)
	orDefault(&c.Patience, 24*time.Hour)
	orDefault(&c.GiveUp, 7*24*time.Hour)
	orDefault(&c.FirstPause, 30*time.Second)
	orDefault(&c.LongestPause, time.Hour)
	orDefault(&c.MaxTransactions, 1000)
	orDefault(&c.MaxReferences, 200_000)
	orDefault(&c.MaxPending, 10_000)
	orDefault(&c.Parallel, 8)
	if c.Reach == nil {
		c.Reach = func(string) (dimse.ClientConfig, bool) { return dimse.ClientConfig{}, false }
	}
	if c.Same == nil {
		c.Same = func(string) Same { return SameIfOpen }
	}
	if c.GivenUp == nil {
		c.GivenUp = func(Transaction, error) {}
	}
}
