package page

import (
	"context"
	"errors"
	"slices"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// The self-tests, in the order of the page.
const (
	TestReceive = "receive" // store something here, and flush
	TestDevice  = "device"  // call a device
	TestWait    = "wait"    // wait for a device to call
	TestLine    = "line"    // measure the line
	TestStudy   = "study"   // send a test study all the way
	TestMachine = "machine" // clock, disk, certificates
)

// SelfTests are those that a button starts; the guide for a power cut is words.
var SelfTests = []string{TestReceive, TestDevice, TestWait, TestLine, TestStudy, TestMachine}

// TestDesk runs the self-tests. Each of them is safe at any time.
type TestDesk interface {
	// Run does one and returns when it is done, within some ten seconds; of TestWait
	// when it has begun. Device is the AE title for TestDevice. ErrBusy: it runs already.
	Run(ctx context.Context, by account.Actor, test, device string) error
	// Results are the last ones since the start, by test.
	Results() map[string]TestResult
	Listening() Listening
	// Callable are the AE titles of devices that listen.
	Callable() []string
}

// ErrBusy says that this self-test is running.
var ErrBusy = errors.New("this test runs already")

// TestResult is how a self-test went.
type TestResult struct {
	At      time.Time
	Running bool
	Steps   []TestStep
}

// TestStep is one thing that was tried: "selftest.step." + ID + ".ok", ".bad" or ".note"
// says it.
type TestStep struct {
	ID    string
	State StepState
	Took  time.Duration // zero: it says nothing
	Value string        // for {value}: hostile text
	Count int64         // for {n}
	Bits  int64         // each second, for {value}; zero: Value stands
}

// StepState is how a step went.
type StepState string

// A note is neither good nor bad: it is not so here, or nobody knows.
const (
	StepOK   StepState = "ok"
	StepBad  StepState = "bad"
	StepNote StepState = "note"
)

// StepIDs are the steps with the states that they can have; the catalogues have words for each.
var StepIDs = []string{
	"reach.ok", "reach.bad", "called.ok", "called.bad", "echo.ok", "echo.bad", "store.ok", "store.bad", "disk.ok", "disk.bad", "taken.note",
	"noplain.note", "starting.bad", "late.bad",
	"connect.ok", "connect.bad", "devecho.ok", "devecho.bad", "devrefused.bad", "noaddress.note",
	"line.ok", "line.bad", "udp.ok", "udp.bad", "udp.note", "nohub.note", "paused.note", "rtt.ok",
	"received.ok", "received.bad", "sent.ok", "sent.note", "athub.ok", "athub.note", "archive.note",
	"clock.ok", "clock.bad", "clock.note", "space.ok", "space.bad", "spool.ok", "spool.bad", "cert.ok", "cert.bad", "cert.note",
	"tlscert.ok", "tlscert.bad", "pagecert.ok", "pagecert.bad",
}

// Listening is the window of TestWait.
type Listening struct {
	From, Until time.Time
	Heard       []Heard // the latest first
}

// Heard is one connection: hostile text. A Code that is empty: it was accepted.
type Heard struct {
	At                       time.Time
	Calling, Called, Address string
	Code                     status.RefusalCode
	Detail                   string
}

func (p *Page) testLeaves() []leaf {
	if p.cfg.Tests == nil {
		return nil
	}
	return []leaf{{path: "/tests", menu: "menu.tests", file: "tests.html", fresh: []string{"test-list"}, build: p.testsPage}}
}

func (p *Page) testDeeds() []deed {
	if p.cfg.Tests == nil {
		return nil
	}
	return []deed{{path: "/tests/run", role: account.Technician, do: p.runTest}}
}

func (p *Page) runTest(rq *request) (outcome, error) {
	test := rq.PostFormValue("test")
	if !slices.Contains(SelfTests, test) {
		return outcome{}, errNotFound
	}
	to := "/tests#test-" + test
	switch err := p.cfg.Tests.Run(rq.Context(), rq.Viewer.Actor(), test, rq.PostFormValue("device")); {
	case errors.Is(err, ErrBusy):
		return outcome{"/tests", "test.busy"}, nil
	case err != nil:
		return outcome{}, err
	}
	return outcome{to: to}, nil
}

type testsView struct {
	Tests []testView
}

type testView struct {
	ID      string
	Title   string
	About   string
	Button  string
	Devices []testDevice // to choose from
	Needs   bool         // a device is to be chosen
	None    string       // there is none
	When    string
	Running string
	Worst   string // ok, note or bad; "" without a result
	Says    string // Worst in words
	Steps   []testStepView
	Window  *windowView
	Guide   []string
}

type testDevice struct{ Title, Name string }

type testStepView struct{ State, Word, Says string }

type windowView struct {
	Open  bool
	Says  string
	Lines []heardView
}

type heardView struct {
	Time, Who, Says, Word string
	Good                  bool
}

func (p *Page) testsPage(rq *request) (any, error) {
	f := facts{Status: p.status(), Devices: p.cfg.Source.Devices(), Now: rq.Now}
	return testsViewOf(f, p.cfg.Tests.Results(), p.cfg.Tests.Listening(), p.cfg.Tests.Callable(), rq.W), nil
}

// testsViewOf is pure.
func testsViewOf(f facts, results map[string]TestResult, l Listening, callable []string, w *words) (v testsView) {
	for _, id := range SelfTests {
		t := testView{ID: id, Title: w.Say("selftest." + id), About: w.Say("selftest." + id + ".about"), Button: w.Say("selftest." + id + ".do")}
		switch id {
		case TestDevice:
			t.Needs, t.Devices = true, testDevices(f, callable)
			if len(callable) == 0 {
				t.None = w.Say("selftest.device.none")
			}
		case TestWait:
			t.Window = windowOf(l, f, w)
		}
		if r, ok := results[id]; ok {
			t.result(r, f, w)
		}
		v.Tests = append(v.Tests, t)
	}
	guide := testView{ID: "power", Title: w.Say("selftest.power"), About: w.Say("selftest.power.about")}
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		guide.Guide = append(guide.Guide, w.Say("selftest.power.step"+n))
	}
	v.Tests = append(v.Tests, guide)
	return v
}

