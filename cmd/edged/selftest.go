package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/durable"
	"edged/spool"
)

// selfTests runs the tests that somebody starts on the page, one of each kind at a
// time, and remembers how the last ones went. Test objects are flagged, so that
// nothing counts them and no archive gets them, and are taken out of the spool again:
// also those that a restart left behind.
type selfTests struct {
	a   *appliance
	now func() time.Time

	within time.Duration // testWithin
	try    func(ctx context.Context, test, device string) []page.TestStep

	mu      sync.Mutex // guards what follows
	running map[string]bool
	late    map[string]bool // of these, who asked was told that it hangs
	results map[string]page.TestResult
	sent    *sentStudy // the last test study
}

const (
	testWithin  = 10 * time.Second // a test answers
	testGrace   = time.Second      // for what has ended by then to be said and recorded
	testForgets = 15 * time.Minute // a test object is gone after that
	testLook    = 500 * time.Millisecond
)

var _ page.TestDesk = (*selfTests)(nil)

func newSelfTests(a *appliance) *selfTests {
	s := &selfTests{a: a, now: time.Now, within: testWithin, running: make(map[string]bool), late: make(map[string]bool), results: make(map[string]page.TestResult)}
	s.try = s.do
	return s
}

// Run does one, by somebody, who has an answer when its time is over, also where a disk
// hangs. Such a test goes on, and is not begun again before it ends.
func (s *selfTests) Run(ctx context.Context, by account.Actor, test, device string) error {
	if !s.begin(test) {
		return page.ErrBusy
	}
	ended := make(chan error, 1)
	go func() { ended <- s.recorded(ctx, by, test, device) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(s.within + testGrace):
		s.hangs(test)
		return nil
	}
}

func (s *selfTests) recorded(ctx context.Context, by account.Actor, test, device string) error {
	var steps []page.TestStep
	defer func() { s.end(test, steps) }()
	return s.a.audited(by, "self-test", test, device, func() error {
		bounded, cancel := context.WithTimeout(ctx, s.within)
		defer cancel()
		steps = s.try(bounded, test, device)
		return nil
	})
}

// hangs answers for a test that does not.
func (s *selfTests) hangs(test string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[test] {
		s.late[test] = true
		s.results[test] = page.TestResult{At: s.now(), Steps: []page.TestStep{{ID: "late", State: page.StepBad, Count: int64(s.within / time.Second)}}}
	}
}

func (s *selfTests) do(ctx context.Context, test, device string) []page.TestStep {
	switch test {
	case page.TestReceive:
		return s.receive(ctx)
	case page.TestDevice:
		return s.device(ctx, device)
	case page.TestWait:
		s.a.roster.window.open(s.now())
	case page.TestLine:
		return s.line(ctx)
	case page.TestStudy:
		return s.study(ctx)
	case page.TestMachine:
		return s.machine()
	}
	return nil
}

func (s *selfTests) begin(test string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[test] {
		return false
	}
	s.running[test] = true
	return true
}

func (s *selfTests) end(test string, steps []page.TestStep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, test)
	delete(s.late, test)
	if steps != nil {
		s.results[test] = page.TestResult{At: s.now(), Steps: steps}
	}
}

// Results are those since the start; of the test study as far as it is now.
func (s *selfTests) Results() map[string]page.TestResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]page.TestResult)
	for test, r := range s.results {
		if test == page.TestStudy && s.sent != nil {
			r.Steps = s.sent.steps()
		}
		out[test] = r
	}
	for test := range s.running {
		if s.late[test] {
			continue
		}
		out[test] = page.TestResult{At: s.now(), Running: true}
	}
	return out
}

// Listening is the window of TestWait.
func (s *selfTests) Listening() page.Listening { return s.a.roster.window.soFar() }

// Callable are devices that listen at one address.
func (s *selfTests) Callable() (titles []string) {
	for _, d := range s.a.roster.listed() {
		if _, ok := s.a.commitments.reach(d.AETitle); ok && !slices.Contains(titles, d.AETitle) {
			titles = append(titles, d.AETitle)
		}
	}
	return titles
}

func good(id string) page.TestStep { return page.TestStep{ID: id, State: page.StepOK} }

func bad(id string, err error) page.TestStep {
	return page.TestStep{ID: id, State: page.StepBad, Value: shortly(err)}
}

func note(id, value string) page.TestStep {
	return page.TestStep{ID: id, State: page.StepNote, Value: value}
}

// shortly is an error on a page: no UID of an object stands in those that come here.
func shortly(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return visible(err.Error(), 120)
}

