package account

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// What callers decide on. No text of them holds what was typed.
var (
	ErrWrong     = errors.New("the name or the password is wrong")
	ErrBusy      = errors.New("too many are logging in at this moment: try again")
	ErrNoSession = errors.New("nobody is logged in")
	ErrUnknown   = errors.New("there is no such account")
	ErrExists    = errors.New("there is such an account already")
	ErrFull      = errors.New("there are 64 accounts already")
	ErrLast      = errors.New("this is the last administrator: make another one first")
	ErrRole      = errors.New("a role is technician or administrator")
)

// WaitError says that a name, there or everywhere, or an address had too many wrong passwords.
type WaitError struct{ Until time.Time }

func (e *WaitError) Error() string {
	return "too many wrong passwords: wait until " + e.Until.Format(time.TimeOnly)
}

// Config of a Book.
type Config struct {
	Path string           // of the file; its folder is made with 0700 when the first account is
	Now  func() time.Time // If nil, time.Now.
	Idle time.Duration    // a session ends so long after its last use. If zero, 30 minutes.
	Life time.Duration    // and so long after log-in. If zero, 12 hours.
	KiB  uint32           // of memory that a hash takes. If zero, 64 MiB; less is for tests, 32 at least.

	// Audit is told what happens, by the goroutine that makes it happen, which holds no
	// lock of the Book. If nil, nobody is.
	Audit Audit

	// Log has what nobody need be told: a hash that could not be made anew. If nil, slog.Default.
	Log *slog.Logger
}

// Book is the accounts of an appliance and their sessions. Its methods may be called
// from any goroutine, and other processes may have the same file.
type Book struct {
	cfg    Config
	params params
	decoy  phc
	places places
	key    []byte // of the tokens against cross-site requests

	mu       sync.Mutex // guards what follows
	raw      []byte     // the file as it was read last
	loaded   bool
	accounts map[string]record
	sessions map[digest]*session
	lapsed   []Event // that are still to be told
	guard    guard
	quiet    quiet
}

// New starts nothing and touches nothing.
func New(cfg Config) *Book {
	p := today
	if cfg.KiB != 0 {
		p.kib = cfg.KiB
	}
	return newBook(cfg, p)
}

func newBook(cfg Config, p params) *Book {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Idle == 0 {
		cfg.Idle = 30 * time.Minute
	}
	if cfg.Life == 0 {
		cfg.Life = 12 * time.Hour
	}
	if cfg.Audit == nil {
		cfg.Audit = nobody{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Book{cfg: cfg, params: p, decoy: decoy(p), places: newPlaces(), key: random(32),
		sessions: make(map[digest]*session), guard: newGuard()}
}

// refresh reads the file and ends the sessions that it does not bear out. The caller
// holds mu. After an error nobody may be let in.
func (b *Book) refresh() error {
	data, err := read(b.cfg.Path)
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	if b.loaded && bytes.Equal(data, b.raw) && (data == nil) == (b.raw == nil) {
		return nil
	}
	var all []record
	if data != nil {
		if all, err = parse(data); err != nil {
			return fmt.Errorf("accounts: %s: %w", b.cfg.Path, err)
		}
	}
	accounts := make(map[string]record, len(all))
	for _, r := range all {
		accounts[r.Name] = r
	}
	b.raw, b.loaded, b.accounts = data, true, accounts
	b.dropSessions(func(s *session) bool { return accounts[s.name].Stamp != s.stamp })
	return nil
}

// Account is one as it may be shown.
type Account struct {
	Name          string
	Role          Role
	Made, Changed time.Time // Changed: the password or the role
	LockedUntil   time.Time // from some address or other; zero: not locked, as far as this process knows
	Sessions      int       // open in this process
}

// List is all accounts, by name.
func (b *Book) List() ([]Account, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(); err != nil {
		return nil, err
	}
	now := b.cfg.Now()
	b.lapse(now, func(s *session) bool { return b.over(s, now) })
	open := make(map[string]int)
	for _, s := range b.sessions {
		open[s.name]++
	}
	var all []Account
	for name, r := range b.accounts {
		all = append(all, Account{name, r.Role, r.Made, r.Changed, b.guard.lockedUntil(now, r), open[name]})
	}
	slices.SortFunc(all, func(x, y Account) int { return strings.Compare(x.Name, y.Name) })
	return all, nil
}

// Actor is who does something: an account, or whoever gave the command, and from where.
type Actor struct {
	Name    string
	Address netip.Addr // zero: of this machine
}
