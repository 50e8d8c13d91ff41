package page

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// DeviceDesk knows what devices do usually, admits them, and has what stands on their
// set-up sheets. Its methods may be called from several goroutines.
type DeviceDesk interface {
	// Habit says what is usual of the device with an AE title, as of now.
	Habit(title string) Habit
	// Offered are the services that a device may be admitted to here.
	Offered() []string
	// Admit lets a device call from now on, for good. ErrNotTaken: it cannot be so.
	Admit(by account.Actor, a Admission) error
	// Ignore hides a stranger who calls from an address, for a month; Hear shows it again.
	Ignore(by account.Actor, title, address string) error
	Hear(by account.Actor, title, address string) error
	Ignored() []Stranger
	// Sheet is what a modality has to be told, and of the device with that title what is
	// registered; "" is for any device.
	Sheet(title string) (Sheet, bool)
}

// ErrNotTaken says that what somebody entered cannot be done, and nothing was changed.
var ErrNotTaken = errors.New("not taken")

// Admission is what an administrator enters.
type Admission struct {
	Title, Address, Name, Priority string
	Services                       []string
}

// Stranger is a caller that is not shown any more.
type Stranger struct {
	Title, Address string
	Until          time.Time
}

// Habit is a device's day beside its usual one. Studies are counted, by the hour in which
// the first image came.
type Habit struct {
	Hours [24]int64 // of today
	Today int64

	Known      bool // enough days of this weekday were seen
	UsualHours [24]float64
	UsualByNow float64
	Late       bool   // by this time it has always sent something, and today nothing
	By         string // "09:40": by then it always had; "" not always

	ClockKnown bool
	Ahead      time.Duration // how far its clock is ahead of ours, in the median of its last studies
	ClockLimit time.Duration // from where that is somebody's business. If zero, a minute

	Quiet time.Duration // a study is complete after so much silence
}

func (p *Page) deviceLeaves() []leaf {
	if p.cfg.Devices == nil {
		return nil
	}
	return []leaf{
		{path: "/devices", menu: "menu.devices", file: "devices.html", fresh: []string{"pending", "device-list"}, build: p.devicesPage},
		{path: "/devices/sheet", title: "sheet.title", file: "sheet.html", print: true, build: p.sheetPage},
		{path: "/devices/sheet/qr.svg", raw: p.serveQR},
		{path: "/devices/of/{ae}", title: "devices.one", file: "device.html", fresh: []string{"device"}, build: p.devicePage},
		{path: "/devices/of/{ae}/sheet", title: "sheet.title", file: "sheet.html", print: true, build: p.sheetPage},
	}
}

func (p *Page) deviceDeeds() []deed {
	if p.cfg.Devices == nil {
		return nil
	}
	return []deed{
		{path: "/devices/admit", role: account.Administrator, do: p.admitDevice},
		{path: "/devices/ignore", role: account.Administrator, do: p.ignoreDevice},
		{path: "/devices/hear", role: account.Administrator, do: p.hearDevice},
	}
}

// devicesView is the page of all devices.
type devicesView struct {
	Pending  []pendingView
	Devices  []deviceRow
	Ignored  []strangerView
	MayAdmit bool
}

// pendingView is a stranger who knocks.
type pendingView struct {
	deviceView
	N        int    // for ids in the form
	Cannot   string // why it cannot be admitted, "" when it can
	Wrong    string // why it was not, of what was typed into the form
	Field    string // that is wrong, by its name
	Typed    Admission
	AETitle  string
	From     string
	Services []serviceView
	Said     saidView
}

// saidView is the last negotiation with the words around it.
type saidView struct {
	W *words
	D *talkView
}

type serviceView struct {
	ID, Word string
	On       bool
}

type strangerView struct {
	Title, Address, AETitle, From, Until string
}

// deviceRow is a device that may call.
type deviceRow struct {
	deviceView
	AETitle string
	Link    string
	Sheet   string
	Today   string
	Usual   string
	Late    string
	Clock   string
	Off     bool // the clock is wrong
	Quiet   string
	Day     hoursView
	Said    saidView
}

// hoursView is the bar of 24 hours, and the same as a table.
type hoursView struct {
	Says string
	Bars []hourBar
}

type hourBar struct {
	X, Y, H int // of a drawing of 240 by 40
	UsualY  int
	Hour    string
	N       string
	Usual   string
	Some    bool
	Known   bool
}

