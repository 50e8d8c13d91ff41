package main

import (
	"errors"
	"fmt"
	"sync"

	"edged/agent/account"
	"edged/agent/page"
	"edged/internal/audit"
)

// One audit log serves the control socket and the page.
//
// Without its key nothing is recorded, so nothing is changed, and nobody logs in: an
// access that leaves no row is worse than none, and what a log-in shows more than the
// page shows anybody (names, the trail itself) is sealed with that same key. What is
// wrong then stands on the page for everybody and in `edged status`; who is root on
// this machine puts it right (edged spool recover-key). Sessions that are open stay
// open, and are told why a change is refused.

// errNoKeyYet: rows that are written before the key is made would be plain for as long
// as this process lives.
var errNoKeyYet = errors.New("the key of the spool is not made yet: the appliance is starting")

// auditing makes the log when it is first needed: the key is there when the spool has
// been opened.
type auditing struct {
	mu  sync.Mutex // guards log
	log *audit.Log
}

// trail is the audit log, one for the life of the daemon.
func (a *appliance) trail() (*audit.Log, error) {
	a.auditing.mu.Lock()
	defer a.auditing.mu.Unlock()
	if a.auditing.log != nil {
		return a.auditing.log, nil
	}
	key, err := a.cfg.spoolKey()
	if err == nil && key == nil && a.cfg.Spool.Encryption {
		err = errNoKeyYet
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", page.ErrNotRecorded, err)
	}
	a.auditing.log = newTrail(&a.cfg, key)
	return a.auditing.log, nil
}

// audited has somebody on the page change something: the intent is on the disk before
// act is called, and how it ended after it.
func (a *appliance) audited(by account.Actor, action, object, reason string, act func() error) error {
	trail, err := a.trail()
	if err != nil {
		return err
	}
	return recorded(trail, audit.Event{Who: onPage(by), Action: action, Object: object, Reason: reason}, act)
}

// recorded is Do of a trail, whose error tells the page where act was not called.
func recorded(trail *audit.Log, e audit.Event, act func() error) error {
	begun := false
	err := trail.Do(e, func() error { begun = true; return act() })
	if err != nil && !begun {
		err = fmt.Errorf("%w: %w", page.ErrNotRecorded, err)
	}
	return err
}

// onPage is somebody at the page as the audit log names him.
func onPage(by account.Actor) string {
	name, address := by.Name, "an unknown address"
	if name == "" {
		name = "somebody"
	}
	if by.Address.IsValid() {
		address = by.Address.String()
	}
	return fmt.Sprintf("%s from %s (page)", name, address)
}
