package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"edged/agent/page"
	"edged/agent/status"
	"edged/dimse"
	"edged/spool"
)

// listening gives a house its DICOM port.
func (h *house) listening(t *testing.T) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	h.cfg.Dicom.Listen = l.Addr().String()
	parts := newGroup(context.Background())
	parts.Go(func(context.Context) error {
		if err := h.server.Serve(l); !errors.Is(err, dimse.ErrServerClosed) {
			return err
		}
		return nil
	})
	t.Cleanup(func() {
		h.server.Close()
		if err := parts.Wait(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) test(t *testing.T, test, device string) string {
	t.Helper()
	ok(t, h.selfTests.Run(t.Context(), anna, test, device))
	return stepsSaid(h.selfTests.Results()[test])
}

func stepsSaid(r page.TestResult) string {
	var said []string
	for _, s := range r.Steps {
		said = append(said, s.ID+"."+string(s.State))
	}
	return strings.Join(said, " ")
}

// The test of receiving goes the way of a device, through port, roster, spool and disk,
// and leaves nothing behind: no object, no count, no device, no study.
func TestTheTestOfReceivingLeavesNothingBehind(t *testing.T) {
	h := newHouse(t, func(*Config) {}).listening(t)
	for range 2 {
		if said := h.test(t, page.TestReceive, ""); said != "reach.ok called.ok echo.ok store.ok disk.ok taken.note" {
			t.Fatal(said)
		}
	}
	if n := len(h.spool.Objects(0, 10)); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	for name, n := range h.spool.Counters() {
		if n != 0 {
			t.Errorf("%s counts %d", name, n)
		}
	}
	if n := len(h.roster.list()); n != 0 {
		t.Errorf("%d devices were met: %+v", n, h.roster.list())
	}
	if n := len(h.view.Studies(10)); n != 0 {
		t.Errorf("%d studies", n)
	}
}

// Nobody stores a test object that is not one: the title is made up anew each time, and
// ends with the test. An image that calls itself a test is an image.
func TestNobodyElseStoresTestObjects(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Dicom.AcceptUnknown = true })
	title, end := h.roster.self.begin()
	for _, c := range []struct {
		caller caller
		self   bool
	}{
		{caller{calling: title, called: "EDGED", address: "127.0.0.1"}, true},
		{caller{calling: title, called: "EDGED", address: "192.0.2.7"}, false},
		{caller{calling: "SELF-AAAAAAAAAAA", called: "EDGED", address: "127.0.0.1"}, false},
		{caller{calling: "", called: "EDGED", address: "127.0.0.1"}, false},
	} {
		if got := h.roster.self.are(c.caller); got != c.self {
			t.Errorf("%+v is ourselves: %v", c.caller, got)
		}
	}
	end()
	if h.roster.self.are(caller{calling: title, address: "127.0.0.1"}) {
		t.Error("the title holds after the test")
	}
	o := newTestObject(time.Now())
	rq := dimse.StoreRequest{SOPClassUID: o.names.SOPClass, SOPInstanceUID: o.names.SOPInstance, TransferSyntaxUID: o.names.TransferSyntax}
	_, err := h.door.store(t.Context(), 1, caller{calling: "CT1", called: "EDGED", address: "127.0.0.1"}, rq, bytes.NewReader(o.data))
	ok(t, err)
	all := h.spool.Objects(0, 10)
	if len(all) != 1 || all[0].Test || all[0].Flags&flagTest != 0 {
		t.Fatalf("%+v", all)
	}
	if h.selfTests.forget(all[0].ID) == nil {
		t.Error("an image was taken out as if it were a test object")
	}
}

// What a test left at a restart is taken out, and images are not.
func TestTestObjectsOfBeforeAreTakenOut(t *testing.T) {
	h := newHouse(t, func(*Config) {}).listening(t)
	h.take(t, readable("CT"))
	_, id, _ := h.selfTests.store(t.Context())
	if id == (spool.ID{}) || len(h.spool.Objects(0, 10)) != 2 {
		t.Fatal("no test object")
	}
	h.selfTests.now = func() time.Time { return time.Now().Add(time.Second) }
	h.selfTests.sweep(t.Context(), h.spool)
	if all := h.spool.Objects(0, 10); len(all) != 1 || all[0].Test {
		t.Errorf("%d objects are left", len(all))
	}
}

// Without a hub, and while the disk is away, the tests say so in words.
func TestSelfTestsSayWhatIsNotThere(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Uplink.Hubs = nil }).listening(t)
	if said := h.test(t, page.TestLine, ""); said != "nohub.note" {
		t.Error(said)
	}
	if said := h.test(t, page.TestStudy, ""); said != "received.ok nohub.note" {
		t.Error(said)
	}
	if n := len(h.spool.Objects(0, 10)); n != 0 {
		t.Errorf("the test study is still here: %d", n)
	}
	if said := h.test(t, page.TestDevice, "CT1"); said != "noaddress.note" {
		t.Error(said)
	}
	if said := h.test(t, page.TestMachine, ""); !strings.Contains(said, "spool.ok") || !strings.Contains(said, "space.ok") {
		t.Error(said)
	}
	h.cfg.Dicom.AETitle = "ELSE"
	if said := h.test(t, page.TestReceive, ""); said != "reach.ok called.bad" {
		t.Error(said)
	}
	h.cfg.Dicom.Listen = "127.0.0.1:1"
	if said := h.test(t, page.TestReceive, ""); said != "reach.bad" {
		t.Error(said)
	}
	h.cfg.Dicom.Listen = ""
	if said := h.test(t, page.TestReceive, ""); said != "noplain.note" {
		t.Error(said)
	}
}

