package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/internal/audit"
)

// accountsFile is below data_dir; agent/account says what is in it.
const accountsFile = "accounts.json"

// people are the accounts of the page. The daemon and the commands below `edged
// account` share the file: what one changes the other sees at its next look.
func (a *appliance) people() *account.Book {
	return account.New(account.Config{Path: filepath.Join(a.cfg.DataDir, accountsFile), Log: a.log, Audit: a.observed(accountRows{a.trail, onPage})})
}

// lapses tells of sessions that end by themselves, until ctx ends, and then of those that
// have ended since the last look: they are known nowhere else.
func (a *appliance) lapses(ctx context.Context) error {
	tick := time.NewTicker(lapseLook)
	defer tick.Stop()
	for on := a.lapse != nil; on; {
		select {
		case <-ctx.Done():
			on = false
		case <-tick.C:
		}
		if err := a.lapse(); err != nil {
			a.log.Warn("the end of sessions could not be recorded", "err", err, "again", on)
		}
	}
	return nil
}

// lapseLook is less than a person notices of half an hour.
const lapseLook = time.Minute

// locked tells until when an account is locked, by its name: wrong passwords are counted
// by the daemon alone.
func (c *control) locked(w http.ResponseWriter, _ *http.Request) {
	until := map[string]time.Time{}
	if c.view.people != nil {
		all, err := c.view.people()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for _, a := range all {
			if !a.LockedUntil.IsZero() {
				until[a.Name] = a.LockedUntil
			}
		}
	}
	json.NewEncoder(w).Encode(until) // the peer is gone when this fails
}

// accountRows has what account tells in the audit log.
type accountRows struct {
	trail func() (*audit.Log, error)
	who   func(account.Actor) string
}

var _ account.Audit = accountRows{}

func (r accountRows) Note(e account.Event) error {
	trail, err := r.trail()
	if err != nil {
		return err
	}
	row := r.row(e)
	row.Outcome = audit.Done
	if _, err = trail.Append(row); err != nil {
		err = fmt.Errorf("%w: %w", page.ErrNotRecorded, err)
	}
	return err
}

func (r accountRows) Do(e account.Event, act func() error) error {
	trail, err := r.trail()
	if err != nil {
		return err
	}
	return recorded(trail, r.row(e), act)
}

func (r accountRows) row(e account.Event) audit.Event {
	row := audit.Event{Who: r.who(account.Actor{Name: e.Who, Address: e.Address}), Action: string(e.Action)}
	var more []string
	if e.Action == account.Lapsed { // nobody acted: the row is the appliance's own
		row.Who, more = "edged", append(more, "log-in from "+e.Address.String())
	}
	if e.Account != "" {
		row.Object = "account " + e.Account
	}
	if e.Role != 0 {
		more = append(more, e.Role.String())
	}
	if !e.Until.IsZero() {
		more = append(more, "until "+e.Until.UTC().Format(time.RFC3339))
	}
	if e.LeftOut > 0 {
		more = append(more, fmt.Sprintf("%d more like it since the last row", e.LeftOut))
	}
	row.Reason = strings.Join(more, ", ")
	return row
}
