package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"edged/agent/account"
	"edged/agent/auditmsg"
	"edged/agent/status"
	"edged/internal/audit"
	"edged/internal/syslog5424"
)

// activity says that the appliance has started, or stops (PS3.15 §A.5.3.1).
func (h *herald) activity(stop bool) {
	h.say(syslog5424.Notice, func(at time.Time) []byte {
		return h.author.Activity(auditmsg.Activity{Event: auditmsg.Event{Time: at}, Stop: stop, Process: h.me})
	})
}

// confess says that messages are missing.
func (h *herald) confess(n int64, at time.Time) []byte {
	return h.alert(at, auditmsg.AuditStopped, auditmsg.Serious, "", plural(n, "audit message")+" were lost before they could be sent")
}

func (h *herald) alert(at time.Time, kind auditmsg.AlertKind, o auditmsg.Outcome, node, text string, by ...auditmsg.Party) []byte {
	return h.author.Alert(auditmsg.Alert{Event: auditmsg.Event{Time: at, Outcome: o}, Kind: kind, Reporter: h.me, Performers: by, Node: node, Text: text})
}

// alarm tells who guards the network (§A.5.3.11).
func (h *herald) alarm(kind auditmsg.AlertKind, o auditmsg.Outcome, node, text string, by ...auditmsg.Party) {
	h.say(syslog5424.Warning, func(at time.Time) []byte { return h.alert(at, kind, o, node, text, by...) })
}

// alerts keeps what is repeated from filling the spool: of each cause and caller one in
// ten minutes is told, and the next says how many there were in between.
type alerts struct {
	mu   sync.Mutex // guards told
	told map[alertKey]*alertCount
}

type alertKey struct {
	code             status.RefusalCode
	calling, address string
}

type alertCount struct {
	since time.Time
	more  int64
}

const (
	alertEvery = 10 * time.Minute
	maxAlerts  = 256 // callers remembered; whoever comes beyond shares one place (P9)
)

// ofGuards are the refusals that concern who guards the network: somebody is not who he
// has to be. The others are a full disk or a clumsy configuration.
var ofGuards = map[status.RefusalCode]string{
	status.UnknownCalling: "an unknown node asked for an association and was refused",
	status.WrongAddress:   "a known AE title came from another address and was refused",
	status.WrongCalled:    "a node called by an AE title that is not ours and was refused",
	status.NeedsTLS:       "a node came without TLS, which is demanded of it, and was refused",
	status.NoCertificate:  "a node came by TLS without the certificate that is demanded of it and was refused",
	status.TLSFailed:      "a TLS handshake failed",
	status.NotDICOM:       "something else than DICOM was spoken at the DICOM port",
}

// turnedAway is told of every refusal.
func (h *herald) turnedAway(c caller, code status.RefusalCode, detail string) {
	text, of := ofGuards[code]
	if h == nil || !of {
		return
	}
	more, due := h.alerts.due(alertKey{code, c.calling, c.address}, h.now())
	if !due {
		return
	}
	if detail != "" {
		text += ": " + detail
	}
	if more > 0 {
		text += fmt.Sprintf(" (%d more since the last of these)", more)
	}
	h.alarm(auditmsg.NodeAuthentication, auditmsg.Minor, c.address, text, auditmsg.Party{ID: cmp.Or(c.calling, c.address), AETitles: []string{c.calling}, Host: c.address})
}

func (a *alerts) due(k alertKey, now time.Time) (more int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told == nil {
		a.told = make(map[alertKey]*alertCount)
	}
	if a.told[k] == nil && len(a.told) >= maxAlerts {
		k = alertKey{code: k.code} // at most one for each code
	}
	c := a.told[k]
	if c == nil {
		a.told[k] = &alertCount{since: now}
		return 0, true
	}
	if now.Sub(c.since) < alertEvery {
		c.more++
		return 0, false
	}
	more, c.more, c.since = c.more, 0, now
	return more, true
}

// forget lets go of those that have been quiet for long, and tells what they left untold.
func (h *herald) forgetAlerts() {
	a, now := &h.alerts, h.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.told {
		if now.Sub(c.since) < alertEvery {
			continue
		}
		if c.more > 0 {
			text := fmt.Sprintf("%s: %d more since the last of these", ofGuards[k.code], c.more)
			h.alarm(auditmsg.NodeAuthentication, auditmsg.Minor, k.address, text)
		}
		delete(a.told, k)
	}
}