// receive stores a test object here, reads it back, and takes it away.
func (s *selfTests) receive(ctx context.Context) []page.TestStep {
	steps, id, _ := s.store(ctx)
	if id == (spool.ID{}) {
		return steps
	}
	sp, err := s.a.keeper.get()
	if err == nil {
		err = sp.Verify(ctx, id)
	}
	if err != nil {
		steps = append(steps, bad("disk", err))
	} else {
		steps = append(steps, good("disk"))
	}
	if s.forget(id) == nil {
		steps = append(steps, note("taken", ""))
	}
	return steps
}

// store sends a test object to our own port, as a device would.
func (s *selfTests) store(ctx context.Context) (steps []page.TestStep, id spool.ID, took time.Duration) {
	address := own(s.a.cfg.Dicom.Listen)
	if address == "" {
		return []page.TestStep{note("noplain", "")}, id, 0
	}
	if _, err := s.a.keeper.get(); err != nil {
		return []page.TestStep{bad("starting", err)}, id, 0
	}
	title, end := s.a.roster.self.begin()
	defer end()
	o := newTestObject(s.now().In(s.a.cfg.zone()))
	contexts, _ := dimse.Propose(dimse.Need{SOPClassUID: dimse.Verification, TransferSyntaxUID: dicom.ImplicitVRLittleEndian}, dimse.Need{SOPClassUID: o.names.SOPClass, TransferSyntaxUID: o.names.TransferSyntax})
	began := time.Now()
	c, err := dimse.Dial(ctx, dimse.ClientConfig{Address: address, Called: s.a.cfg.Dicom.AETitle, Calling: title, Contexts: contexts, Associate: testWithin, Response: testWithin,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
	var rejected dimse.Reject
	switch {
	case errors.As(err, &rejected):
		return []page.TestStep{good("reach"), bad("called", err)}, id, 0
	case err != nil:
		return []page.TestStep{bad("reach", err)}, id, 0
	}
	defer c.Abort()
	steps = append(steps, timed(good("reach"), began), page.TestStep{ID: "called", State: page.StepOK, Value: s.a.cfg.Dicom.AETitle})
	began = time.Now()
	if err := succeeded(c.Echo(ctx)); err != nil {
		return append(steps, bad("echo", err)), id, 0
	}
	steps = append(steps, timed(good("echo"), began))
	began = time.Now()
	rq := dimse.StoreRequest{SOPClassUID: o.names.SOPClass, SOPInstanceUID: o.names.SOPInstance, TransferSyntaxUID: o.names.TransferSyntax}
	if err := succeeded(c.Store(ctx, rq, bytes.NewReader(o.data))); err != nil {
		return append(steps, bad("store", err)), id, 0
	}
	took = time.Since(began)
	steps = append(steps, timed(good("store"), began))
	_ = c.Release(ctx) // it is stored, however this ends
	sp, err := s.a.keeper.get()
	if err != nil {
		return append(steps, bad("disk", err)), id, took
	}
	for _, here := range sp.Named(o.names.SOPInstance) {
		id = here.ID
	}
	if id == (spool.ID{}) {
		steps = append(steps, bad("disk", errors.New("it is not in the spool")))
	}
	return steps, id, took
}

func timed(s page.TestStep, began time.Time) page.TestStep {
	s.Took = time.Since(began)
	return s
}

// succeeded is an error where the answer is none, or no success.
func succeeded(r dimse.Response, err error) error {
	if err == nil && !r.Status.IsSuccess() {
		return fmt.Errorf("%s", r.Status)
	}
	return err
}

// own is where this machine reaches its own port.
func own(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// forget takes a test object out of the spool, and nothing else.
func (s *selfTests) forget(id spool.ID) error {
	sp, err := s.a.keeper.get()
	if err != nil {
		return err
	}
	o, err := sp.Object(id)
	if err != nil {
		return err
	}
	if !o.Test {
		return errors.New("it is no test object")
	}
	return sp.Discard(context.Background(), spool.Discard{Seq: o.Seq, ID: id, By: "edged", Reason: "end of a self-test"})
}

// device calls one that is listed.
func (s *selfTests) device(ctx context.Context, title string) []page.TestStep {
	cfg, ok := s.a.commitments.reach(title)
	if !ok {
		return []page.TestStep{note("noaddress", "")}
	}
	began := time.Now()
	conn, err := (&net.Dialer{Timeout: 4 * time.Second}).DialContext(ctx, "tcp", cfg.Address)
	if err != nil {
		return []page.TestStep{unreached(cfg.Address, err)}
	}
	conn.Close()
	steps := []page.TestStep{{ID: "connect", State: page.StepOK, Value: cfg.Address, Took: time.Since(began)}}
	cfg.Called, cfg.Calling, cfg.Associate, cfg.Response = title, s.a.cfg.Dicom.AETitle, testWithin, testWithin
	cfg.Contexts, _ = dimse.Propose(dimse.Need{SOPClassUID: dimse.Verification, TransferSyntaxUID: dicom.ImplicitVRLittleEndian})
	began = time.Now()
	c, err := dimse.Dial(ctx, cfg)
	var rejected dimse.Reject
	switch {
	case errors.As(err, &rejected):
		return append(steps, bad("devrefused", err))
	case err != nil:
		return append(steps, bad("devecho", err))
	}
	defer c.Abort()
	if err := succeeded(c.Echo(ctx)); err != nil {
		return append(steps, bad("devecho", err))
	}
	_ = c.Release(ctx) // it has answered
	s.a.roster.echo(title)
	return append(steps, timed(good("devecho"), began))
}

// unreached has words for what happens every day.
func unreached(address string, err error) page.TestStep {
	var late net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return page.TestStep{ID: "connclosed", State: page.StepBad, Value: address}
	case errors.As(err, &late) && late.Timeout(), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return page.TestStep{ID: "connsilent", State: page.StepBad, Value: address}
	}
	return bad("connect", err)
}

// line measures it with the line test that `edged linetest` runs.
func (s *selfTests) line(ctx context.Context) []page.TestStep {
	if len(s.a.cfg.Uplink.Hubs) == 0 {
		return []page.TestStep{note("nohub", "")}
	}
	if s.a.sender.held() == nil {
		return []page.TestStep{note("cert", "")}
	}
	if until := s.a.view.Status().Uplink.PausedUntil; until.After(time.Now()) {
		return []page.TestStep{note("linepaused", until.In(s.a.cfg.zone()).Format("15:04"))}
	}
	t, err := s.a.lineTests.do(context.WithoutCancel(ctx)) // it bounds itself to ten seconds
	if err != nil {
		return []page.TestStep{note("paused", shortly(err))}
	}
	if t.Error != "" {
		return []page.TestStep{{ID: "line", State: page.StepBad, Value: t.Error}}
	}
	best := t.Of(t.Transport)
	steps := []page.TestStep{{ID: "line", State: page.StepOK, Bits: best.GoodputBits}, {ID: "rtt", State: page.StepOK, Count: int64(best.MinRTTMS + .5)}}
	switch {
	case t.UDPOpen == nil:
		return append(steps, note("udp", ""))
	case *t.UDPOpen:
		return append(steps, good("udp"))
	}
	return append(steps, page.TestStep{ID: "udp", State: page.StepBad})
}

func (s *selfTests) space(sp status.Spool) page.TestStep {
	step := page.TestStep{ID: "space", State: page.StepOK, Value: bytesOf(sp.FreeBytes)}
	if d := sp.DaysLeft; sp.FreeBytes == 0 || d != nil && *d < float64(s.a.cfg.Alarms.SpaceNow) {
		step.State = page.StepBad
	}
	return step
}

// machine looks at clock, disk and certificates.
func (s *selfTests) machine() (steps []page.TestStep) {
	switch c := s.a.clock(); {
	case !c.Known:
		steps = append(steps, note("clock", ""))
	case c.Synced:
		steps = append(steps, good("clock"))
	default:
		steps = append(steps, page.TestStep{ID: "clock", State: page.StepBad})
	}
	st := s.a.view.Status()
	if !st.SpoolUnknown { // else the step of the spool says why
		steps = append(steps, s.space(st.Spool))
	}
	began := time.Now()
	err := durable.WriteFile(filepath.Join(s.a.cfg.DataDir, "selftest"), []byte(began.UTC().Format(time.RFC3339)+"\n"), 0o600)
	if err == nil {
		_, err = s.a.keeper.get()
	}
	if !st.DICOM.Ready && err == nil {
		err = errors.New(st.DICOM.NotReady)
	}
	if err != nil {
		steps = append(steps, bad("spool", err))
	} else {
		steps = append(steps, timed(good("spool"), began))
	}
	return append(steps, s.shownCertificates()...)
}

// bytesOf in decimal units, as disks are sold.
func bytesOf(n int64) string {
	switch {
	case n >= 1e12:
		return fmt.Sprintf("%.1f TB", float64(n)/1e12)
	case n >= 1e9:
		return fmt.Sprintf("%d GB", n/1e9)
	}
	return fmt.Sprintf("%d MB", n/1e6)
}

func (s *selfTests) shownCertificates() (steps []page.TestStep) {
	for _, c := range s.a.shownCertificates() {
		id := map[string]string{"uplink": "cert", "dicom": "tlscert", "page": "pagecert"}[c.ID]
		days := c.Until.Sub(s.now()) / (24 * time.Hour)
		step := page.TestStep{ID: id, State: page.StepOK, Count: int64(days)}
		switch {
		case c.Until.IsZero() && id == "cert":
			step.State = page.StepNote
		case c.Until.IsZero():
			continue
		case days < 7:
			step.State = page.StepBad
		}
		steps = append(steps, step)
	}
	return steps
}