// A device that listens is called; one that refuses, or is off, is told as such.
func TestADeviceIsCalled(t *testing.T) {
	peer := newHouse(t, func(c *Config) {
		c.Dicom.AETitle = "CT1"
		c.Dicom.Devices = []Device{{AETitle: "EDGED", Services: []string{serviceStore}, Quiet: time.Minute}}
	}).listening(t)
	port := portIn(peer.cfg.Dicom.Listen)
	h := newHouse(t, func(c *Config) {
		c.Dicom.Devices = []Device{{AETitle: "CT1", Address: "127.0.0.1", Port: port, Quiet: time.Minute}, {AETitle: "MR1", Address: "127.0.0.1", Port: port, Quiet: time.Minute}, {AETitle: "OFF", Address: "127.0.0.1", Port: 1, Quiet: time.Minute}}
	})
	for title, want := range map[string]string{"CT1": "connect.ok devecho.ok", "MR1": "connect.ok devrefused.bad", "OFF": "connclosed.bad"} {
		if said := h.test(t, page.TestDevice, title); said != want {
			t.Errorf("%s: %s, want %s", title, said, want)
		}
	}
	if h.roster.echoed("CT1").IsZero() || !h.roster.echoed("MR1").IsZero() {
		t.Error("the sheet does not know who answered")
	}
}

// The window tells each connection and why, for two minutes, and no more than it holds.
func TestTheWindowTellsWhoCalledAndWhy(t *testing.T) {
	now := alarmNoon
	r := newRoster(Dicom{AETitle: "EDGED01", Devices: []Device{{AETitle: "CT1"}}}, func() time.Time { return now }, func() {})
	call := func(calling, called string) {
		c := caller{calling: calling, called: called, address: "10.0.0.5"}
		if code := r.judge(c); code != "" {
			r.refused(c, code, c.called)
			return
		}
		r.met(c)
	}
	call("CT1", "EDGED01")
	r.window.open(now)
	call("CT1", "EDGE1")
	call("CT1", "EDGED01")
	call("WHO", "EDGED01")
	own, end := r.self.begin()
	r.met(caller{calling: own, called: "EDGED01", address: "127.0.0.1"}) // a test of our own: nobody waits for it
	end()
	var said []string
	for _, h := range r.window.soFar().Heard {
		said = append(said, h.Calling+">"+h.Called+" "+string(h.Code))
	}
	if got := strings.Join(said, ", "); got != "WHO>EDGED01 unknown_calling, CT1>EDGED01 , CT1>EDGE1 wrong_called" {
		t.Error(got)
	}
	for range 3 * maxHeard {
		call("WHO", "EDGED01")
	}
	if n := len(r.window.soFar().Heard); n != maxHeard {
		t.Errorf("%d are kept", n)
	}
	now = now.Add(listenFor + time.Second)
	call("CT1", "EDGE1")
	if h := r.window.soFar().Heard[0]; h.Calling != "WHO" {
		t.Errorf("after its end it heard %+v", h)
	}
}

// One of a kind at a time: the other is told that it runs.
func TestASelfTestRunsOnceAtATime(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	if !h.selfTests.begin(page.TestLine) {
		t.Fatal("it does not begin")
	}
	if err := h.selfTests.Run(t.Context(), anna, page.TestLine, ""); !errors.Is(err, page.ErrBusy) {
		t.Errorf("the second: %v", err)
	}
	if !h.selfTests.Results()[page.TestLine].Running {
		t.Error("nobody sees that it runs")
	}
}

