package page

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rows of the trail are written in English, whatever language reads them. What the daemon
// wrote there by a pattern is put into words here; all else is shown as it stands.

var (
	fromPage = regexp.MustCompile(`^(.+) from (\S+|an unknown address) \((page|control)\)$`)
	asLogin  = regexp.MustCompile(`^(.+) \(login (.+)\)$`)
	leftOut  = regexp.MustCompile(`^(\d+) more like it since the last row$`)
	quotedAt = regexp.MustCompile(`^("(?:[^"\\]|\\.)*") at ("(?:[^"\\]|\\.)*")$`)
	plainAt  = regexp.MustCompile(`^(\S.*) at (\S*)$`)
	oneImage = regexp.MustCompile(`^seq:(\d+)(?: [0-9a-f]+)?$`)
	images   = regexp.MustCompile(`^(\d+) objects(, all archived)?$`)
	priority = regexp.MustCompile(`^priority (urgent|routine|backfill), services ([a-z ]+)$`)
	rowBytes = regexp.MustCompile(`^(\d+) bytes of an unfinished row were removed$`)
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
	case x.Object == "key of the spool":
		return w.Say("audit.key")
	case two && kind == "account":
		return shownLong(w.Say("audit.account", "name", name))
	case x.Action == "alarm acknowledge" && w.has("audit.alarm."+kind):
		return shownLong(joined(" · ", w.Say("audit.alarm."+kind), name))
	}
	return shownLong(auditThing(x, w))
}

// auditThing says a study, an image, or a device.
func auditThing(x AuditRow, w *words) string {
	if m := oneImage.FindStringSubmatch(x.Object); m != nil {
		return w.Say("audit.image", "n", m[1])
	}
	if m := images.FindStringSubmatch(x.Object); m != nil {
		n, _ := strconv.ParseInt(m[1], 10, 64) // digits; what is too large is the largest
		says := w.Count("line.images", n)
		if m[2] != "" {
			says += ", " + w.Say("audit.allarchived")
		}
		return says
	}
	for _, before := range []string{"study:", "study "} {
		if key, is := strings.CutPrefix(x.Object, before); is && (x.Action == "study resend" || x.Action == "data seen to") {
			return w.Say("audit.study", "key", key)
		}
	}
	if title, address, is := auditDevice(x); is && address != "" {
		return w.Say("audit.device", "title", title, "address", address)
	} else if is {
		return title
	}
	return x.Object
}

// auditDevice reads a device, as one was admitted, or as a stranger called itself.
func auditDevice(x AuditRow) (title, address string, is bool) {
	if m := quotedAt.FindStringSubmatch(x.Object); m != nil {
		title, wrong := strconv.Unquote(m[1])
		address, bad := strconv.Unquote(m[2])
		return title, address, wrong == nil && bad == nil
	}
	if m := plainAt.FindStringSubmatch(x.Object); m != nil && x.Action == "device admit" {
		return m[1], m[2], true
	}
	return "", "", false
}

// auditReason says what was noted of it: a role, until when, how many more.
func auditReason(reason string, s sighted) string {
	if m := priority.FindStringSubmatch(reason); m != nil {
		return auditServices(m[1], strings.Fields(m[2]), s.W)
	}
	if m := rowBytes.FindStringSubmatch(reason); m != nil {
		return s.W.Say("audit.torn", "n", m[1])
	}
	parts := strings.Split(reason, ", ")
	for i, part := range parts {
		parts[i] = auditPart(part, len(parts) == 1, s)
	}
	return shownLong(strings.Join(parts, ", "))
}

func auditPart(part string, alone bool, s sighted) string {
	if part == "technician" || part == "administrator" {
		return s.W.Say("page.role." + part)
	}
	if until, is := strings.CutPrefix(part, "until "); is {
		if t, err := time.Parse(time.RFC3339, until); err == nil {
			return s.W.Say("audit.until", "time", s.stamp(t))
		}
	}
	if long, is := strings.CutPrefix(part, "for "); is && alone {
		if d, err := time.ParseDuration(long); err == nil {
			return s.W.duration(d)
		}
	}
	if address, is := strings.CutPrefix(part, "log-in from "); is {
		return s.W.Say("audit.loginfrom", "address", address)
	}
	if m := leftOut.FindStringSubmatch(part); m != nil {
		return s.W.Say("audit.more", "n", m[1])
	}
	return part
}

// auditServices says what a device was admitted to.
func auditServices(priority string, services []string, w *words) string {
	says := []string{w.Say("device.priority") + ": " + w.Say("sheet.priority."+priority)}
	for _, x := range services {
		if w.has("device.service." + x) {
			x = w.Say("device.service." + x)
		}
		says = append(says, x)
	}
	return strings.Join(says, ", ")
}

// auditRaw is what was recorded, where the row says it otherwise: for who compares the page
// with a copy of the trail.
func auditRaw(x AuditRow, v auditRowView) string {
	var raw []string
	if !x.At.IsZero() {
		raw = append(raw, x.At.UTC().Format(time.RFC3339))
	}
	for _, pair := range [][2]string{{x.Who, v.Who}, {x.Action, v.Action}, {x.Object, v.Object}, {x.Reason, v.Reason}, {x.Outcome, v.Outcome}} {
		if recorded := shownLong(pair[0]); recorded != pair[1] && pair[0] != "done" && pair[0] != "intended" {
			raw = append(raw, recorded)
		}
	}
	return strings.Join(raw, " · ")
}
