package account

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"
)

// Add makes an account. The password is one that its person will change.
func (b *Book) Add(ctx context.Context, by Actor, name, password string, role Role) error {
	name = fold(name)
	if !validName(name) {
		return ErrName
	}
	if !role.May(Technician) || role > Administrator {
		return ErrRole
	}
	hash, err := b.newHash(ctx, name, password)
	if err != nil {
		return err
	}
	e := b.event(Made, by, name)
	e.Role = role
	now := e.At.UTC().Truncate(time.Second)
	return b.change(e, func(all []record) ([]record, error) {
		if find(all, name) != nil {
			return nil, ErrExists
		}
		if len(all) >= maxAccounts {
			return nil, ErrFull
		}
		return append(all, record{Name: name, Role: role, Password: hash, Stamp: newStamp(), Made: now, Changed: now}), nil
	})
}

// SetPassword is for an administrator, who need not know the old one. It ends the
// account's sessions and its lock-out.
func (b *Book) SetPassword(ctx context.Context, by Actor, name, password string) error {
	name = fold(name)
	hash, err := b.newHash(ctx, name, password)
	if err != nil {
		return err
	}
	e := b.event(PasswordChanged, by, name)
	return b.alter(e, func(r *record) error {
		r.Password, r.Stamp, r.Changed = hash, newStamp(), e.At.UTC().Truncate(time.Second)
		return nil
	})
}

// ChangePassword is for the person who is logged in with token. A wrong old password
// counts like one at log-in. All sessions of the account end; the token of a new one is
// given.
func (b *Book) ChangePassword(ctx context.Context, token string, from netip.Addr, old, password string) (string, Session, error) {
	s, err := b.Use(token)
	if err != nil {
		return "", Session{}, err
	}
	if err := Rules(s.Name, password); err != nil {
		return "", Session{}, err
	}
	verified, err := b.verify(ctx, s.Name, old, from)
	if err != nil {
		return "", Session{}, err
	}
	hash, err := b.newHash(ctx, s.Name, password)
	if err != nil {
		return "", Session{}, err
	}
	e := b.event(PasswordChanged, Actor{s.Name, from}, s.Name)
	changed := verified
	err = b.alter(e, func(r *record) error {
		if r.Stamp != verified.Stamp { // an administrator was faster
			return ErrNoSession
		}
		r.Password, r.Stamp, r.Changed = hash, newStamp(), e.At.UTC().Truncate(time.Second)
		changed = *r
		return nil
	})
	if err != nil {
		return "", Session{}, err
	}
	return b.open(changed, from)
}

// SetRole ends the account's sessions, too.
func (b *Book) SetRole(by Actor, name string, role Role) error {
	if !role.May(Technician) || role > Administrator {
		return ErrRole
	}
	e := b.event(RoleChanged, by, fold(name))
	e.Role = role
	return b.change(e, func(all []record) ([]record, error) {
		if role != Administrator && lastAdministrator(all, e.Account) {
			return nil, ErrLast
		}
		return all, alter(all, e.Account, func(r *record) error {
			r.Role, r.Stamp, r.Changed = role, newStamp(), e.At.UTC().Truncate(time.Second)
			return nil
		})
	})
}

// Remove ends the account and its sessions.
func (b *Book) Remove(by Actor, name string) error {
	e := b.event(Removed, by, fold(name))
	return b.change(e, func(all []record) ([]record, error) {
		if lastAdministrator(all, e.Account) {
			return nil, ErrLast
		}
		for i := range all {
			if all[i].Name == e.Account {
				return append(all[:i], all[i+1:]...), nil
			}
		}
		return nil, ErrUnknown
	})
}

// Unlock ends a lock-out, in whichever process it is.
func (b *Book) Unlock(by Actor, name string) error {
	return b.alter(b.event(Freed, by, fold(name)), func(r *record) error {
		r.Freed++
		return nil
	})
}

func (b *Book) event(a Action, by Actor, account string) Event {
	return Event{At: b.cfg.Now(), Action: a, Who: by.Name, Address: by.Address, Account: account}
}

// alter changes one account.
func (b *Book) alter(e Event, do func(*record) error) error {
	return b.change(e, func(all []record) ([]record, error) { return all, alter(all, e.Account, do) })
}

// change records, rewrites and takes up what stands then. What cannot be is told from
// the file as it is before anything is recorded: it would be no event.
func (b *Book) change(e Event, do func([]record) ([]record, error)) error {
	err := ownDir(filepath.Dir(b.cfg.Path))
	if err == nil {
		err = b.rehearse(do)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.Action, err)
	}
	err = b.cfg.Audit.Do(e, func() error { return rewrite(b.cfg.Path, do) })
	b.mu.Lock()
	defer b.mu.Unlock()
	if fresh := b.refresh(); err == nil {
		err = fresh
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.Action, err)
	}
	return nil
}

// rehearse does the change to a copy.
func (b *Book) rehearse(do func([]record) ([]record, error)) error {
	all, err := load(b.cfg.Path)
	if err == nil {
		_, err = do(all)
	}
	return err
}

func (b *Book) newHash(ctx context.Context, name, password string) (hash string, err error) {
	if err := Rules(name, password); err != nil {
		return "", err
	}
	err = b.places.with(ctx, func() { hash = hashed(b.params, password).String() })
	return hash, err
}

func newStamp() string { return base64.RawURLEncoding.EncodeToString(random(stampLen)) }

func find(all []record, name string) *record {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

func alter(all []record, name string, do func(*record) error) error {
	r := find(all, name)
	if r == nil {
		return ErrUnknown
	}
	return do(r)
}

// lastAdministrator is whether nobody but name could make an account.
func lastAdministrator(all []record, name string) bool {
	r := find(all, name)
	if r == nil || r.Role != Administrator {
		return false
	}
	for _, other := range all {
		if other.Name != name && other.Role == Administrator {
			return false
		}
	}
	return true
}