func testDevices(f facts, callable []string) (out []testDevice) {
	for _, title := range callable {
		d := testDevice{title, status.Shown(title)}
		for _, known := range f.Devices {
			if known.AETitle == title && known.Name != "" {
				d.Name = status.Shown(known.Name) + " (" + status.Shown(title) + ")"
			}
		}
		out = append(out, d)
	}
	return out
}

func (t *testView) result(r TestResult, f facts, w *words) {
	if r.Running {
		t.Running = w.Say("selftest.running")
		return
	}
	t.When, t.Worst = w.Say("selftest.done", "time", r.At.In(f.Now.Location()).Format("15:04:05")), string(StepOK)
	for _, s := range r.Steps {
		t.Steps = append(t.Steps, stepOf(s, w))
		if s.State == StepBad || s.State == StepNote && t.Worst == string(StepOK) && len(r.Steps) == 1 {
			t.Worst = string(s.State)
		}
	}
	t.Says = w.Say("selftest.result." + t.Worst)
	if t.Worst == string(StepOK) && slices.ContainsFunc(r.Steps, func(s TestStep) bool { return s.ID == "athub" && s.State == StepNote }) {
		t.Worst, t.Says = string(StepNote), w.Say("selftest.result.underway") // it is here, and has not arrived
	}
}

func stepOf(s TestStep, w *words) testStepView {
	v := testStepView{State: string(s.State), Word: w.Say("selftest.word." + string(s.State))}
	id := s.ID
	if id == "rtt" && s.Count == 0 {
		id = "rtt.short"
	}
	value := status.Shown(s.Value)
	if s.Bits > 0 {
		value = w.rate(s.Bits)
	}
	v.Says = w.Say("selftest.step."+id+"."+string(s.State), "value", value, "n", w.number(s.Count))
	if s.Took > 0 {
		v.Says += " (" + w.brief(s.Took) + ")"
	}
	return v
}

// brief says a duration that was measured: 12 ms, 1,4 s.
func (w *words) brief(d time.Duration) string {
	if d < time.Second {
		return w.number(max(1, d.Milliseconds())) + "\u00a0ms"
	}
	return w.decimal(d.Seconds()) + "\u00a0s"
}

func windowOf(l Listening, f facts, w *words) *windowView {
	if l.From.IsZero() {
		return nil
	}
	v := &windowView{Open: f.Now.Before(l.Until)}
	switch {
	case v.Open:
		v.Says = w.Say("selftest.wait.open", "duration", w.duration(l.Until.Sub(f.Now)))
	case len(l.Heard) == 0:
		v.Says = w.Say("selftest.wait.nobody", "time", l.Until.In(f.Now.Location()).Format("15:04"))
	default:
		v.Says = w.Say("selftest.wait.closed", "time", l.Until.In(f.Now.Location()).Format("15:04"))
	}
	for _, h := range l.Heard {
		v.Lines = append(v.Lines, heardOf(h, f, w))
	}
	return v
}

func heardOf(h Heard, f facts, w *words) heardView {
	v := heardView{Time: h.At.In(f.Now.Location()).Format("15:04:05"), Good: h.Code == ""}
	v.Who = w.Say("selftest.wait.who", "ae", status.Shown(h.Calling), "address", status.Shown(h.Address))
	if h.Calling == "" {
		v.Who = status.Shown(h.Address)
	}
	if v.Good {
		v.Word, v.Says = w.Say("selftest.word.ok"), w.Say("selftest.wait.accepted")
		return v
	}
	v.Word, v.Says = w.Say("selftest.word.bad"), Refusal(status.Refusal{Code: h.Code, Detail: h.Detail}, f.Status.AETitle, w.lang)
	if h.Code == status.WrongCalled {
		v.Says = w.Say("selftest.wait.called", "called", status.Shown(h.Called), "ae", status.Shown(f.Status.AETitle))
	}
	return v
}