func (p *Page) devicesPage(rq *request) (any, error) {
	f := facts{Status: p.status(), Devices: p.cfg.Source.Devices(), Now: rq.Now}
	v := devicesViewOf(f, p.cfg.Devices, rq.W)
	v.again(rq.kept(typedSlip), p.cfg.Devices.Offered(), rq.W)
	return v, nil
}

// again shows what somebody typed whose form was refused, and what of it is wrong.
func (v *devicesView) again(q url.Values, offered []string, w *words) {
	wrong := admissionWrong[q.Get("wrong")]
	for i, k := range v.Pending {
		if wrong != "" && k.AETitle == q.Get("title") && k.From == q.Get("from") {
			k.Wrong, k.Field, k.Typed = w.Say(wrong), q.Get("wrong"), admissionIn(q)
			v.Pending[i] = k.offering(offered, w)
		}
	}
}

func admissionIn(q url.Values) Admission {
	return Admission{Title: q.Get("title"), Address: strings.TrimSpace(q.Get("address")), Name: strings.TrimSpace(q.Get("name")), Priority: q.Get("priority"), Services: q["service"]}
}

// admissionWrong are the words for what an admission lacks, by the field's name.
var admissionWrong = map[string]string{"address": "device.wrong.address", "name": "device.wrong.name", "service": "device.wrong.service", "listed": "device.wrong.listed"}

// wrongIn is the field that cannot be so.
func wrongIn(a Admission) string {
	_, err := netip.ParseAddr(a.Address)
	if net, noNet := netip.ParsePrefix(a.Address); err != nil && (noNet != nil || net.Bits() == 0) {
		return "address"
	}
	if len(a.Name) > longestName || status.Shown(a.Name) != a.Name {
		return "name"
	}
	if len(a.Services) == 0 {
		return "service"
	}
	return "listed" // else only another device is in the way
}

const longestName = 64 // bytes

// devicesViewOf is pure but for what it asks the desk.
func devicesViewOf(f facts, desk DeviceDesk, w *words) devicesView {
	var v devicesView
	devices := slices.Clone(f.Devices)
	slices.SortStableFunc(devices, func(a, b status.Device) int {
		return cmp.Or(cmp.Compare(rank(kindOf(a, f.Now)), rank(kindOf(b, f.Now))), strings.Compare(a.AETitle, b.AETitle))
	})
	for _, d := range devices {
		if kindOf(d, f.Now) == "unknown" {
			v.Pending = append(v.Pending, pendingOf(d, len(v.Pending), f, desk.Offered(), w))
			continue
		}
		v.Devices = append(v.Devices, rowOf(d, desk.Habit(d.AETitle), f, w))
	}
	for _, s := range desk.Ignored() {
		v.Ignored = append(v.Ignored, strangerView{status.Shown(s.Title), status.Shown(s.Address), s.Title, s.Address, w.date(s.Until.In(f.Now.Location()))})
	}
	return v
}

func pendingOf(d status.Device, n int, f facts, offered []string, w *words) pendingView {
	v := pendingView{deviceView: deviceOf(d, f, w), N: n, AETitle: d.AETitle, From: d.Address}
	_, err := netip.ParseAddr(d.Address)
	v.Said = saidView{w, v.Talk}
	switch {
	case !legalTitle(d.AETitle):
		v.Cannot = w.Say("device.cannot.title")
	case err != nil:
		v.Cannot = w.Say("device.cannot.address")
	}
	v.Typed = Admission{Address: d.Address, Priority: "routine", Services: []string{"store"}}
	return v.offering(offered, w)
}

func (v pendingView) offering(offered []string, w *words) pendingView {
	v.Services = nil
	for _, s := range offered {
		v.Services = append(v.Services, serviceView{s, w.Say("device.service." + s), slices.Contains(v.Typed.Services, s)})
	}
	return v
}

