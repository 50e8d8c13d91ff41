package page

import (
	"io"
	"net/http"
	"slices"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// SystemDesk knows the machine.
type SystemDesk interface {
	System() System
	// Bundle writes what support needs to w, without anything about a patient.
	Bundle(by account.Actor, w io.Writer) error
}

// System is how the machine is.
type System struct {
	Encrypted    bool
	Recoverable  bool // a recovery key is known
	Certificates []Certificate
	Limits       SystemLimits
	Clock        Clock
	TotalBytes   int64 // of the disk with the images
	FreeBytes    int64
	Degrees      int // of the hottest part; 0: not measured
	Unmeasured   []string
	Runtime      string // of the program, for support
	Booted       time.Time
	Repository   Repository
}

// SystemLimits are days from where the page marks what is left, as the alarms do.
type SystemLimits struct{ SpaceSoon, SpaceNow, CertificateSoon, CertificateNow int }

// fewerThan reports whether something is left for less than so many days.
func fewerThan(left time.Duration, days int) bool { return left < time.Duration(days)*24*time.Hour }

// Repository is the facility's audit repository, to which this appliance tells what
// happens here.
type Repository struct {
	Server  string // "": none is configured
	Waiting int64  // messages that have not arrived yet
	Lost    int64  // since the start of the program
	Trouble string // why none arrives; "": they do
	Since   time.Time
}

// Certificate is one that this appliance shows.
type Certificate struct {
	ID    string // uplink, page or dicom
	Until time.Time
	Print string
}

// Clock is how right the time is.
type Clock struct {
	Known  bool
	Synced bool
	Error  time.Duration // at most so wrong, as the kernel believes
}

func (p *Page) systemLeaves() []leaf {
	if p.cfg.System == nil {
		return nil
	}
	return []leaf{
		{path: "/system", menu: "menu.system", file: "system.html", fresh: []string{"system"}, build: p.systemPage},
		{path: "/system/bundle", role: account.Administrator, raw: p.serveBundle},
	}
}

func (p *Page) systemDeeds() []deed { return nil }

type systemView struct {
	Parts     []systemPart
	MayBundle bool
}

type systemPart struct {
	ID    string
	Title string
	Rows  []systemRow
}

// systemRow has a mark with words where something is to be judged.
type systemRow struct {
	Label, Says, Quiet string
	Mark               string // ok, look or bad; "" judges nothing
	Word               string
}

func (p *Page) systemPage(rq *request) (any, error) {
	return systemViewOf(p.cfg.System.System(), facts{Status: p.status(), Now: rq.Now}, rq.Viewer, rq.W), nil
}

func systemViewOf(s System, f facts, v viewer, w *words) systemView {
	return systemView{MayBundle: v.May(account.Administrator), Parts: []systemPart{
		{"disk", w.Say("system.disk"), diskOf(s, f, w)},
		{"time", w.Say("system.time"), timeOf(s, f, w)},
		{"certs", w.Say("system.certs"), certsOf(s, f, w)},
		{"hub", w.Say("system.hub"), hubOf(f, w)},
		{"audit", w.Say("system.audit"), repositoryOf(s.Repository, f, w)},
		{"program", w.Say("system.program"), programOf(s, f, w)},
	}}
}

func judged(label, says, mark string, w *words) systemRow {
	return systemRow{Label: label, Says: says, Mark: mark, Word: w.Say("system.mark." + mark)}
}

func diskOf(s System, f facts, w *words) (rows []systemRow) {
	if f.Status.SpoolUnknown {
		rows = diskUnread(w)
	} else {
		rows = spoolRows(s, f, w)
	}
	whole := []systemRow{encryptionOf(s, w)}
	if s.TotalBytes > 0 {
		whole = append([]systemRow{{Label: w.Say("system.total"), Says: w.bytes(s.TotalBytes)}}, whole...)
	}
	rows = slices.Insert(rows, 2, whole...) // behind how much room there is
	for _, id := range s.Unmeasured {
		rows = append(rows, systemRow{Label: w.Say("system.part." + id), Says: w.Say("system.unmeasured")})
	}
	if s.Degrees > 0 {
		rows = append(rows, systemRow{Label: w.Say("system.part.heat"), Says: w.Say("system.degrees", "n", w.number(int64(s.Degrees)))})
	}
	return rows
}

// spoolRows say how much room there is, and whether what is here is whole.
func spoolRows(s System, f facts, w *words) []systemRow {
	sp := f.Status.Spool
	free := systemRow{Label: w.Say("system.free"), Says: w.bytes(sp.FreeBytes), Quiet: w.Say("system.used", "bytes", w.bytes(sp.Bytes), "n", w.number(sp.Objects))}
	damage := judged(w.Say("system.damage"), w.Say("system.damage.none"), "ok", w)
	if sp.Damage.NoOtherCopy > 0 {
		damage = judged(w.Say("system.damage"), w.number(sp.Damage.NoOtherCopy), "bad", w)
	}
	scrub := systemRow{Label: w.Say("system.scrub"), Says: w.Say("system.scrub.never")}
	if !sp.Scrub.PassedAt.IsZero() {
		scrub.Says = f.moment(w, sp.Scrub.PassedAt)
	}
	return []systemRow{daysLeftOf(s, sp, w), free, damage, scrub}
}

// daysLeftOf judges how long the room lasts, if anybody can say.
func daysLeftOf(s System, sp status.Spool, w *words) systemRow {
	label, d := w.Say("system.daysleft"), sp.DaysLeft
	if d == nil {
		return systemRow{Label: label, Says: w.Say("system.daysleft.unknown")}
	}
	mark, says := "ok", w.Count("duration.days", int64(min(*d, 9999)))
	if *d > 365 {
		says = w.Say("system.daysleft.year")
	}
	if *d < 1 {
		says = w.Say("system.daysleft.less")
	}
	if *d < float64(s.Limits.SpaceNow) {
		mark = "bad"
	} else if *d < float64(s.Limits.SpaceSoon) {
		mark = "look"
	}
	return judged(label, says, mark, w)
}

func encryptionOf(s System, w *words) systemRow {
	label := w.Say("system.encryption")
	switch {
	case !s.Encrypted:
		return judged(label, w.Say("system.encryption.off"), "look", w)
	case !s.Recoverable:
		return judged(label, w.Say("system.encryption.norecovery"), "look", w)
	}
	return judged(label, w.Say("system.encryption.on"), "ok", w)
}

func timeOf(s System, f facts, w *words) (rows []systemRow) {
	rows = append(rows, systemRow{Label: w.Say("system.now"), Says: w.date(f.Now) + " " + f.Now.Format("15:04:05"), Quiet: f.Now.Location().String()})
	label := w.Say("system.sync")
	switch {
	case !s.Clock.Known:
		return append(rows, systemRow{Label: label, Says: w.Say("system.unmeasured")})
	case !s.Clock.Synced:
		return append(rows, judged(label, w.Say("system.sync.no"), "look", w))
	}
	return append(rows, judged(label, w.Say("system.sync.yes", "duration", w.brief(s.Clock.Error)), "ok", w))
}

func certsOf(s System, f facts, w *words) (rows []systemRow) {
	if len(s.Certificates) == 0 { // a heading with nothing below it says less
		return []systemRow{{Label: w.Say("system.certs"), Says: w.Say("system.cert.none")}}
	}
	for _, c := range s.Certificates {
		r := systemRow{Label: w.Say("cert." + c.ID), Says: w.Say("system.cert.none")}
		if !c.Until.IsZero() {
			left := c.Until.Sub(f.Now)
			days := int64(left / (24 * time.Hour))
			mark := "ok"
			switch {
			case left <= 0, fewerThan(left, s.Limits.CertificateNow):
				mark = "bad"
			case fewerThan(left, s.Limits.CertificateSoon):
				mark = "look"
			}
			says := w.Say("system.cert.ended", "date", w.date(c.Until.In(f.Now.Location())))
			if left > 0 {
				says = w.Count("duration.days", days)
			}
			r = judged(r.Label, says, mark, w)
			r.Quiet = w.Say("system.cert.until", "date", w.date(c.Until.In(f.Now.Location())))
		}
		if c.Print != "" {
			r.Quiet += " · " + c.Print
		}
		rows = append(rows, r)
	}
	return rows
}

func hubOf(f facts, w *words) (rows []systemRow) {
	for _, n := range f.Status.Uplink.Nodes {
		r := systemRow{Label: status.Shown(n.Address), Says: w.Say("system.hub.spare")}
		switch {
		case n.SetAside:
			r = judged(r.Label, w.Say("system.hub.aside"), "look", w)
		case n.InUse:
			r = judged(r.Label, w.Say("system.hub.used"), "ok", w)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		rows = append(rows, systemRow{Label: w.Say("system.hub.node"), Says: w.Say("system.hub.none")})
	}
	return rows
}

func repositoryOf(r Repository, f facts, w *words) (rows []systemRow) {
	if r.Server == "" {
		return append(rows, systemRow{Label: w.Say("system.audit.server"), Says: w.Say("system.audit.none")})
	}
	server := judged(w.Say("system.audit.server"), w.Say("system.audit.up"), "ok", w)
	if r.Trouble != "" {
		server = judged(server.Label, w.Say("system.audit.away"), "look", w)
		if !r.Since.IsZero() {
			server.Says = w.Say("system.audit.awaysince", "time", f.moment(w, r.Since))
		}
	}
	server.Quiet = status.Shown(r.Server)
	rows = append(rows, server, systemRow{Label: w.Say("system.audit.waiting"), Says: w.number(r.Waiting)})
	if r.Lost > 0 {
		return append(rows, judged(w.Say("system.audit.lost"), w.number(r.Lost), "look", w))
	}
	return append(rows, judged(w.Say("system.audit.lost"), w.Say("system.audit.lost.none"), "ok", w))
}

func programOf(s System, f facts, w *words) (rows []systemRow) {
	rows = append(rows, systemRow{Label: w.Say("system.version"), Says: status.Shown(f.Status.Version), Quiet: s.Runtime})
	if !f.Status.StartedAt.IsZero() {
		rows = append(rows, systemRow{Label: w.Say("system.uptime"), Says: w.duration(f.Now.Sub(f.Status.StartedAt)), Quiet: f.moment(w, f.Status.StartedAt)})
	}
	if !s.Booted.IsZero() {
		rows = append(rows, systemRow{Label: w.Say("system.booted"), Says: f.moment(w, s.Booted)})
	}
	return append(rows, systemRow{Label: w.Say("system.updates"), Says: w.Say("system.updates.manual")})
}

// serveBundle gives a file to keep. It is written whole before it is sent: half of one
// could not be told from a whole.
func (p *Page) serveBundle(w http.ResponseWriter, rq *request) error {
	var whole capped
	if err := p.cfg.System.Bundle(rq.Viewer.Actor(), &whole); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/gzip")
	h.Set("Content-Disposition", `attachment; filename="edged-support-`+rq.Now.Format("20060102-150405")+`.tar.gz"`)
	w.Write(whole.b) // the client is gone when this fails
	return nil
}

// maxBundle is more than there ever is.
const maxBundle = 32 << 20

type capped struct{ b []byte }

func (c *capped) Write(p []byte) (int, error) {
	if len(c.b)+len(p) > maxBundle {
		return 0, io.ErrShortWrite
	}
	c.b = append(c.b, p...)
	return len(p), nil
}
