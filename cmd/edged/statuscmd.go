package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"edged/agent/page"
	"edged/agent/status"
)

// statusCmd says in the terminal what the page says.
type statusCmd struct {
	configFlag
	JSON bool `help:"The body of /api/v1/status."`
}

func (c *statusCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	d, err := theDaemon(p.ctx, &cfg)
	if err != nil {
		return err
	}
	st, err := d.status(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(p.stdout)
		out.SetIndent("", "  ")
		return out.Encode(st)
	}
	return printStatus(p.stdout, inZone(st, cfg), time.Now(), besides(p.ctx, d, time.Now())...)
}

// besides is what the daemon says that is not in its status: an older one says nothing.
func besides(ctx context.Context, d *client, now time.Time) (out []page.Fact) {
	var door pageDoor
	if d.ask(ctx, http.MethodGet, "/page", nil, &door) == nil {
		out = append(out, page.Fact{What: "page", Says: door.String()})
	}
	var trail syslogStatus
	if d.ask(ctx, http.MethodGet, "/repository", nil, &trail) == nil {
		out = append(out, page.Fact{What: "audit", Says: trail.said(now)})
	}
	return out
}

// inZone has the times said by the facility's clock, as the page says them.
func inZone(st status.Status, cfg Config) status.Status {
	if zone, err := time.LoadLocation(cfg.Facility.TimeZone); err == nil {
		st.At = st.At.In(zone)
	}
	return st
}

// marks stand for the colours of the page.
var marks = map[status.State]string{status.OK: "✔", status.CatchingUp: "↻", status.Attention: "!", status.Stopped: "✖"}

// printStatus says the sentences of the page, and figures below them, in two columns.
func printStatus(out io.Writer, st status.Status, now time.Time, more ...page.Fact) error {
	said := page.Say(st, "en")
	w := tabwriter.NewWriter(out, 18, 4, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row(cmp.Or(marks[st.State], "?")+" "+strings.ToUpper(said.Word), "%s", said.Sentence)
	for _, also := range append(slices.DeleteFunc([]string{said.Action}, isEmpty), said.Also...) {
		row("", "%s", also)
	}
	c := st.Counters
	row("images", "%d received, %d at the hub, %d archived, %d discarded", c.Received, c.AtHub, c.Archived, c.Discarded)
	row("refused", "%d images and connections", c.Refused)
	if n := st.Findings.Unreadable; n > 0 {
		row("findings", "header not readable: %d, handled like all others; `edged spool ls` shows which", n)
	}
	if n := st.Findings.Conflicts; n > 0 {
		row("conflicts", "%d images share a SOP Instance UID with another one of other contents; all are kept, the hub holds the later ones; `edged spool ls` shows which", n)
	}
	row("last", "received %s, archived %s", ago(st.LastReceivedAt, now), ago(st.LastArchivedAt, now))
	row("spool", "%d objects, %s, %d of them in quarantine, %s", st.Spool.Objects, inBytes(st.Spool.Bytes), st.Spool.Quarantined, room(st.Spool))
	if r := st.Recovering; r != nil {
		row("starting", "%d of %d files read", r.Done, r.Total)
	}
	if d := st.Spool.Damage; d != (status.Damage{}) {
		row("damaged", "%d here only, %d of which the hub has a good copy; `edged spool ls` shows which", d.NoOtherCopy, d.HubHasCopy)
	}
	if n := st.Spool.Unfinished; n > 0 {
		row("unfinished", "%d files were half written when the power went; never accepted, `edged spool discard` removes them", n)
	}
	row("check", "all images last read again %s; %d since the start, %d damaged", ago(st.Spool.Scrub.PassedAt, now), st.Spool.Scrub.Objects, st.Spool.Scrub.Damaged)
	row("line", "%s", line(st.Uplink))
	for _, fact := range page.SayLine(st, now.In(st.At.Location()), "en") {
		row("  "+lowered(fact.What), "%s", fact.Says)
	}
	row("DICOM", "AE title %s, %d associations, %s", st.AETitle, st.DICOM.Associations, ready(st.DICOM))
	if c := st.DICOM.Commitments; c.Requests > 0 {
		row("commitment", "%d requests of devices are not answered yet, for %d images; %d of them could not be delivered so far", c.Requests, c.Instances, c.Unreached)
	}
	for _, x := range said.Warnings {
		row("warning", "%s", x)
	}
	row("version", "%s, up %s", st.Version, now.Sub(st.StartedAt).Round(time.Second))
	for _, fact := range more {
		row(fact.What, "%s", fact.Says)
	}
	return w.Flush()
}

// room is what fits, and for how long.
func room(s status.Spool) string {
	said := "room for " + inBytes(s.FreeBytes)
	switch {
	case s.DaysLeft == nil:
	case *s.DaysLeft > 365:
		said += ", full in more than a year at today's pace if nothing left"
	default:
		said += fmt.Sprintf(", full in %.1f days at today's pace if nothing left", *s.DaysLeft)
	}
	return said
}

func isEmpty(s string) bool { return s == "" }

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return now.Sub(t).Round(time.Second).String() + " ago"
}

func line(u status.Uplink) string {
	switch {
	case u.Hub == "" && !u.Connected:
		return "no hub"
	case !u.Connected:
		return fmt.Sprintf("no connection to %s, %d objects (%s) wait: %s", u.Hub, u.BacklogObjects, inBytes(u.BacklogBytes), status.Shown(u.LastError))
	}
	return fmt.Sprintf("connected to %s, %d objects (%s) wait", u.Hub, u.BacklogObjects, inBytes(u.BacklogBytes))
}

// lowered makes a heading of the page a row of the terminal; names stay as they are.
func lowered(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

func ready(d status.DICOM) string {
	if d.Ready {
		return "ready"
	}
	return "not ready: " + status.Shown(d.NotReady)
}

func inBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n), -1
	for v >= unit && i < 4 {
		v /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[i])
}
