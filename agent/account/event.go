package account

import (
	"net/netip"
	"time"
)

// Action is what happened.
type Action string

// The actions. LoggedIn and the changes, from Made on, are told before they take effect.
const (
	Failed    Action = "log-in failed"  // a wrong name or password
	Refused   Action = "log-in refused" // not looked at: too many wrong ones before
	Locked    Action = "account locked" // too many wrong ones, in a row from this address or from many; Until says how long
	LoggedOut Action = "log-out"
	LoggedIn  Action = "log-in"
	Lapsed    Action = "session ended by itself" // not used for long, too old, or the one unused for longest of too many

	Made            Action = "account made"
	PasswordChanged Action = "password changed"
	RoleChanged     Action = "role changed"
	Removed         Action = "account removed"
	Freed           Action = "account unlocked"
)

// Event is for the audit trail. It never holds a password, nor a name that is not an
// account's.
type Event struct {
	At      time.Time
	Action  Action
	Who     string     // who acts: an account or a command; empty: not known, and nobody where Lapsed
	Address netip.Addr // from where, of Lapsed the log-in; zero: this machine
	Account string     // whom it is about; empty: no account that there is
	Role    Role       // of Made and RoleChanged: the new one; of LoggedIn: that of the session
	Until   time.Time  // of Locked and Refused
	LeftOut int        // so many Failed and Refused since the last one told were not told
}

// Audit is told of events. Both methods are called from any goroutine and must not
// return before the row is durable.
type Audit interface {
	// Note records what has happened. An error keeps a log-in from taking effect.
	Note(Event) error
	// Do records what is about to happen, calls act once, and records how it ended. Where
	// it cannot record, it must not call act.
	Do(e Event, act func() error) error
}

type nobody struct{}

func (nobody) Note(Event) error                   { return nil }
func (nobody) Do(_ Event, act func() error) error { return act() }

const (
	noisy       = 60 // Failed and Refused together
	noisyWindow = time.Minute
)

// quiet keeps a flood of refused log-ins from filling the audit trail. It is the same for
// names that are known and that are not, else the time of an answer would tell.
type quiet struct {
	since   time.Time
	told    int
	leftOut int
}

func (q *quiet) tell(now time.Time) (leftOut int, ok bool) {
	if q.since.IsZero() || now.Sub(q.since) >= noisyWindow {
		q.since, q.told = now, 0
	}
	if q.told >= noisy {
		q.leftOut++
		return 0, false
	}
	leftOut, q.leftOut = q.leftOut, 0
	q.told++
	return leftOut, true
}

// noteNoisy tells e unless there are too many like it.
func (b *Book) noteNoisy(e Event) error {
	b.mu.Lock()
	leftOut, ok := b.quiet.tell(e.At)
	b.mu.Unlock()
	if !ok {
		return nil
	}
	e.LeftOut = leftOut
	return b.cfg.Audit.Note(e)
}
