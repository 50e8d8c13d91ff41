package page

import (
	"regexp"
	"strings"
	"time"
)

// Rows of the trail are written in English, whatever language reads them. What the daemon
// wrote there by a pattern is put into words here; all else is shown as it stands.

var (
	fromPage = regexp.MustCompile(`^(.+) from (\S+|an unknown address) \((page|control)\)$`)
	asLogin  = regexp.MustCompile(`^(.+) \(login (.+)\)$`)
	leftOut  = regexp.MustCompile(`^(\d+) more like it since the last row$`)
)

// auditWho says who: somebody at the page, or at the terminal of this machine.
func auditWho(who string, w *words) string {
	if m := fromPage.FindStringSubmatch(who); m != nil {
		name, address := m[1], m[2]
		if name == "somebody" {
			name = w.Say("audit.somebody")
		}
		if address == "an unknown address" {
			address = w.Say("audit.nowhere")
		}
		return shownLong(w.Say("audit.frompage", "name", name, "address", address))
	}
	if name, is := strings.CutSuffix(who, " (command)"); is {
		return shownLong(w.Say("audit.command", "name", name))
	}
	if m := asLogin.FindStringSubmatch(who); m != nil {
		return shownLong(w.Say("audit.aslogin", "name", m[1], "login", m[2]))
	}
	return shownLong(who)
}

// auditObject says what it was done to.
func auditObject(x AuditRow, w *words) string {
	kind, name, two := strings.Cut(x.Object, " ")
	switch {
	case x.Action == "self-test" && w.has("selftest."+x.Object):
		return w.Say("selftest." + x.Object)
	case x.Object == "uplink":
		return w.Say("menu.line")
	case x.Object == "with the chain":
		return w.Say("audit.exportchain")
	case x.Object == "as a table":
		return w.Say("audit.exporttable")
	case two && kind == "account":
		return shownLong(w.Say("audit.account", "name", name))
	}
	return shownLong(x.Object)
}

// auditReason says what was noted of it: a role, until when, how many more.
func auditReason(reason string, w *words) string {
	parts := strings.Split(reason, ", ")
	for i, part := range parts {
		until, isUntil := strings.CutPrefix(part, "until ")
		long, isLong := strings.CutPrefix(part, "for ")
		d, err := time.ParseDuration(long)
		m := leftOut.FindStringSubmatch(part)
		switch {
		case part == "technician" || part == "administrator":
			parts[i] = w.Say("page.role." + part)
		case isUntil:
			parts[i] = w.Say("audit.until", "time", until)
		case isLong && err == nil && len(parts) == 1:
			parts[i] = w.duration(d)
		case m != nil:
			parts[i] = w.Say("audit.more", "n", m[1])
		}
	}
	return shownLong(strings.Join(parts, ", "))
}
