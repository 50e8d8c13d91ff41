package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Attempt is what somebody sends to log in.
type Attempt struct {
	Name, Password string
	Address        netip.Addr
	Token          string // of the session that the browser shows, if any: a log-in ends it
}

// LogIn gives the token of a new session. The error is ErrWrong, a *WaitError, ErrBusy,
// that of ctx, or what is wrong with the file or the audit trail.
func (b *Book) LogIn(ctx context.Context, a Attempt) (token string, s Session, err error) {
	r, err := b.verify(ctx, fold(a.Name), a.Password, a.Address)
	if err != nil {
		return "", Session{}, err
	}
	err = b.LogOut(a.Token, a.Address)
	if err == nil {
		err = b.cfg.Audit.Note(Event{At: b.cfg.Now(), Action: LoggedIn, Who: r.Name, Account: r.Name, Role: r.Role, Address: a.Address})
	}
	if err != nil {
		return "", Session{}, fmt.Errorf("nobody was logged in, because it could not be recorded: %w", err)
	}
	return b.open(r, a.Address)
}

// verify gives the account whose name and password these are.
func (b *Book) verify(ctx context.Context, name, password string, from netip.Addr) (record, error) {
	r, known, settle, err := b.admit(name, from)
	if err != nil {
		return record{}, b.refused(err, r.Name, from)
	}
	verdict := undecided
	err = b.places.with(ctx, func() { verdict = b.compare(r, known, password) })
	b.mu.Lock()
	locked := settle(b.cfg.Now(), verdict)
	b.mu.Unlock()
	switch verdict {
	case right:
		b.renew(ctx, r, password)
		return r, nil
	case wrong:
		return record{}, b.failed(r.Name, from, locked)
	}
	return record{}, err
}

// admit finds the record and books the try.
func (b *Book) admit(name string, from netip.Addr) (r record, known bool, settle func(time.Time, verdict) time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(); err != nil {
		return record{}, false, nil, err
	}
	r, known = b.accounts[name]
	if !validName(name) {
		name = "" // of all that cannot be one; their length is not ours to keep
	}
	settle, err = b.guard.admit(b.cfg.Now(), name, from, b.accounts)
	return r, known, settle, err
}

// compare hashes once, whatever it is given.
func (b *Book) compare(r record, known bool, password string) verdict {
	against := b.decoy
	if known {
		h, err := parsePHC(r.Password)
		if err != nil {
			panic("account: a record was let in whose hash is none")
		}
		against = h
	}
	fits := len(password) <= maxPassword
	if !fits {
		password = ""
	}
	if against.is(password) && fits && known {
		return right
	}
	return wrong
}

// failed records a wrong password and gives ErrWrong.
func (b *Book) failed(account string, from netip.Addr, locked time.Time) error {
	now := b.cfg.Now()
	err := b.noteNoisy(Event{At: now, Action: Failed, Account: account, Address: from})
	if !locked.IsZero() {
		err = errors.Join(err, b.cfg.Audit.Note(Event{At: now, Action: Locked, Account: account, Address: from, Until: locked}))
	}
	if err != nil {
		return fmt.Errorf("%w, and it could not be recorded: %w", ErrWrong, err)
	}
	return ErrWrong
}

// refused records a try that was not looked at and gives why back.
func (b *Book) refused(why error, account string, from netip.Addr) error {
	wait, ok := errors.AsType[*WaitError](why)
	if !ok {
		return why
	}
	err := b.noteNoisy(Event{At: b.cfg.Now(), Action: Refused, Account: account, Address: from, Until: wait.Until})
	if err != nil {
		return fmt.Errorf("%w, and it could not be recorded: %w", why, err)
	}
	return why
}

// renew hashes with the parameters of today what was hashed with others. The person is
// let in whether that works or not: the old hash stands and is right.
func (b *Book) renew(ctx context.Context, r record, password string) {
	if h, err := parsePHC(r.Password); err != nil || h.params == b.params {
		return
	}
	var fresh string
	err := b.places.with(ctx, func() { fresh = hashed(b.params, password).String() })
	if err == nil {
		err = rewrite(b.cfg.Path, func(all []record) ([]record, error) {
			return all, alter(all, r.Name, func(now *record) error {
				if now.Password == r.Password { // else somebody was faster
					now.Password = fresh
				}
				return nil
			})
		})
	}
	if err != nil {
		b.cfg.Log.Warn("the hash of a password could not be made anew", "err", err)
	}
}