// account is told what happens with the accounts of the page (§A.5.3.12).
func (h *herald) account(e account.Event) {
	if h == nil {
		return
	}
	who := h.personAt(cmp.Or(e.Account, e.Who, "unknown"), e.Address)
	switch e.Action {
	case account.LoggedIn, account.LoggedOut, account.Lapsed, account.Failed, account.Refused:
		o, severity := auditmsg.Success, syslog5424.Notice
		if e.Action == account.Failed || e.Action == account.Refused {
			o, severity = auditmsg.Minor, syslog5424.Warning
		}
		reason := ""
		if e.LeftOut > 0 {
			reason = fmt.Sprintf("%d more were not told one by one", e.LeftOut)
		}
		h.say(severity, func(at time.Time) []byte {
			lapsed := e.Action == account.Lapsed
			return h.author.Login(auditmsg.Login{Event: auditmsg.Event{Time: at, Outcome: o, Reason: reason}, Logout: lapsed || e.Action == account.LoggedOut, Expired: lapsed, Person: who, Node: h.me})
		})
	case account.Locked:
		h.alarm(auditmsg.UserSecurity, auditmsg.Major, "", "an account was locked after too many wrong passwords", who)
	default:
		kind := auditmsg.UserSecurity
		if e.Action == account.RoleChanged {
			kind = auditmsg.SecurityRoles
		}
		by := h.personAt(cmp.Or(e.Who, "unknown"), e.Address)
		h.alarm(kind, auditmsg.Success, "", fmt.Sprintf("%s: %s", e.Action, e.Account), by)
	}
}

// personAt is somebody who works here.
func (h *herald) personAt(name string, from netip.Addr) auditmsg.Party {
	host := h.me.Host
	if from.IsValid() {
		host = from.Unmap().String()
	}
	return auditmsg.Party{ID: name + "@" + h.author.ID, Name: name, Host: host}
}

// integrity looks for images that are not what was stored, and tells what is new.
func (h *herald) integrity(look func() (damaged, conflicts int64, known bool)) func() {
	var damaged, conflicts int64
	return func() {
		d, c, known := look()
		if !known {
			return
		}
		if d > damaged {
			h.alarm(auditmsg.ObjectSecurity, auditmsg.Major, "", plural(d-damaged, "stored instance")+" are damaged or gone here")
		}
		if c > conflicts {
			h.alarm(auditmsg.ObjectSecurity, auditmsg.Minor, "", plural(c-conflicts, "stored instance")+" share a SOP Instance UID with another one of other contents; all are kept")
		}
		damaged, conflicts = d, c
	}
}

// damage is what integrity looks at.
func (a *appliance) damage() (damaged, conflicts int64, known bool) {
	s, err := a.keeper.get()
	if err != nil {
		return 0, 0, false
	}
	st := s.Stats()
	d := damageOf(s, st)
	return d.HubHasCopy + d.NoOtherCopy, st.Conflicts, true
}

const chainEvery = 24 * time.Hour

// chain verifies the audit log at the start and once a day, and publishes its head: with
// that, whoever has the messages sees when its newest rows were cut off.
func (h *herald) chain(read func() (audit.Report, error)) func() {
	var next time.Time
	return func() {
		now := h.now()
		if now.Before(next) {
			return
		}
		rep, err := read()
		if err != nil {
			next = now.Add(time.Minute) // the key is not there yet
			return
		}
		next = now.Add(chainEvery)
		h.logUsed(h.me, rep)
	}
}

// logUsed says what somebody found who read the audit log (§A.5.3.2).
func (h *herald) logUsed(by auditmsg.Party, rep audit.Report) {
	if h == nil {
		return
	}
	o, found := auditmsg.Success, "the log is empty"
	if rep.Seq > 0 {
		found = fmt.Sprintf("the chain is whole: head %d=%s", rep.Seq, rep.Head)
	}
	if rep.Broken > 0 {
		o, found = auditmsg.Major, fmt.Sprintf("the chain is broken in %s", plural(int64(rep.Broken), "place"))
		h.alarm(auditmsg.AuditStopped, auditmsg.Major, "", "the audit log of this appliance was changed: "+found)
	}
	h.say(syslog5424.Notice, func(at time.Time) []byte {
		return h.author.LogUsed(auditmsg.LogUsed{Event: auditmsg.Event{Time: at, Outcome: o, Reason: found}, Reader: by, Address: "file://" + filepath.Join(h.cfg.DataDir, auditDir)})
	})
}

// auditReport reads the audit log to its end.
func (a *appliance) auditReport() (audit.Report, error) {
	key, err := a.cfg.spoolKey()
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Read(filepath.Join(a.cfg.DataDir, auditDir), key, func(audit.Event) error { return nil })
}