func rowOf(d status.Device, h Habit, f facts, w *words) deviceRow {
	r := deviceRow{deviceView: deviceOf(d, f, w), AETitle: d.AETitle}
	r.Link = "/devices/of/" + url.PathEscape(d.AETitle)
	r.Sheet = r.Link + "/sheet"
	r.Today = w.Count("device.today", h.Today)
	if h.Known {
		r.Usual = w.Say("device.usual", "n", w.number(int64(h.UsualByNow+.5)))
	}
	if h.Late {
		r.Late = w.Say("device.late", "time", h.By)
	}
	r.Clock, r.Off = clockOf(h, w)
	if h.Quiet > 0 {
		r.Quiet = w.Say("device.quiet", "duration", w.duration(h.Quiet))
	}
	r.Day, r.Said = dayOf(h, w), saidView{w, r.Talk}
	return r
}

// clockWrong is the ClockLimit of who has none. A clock that is behind cannot be told from a
// device that sends late.
const clockWrong = time.Minute

func clockOf(h Habit, w *words) (says string, off bool) {
	switch {
	case !h.ClockKnown:
		return "", false
	case h.Ahead > cmp.Or(h.ClockLimit, clockWrong):
		return w.Say("device.clock.ahead", "duration", w.duration(h.Ahead)), true
	case h.Ahead < -6*time.Hour:
		return w.Say("device.clock.behind", "duration", w.duration(-h.Ahead)), false
	}
	return w.Say("device.clock.ok"), false
}

const dayHigh = 40 // of the drawing, 10 wide for each hour

func dayOf(h Habit, w *words) hoursView {
	most := 4.0
	for i := range 24 {
		most = max(most, float64(h.Hours[i]), h.UsualHours[i])
	}
	v := hoursView{Says: w.Count("device.today", h.Today)}
	for i := range 24 {
		b := hourBar{X: 10*i + 1, Hour: clockHour(i), N: w.number(h.Hours[i]), Some: h.Hours[i] > 0, Known: h.Known && h.UsualHours[i] > 0.05}
		b.H = int(float64(h.Hours[i]) / most * dayHigh)
		if b.Some {
			b.H = max(b.H, 2)
		}
		b.Y = dayHigh - b.H
		b.UsualY = dayHigh - int(h.UsualHours[i]/most*dayHigh)
		b.Usual = "–"
		if h.Known {
			b.Usual = w.number(int64(h.UsualHours[i] + .5))
		}
		v.Bars = append(v.Bars, b)
	}
	return v
}

func clockHour(h int) string { return time.Date(0, 1, 1, h, 0, 0, 0, time.UTC).Format("15:04") }

// devicePage is of one device, by AE title.
func (p *Page) devicePage(rq *request) (any, error) {
	f := facts{Status: p.status(), Devices: p.cfg.Source.Devices(), Now: rq.Now}
	for _, d := range f.Devices {
		if d.AETitle == rq.PathValue("ae") && kindOf(d, f.Now) != "unknown" {
			return rowOf(d, p.cfg.Devices.Habit(d.AETitle), f, rq.W), nil
		}
	}
	return nil, errNotFound
}

func (p *Page) admitDevice(rq *request) (outcome, error) {
	from := rq.PostFormValue("from") // parses the form
	a := admissionIn(rq.PostForm)
	err := p.cfg.Devices.Admit(rq.Viewer.Actor(), a)
	if !errors.Is(err, ErrNotTaken) || len(from)+len(a.Title)+len(a.Address)+len(a.Name)+len(a.Priority)+len(strings.Join(a.Services, "")) > 512 || len(a.Services) > 8 {
		return saidOf(err, "device.admitted")
	}
	rq.typed = url.Values{"wrong": {wrongIn(a)}, "title": {a.Title}, "from": {from}, "address": {a.Address}, "name": {a.Name}, "priority": {a.Priority}, "service": a.Services}
	return outcome{to: "/devices"}, nil
}

func (p *Page) ignoreDevice(rq *request) (outcome, error) {
	return saidOf(p.cfg.Devices.Ignore(rq.Viewer.Actor(), rq.PostFormValue("title"), rq.PostFormValue("address")), "device.ignored")
}

func (p *Page) hearDevice(rq *request) (outcome, error) {
	return saidOf(p.cfg.Devices.Hear(rq.Viewer.Actor(), rq.PostFormValue("title"), rq.PostFormValue("address")), "device.heard")
}

func saidOf(err error, done string) (outcome, error) {
	switch {
	case errors.Is(err, ErrNotTaken):
		return outcome{"/devices", "device.nottaken"}, nil
	case err != nil:
		return outcome{}, err
	}
	return outcome{"/devices", done}, nil
}

func (r deviceRow) title(*words) string { return r.Name }