// The bundle has what support needs, and nothing of a patient and no UID, whatever came
// over the wire and stands in the configuration.
func TestTheBundleHoldsNoPatient(t *testing.T) {
	const name, number, uid, pass = "VERYSECRETNAME", "ID-77291", "1.2.826.0.1.3680043.77.8.9", "hunter2"
	h := newHouse(t, func(c *Config) {
		c.Dicom.AcceptUnknown = true
		c.Uplink.Proxy = "http://anna:" + pass + "@proxy.example:3128"
		c.Dicom.Devices = []Device{{AETitle: "CT1", Address: "127.0.0.1", Services: []string{serviceStore}, Quiet: time.Minute}}
	})
	o := testObject{names: newTestObject(time.Now()).names}
	o.names.SOPInstance = uid + ".3"
	o.text(0x0008, 0x0050, number, ' ')
	o.text(0x0010, 0x0010, name+"^<script>", ' ')
	o.text(0x0010, 0x0020, number, ' ')
	o.text(0x0020, 0x000D, uid, 0)
	rq := dimse.StoreRequest{SOPClassUID: o.names.SOPClass, SOPInstanceUID: o.names.SOPInstance, TransferSyntaxUID: o.names.TransferSyntax}
	for _, calling := range []string{"CT1", name} {
		_, err := h.door.store(t.Context(), 1, caller{calling: calling, called: name, address: "127.0.0.1"}, rq, bytes.NewReader(o.data))
		ok(t, err)
		h.roster.refused(caller{calling: calling, called: name, address: "127.0.0.1"}, status.WrongCalled, name)
	}
	h.alarms.book.open = []status.Alarm{{Code: status.AlarmRefused, Device: name, AckedBy: name}}
	h.view.sending = h.sender.status
	var packed bytes.Buffer
	ok(t, systemDesk{h.appliance}.Bundle(anna, &packed))
	all := unpacked(t, packed.Bytes())
	for _, want := range []string{"about.txt", "status.json", "config.txt", "dicom.ae_title: EDGED", "alarms.archive: 30m0s", "proxy.example:3128", `"ae_title": "CT1"`, "goroutine profile", "spool"} {
		if !strings.Contains(all, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	for _, never := range []string{name, number, uid, pass, "<script", "anna"} {
		if strings.Contains(all, never) || bytes.Contains(packed.Bytes(), []byte(never)) {
			at := strings.Index(all, never)
			t.Errorf("it holds %q: ...%s", never, all[max(0, at-80):min(len(all), at+80)])
		}
	}
}

// unpacked is all names and contents of a gzip'd tar.
func unpacked(t *testing.T, packed []byte) string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	ok(t, err)
	var b strings.Builder
	for files := tar.NewReader(zip); ; {
		head, err := files.Next()
		if err == io.EOF {
			return b.String()
		}
		ok(t, err)
		b.WriteString(head.Name + "\n")
		_, err = io.Copy(&b, files)
		ok(t, err)
	}
}

func TestUIDsAreStruckOut(t *testing.T) {
	for in, want := range map[string]string{"object 1.2.840.10008.1 is": "object (uid) is", "2.25.7": "(uid)", "at 10.0.0.5:11112": "at 10.0.0.5:11112", "took 1.5s": "took 1.5s"} {
		if got := withoutUIDs(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// The sheet names the way out of each network, and time servers as the files have them.
func TestTheSheetReadsTheMachine(t *testing.T) {
	routes := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\neth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\nwg0\tnonsense\n"
	if got := gateways([]byte(routes)); len(got) != 1 || got["eth0"] != "10.0.0.1" {
		t.Errorf("%v", got)
	}
	if got := strings.Join(serversIn("#NTP=no\n[Time]\nNTP=ntp1.example ntp2.example\nserver 10.0.0.3 iburst\npool pool.example\nserver\n"), " "); got != "ntp1.example ntp2.example 10.0.0.3 pool.example" {
		t.Error(got)
	}
	h := newHouse(t, func(c *Config) {
		c.Facility.Contact, c.Dicom.Listen = "Assistenza 02 1234567", "127.0.0.1:11112"
		c.Dicom.Devices = []Device{{AETitle: "CT1", Name: "TC 1", Address: "10.0.0.5", Commitment: commitReceived, TLS: tlsAny, Quiet: time.Minute}}
	})
	s, found := deviceDesk{h.appliance}.Sheet("CT1")
	if !found || s.Port != 11112 || len(s.Networks) != 1 || s.Networks[0].Mask != "255.0.0.0" || s.Device.Commitment != commitReceived || s.Contact == "" || len(s.Serial) != 9 {
		t.Errorf("%+v", s)
	}
	if _, found := (deviceDesk{h.appliance}).Sheet("WHO"); found {
		t.Error("there is a sheet for nobody")
	}
}

// Who asks has an answer in time, also where something hangs; that test is not begun twice,
// and when it ends after all its own words are there.
func TestASelfTestThatHangsAnswersInTime(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	s, release := h.selfTests, make(chan struct{})
	s.within = 50 * time.Millisecond
	s.try = func(context.Context, string, string) []page.TestStep {
		<-release
		return []page.TestStep{good("spool")}
	}
	began := time.Now()
	if said := h.test(t, page.TestMachine, ""); said != "late.bad" {
		t.Errorf("says %q", said)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("after %v", took)
	}
	if err := s.Run(t.Context(), anna, page.TestMachine, ""); !errors.Is(err, page.ErrBusy) {
		t.Errorf("twice at once: %v", err)
	}
	close(release)
	awaitFor(t, 20*time.Second, "the test to end", func() bool { return stepsSaid(s.Results()[page.TestMachine]) == "spool.ok" })
	if said := h.test(t, page.TestMachine, ""); said != "spool.ok" {
		t.Errorf("once more: %q", said)
	}
}
