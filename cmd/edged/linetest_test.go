package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"edged/agent/page"
	"edged/agent/status"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// One test at a time; the last is remembered, also one that failed, and one that
// nobody waited for says nothing.
func TestLineTestsAreOneAtATimeAndRemembered(t *testing.T) {
	begun, go_ := make(chan struct{}), make(chan error)
	l := &lineTests{run: func(ctx context.Context) (status.LineTest, error) {
		begun <- struct{}{}
		return status.LineTest{Transport: status.QUIC, Seconds: 10}, <-go_
	}}
	if l.last() != nil {
		t.Error("there is a result before the first test")
	}
	done := make(chan error)
	test := func(ctx context.Context) { _, err := l.do(ctx); done <- err }
	go test(t.Context())
	<-begun
	var refused refusedError
	if _, err := l.do(t.Context()); !errors.As(err, &refused) {
		t.Errorf("a second test beside the first: %v", err)
	}
	go_ <- nil
	ok(t, <-done)
	if got := l.last(); got == nil || got.Error != "" || got.Seconds != 10 || got.At.IsZero() {
		t.Errorf("remembered: %+v", got)
	}
	gone, leave := context.WithCancel(t.Context())
	go test(gone)
	<-begun
	leave()
	go_ <- gone.Err()
	if err := <-done; !errors.Is(err, context.Canceled) || l.last().Error != "" {
		t.Errorf("who left: %v, remembered %+v", err, l.last())
	}
	go test(t.Context())
	<-begun
	go_ <- errors.New("no route to host")
	ok(t, <-done)
	if got := l.last(); got.Error != "no route to host" {
		t.Errorf("a test that failed: %+v", got)
	}
	go test(t.Context())
	<-begun
	go_ <- refusef("sending is paused")
	if err := <-done; !errors.As(err, &refused) || l.last().Error != "no route to host" {
		t.Errorf("a test that was refused: %v, remembered %+v", err, l.last())
	}
}

// A line test is refused while sending is paused, and says until when by the clock of
// the facility, whatever the process takes for local time.
func TestARefusedLineTestSpeaksTheFacilitysTime(t *testing.T) {
	ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
	link, err := uplink.New(uplink.Config{Hubs: []string{"127.0.0.1:1"}, TLS: ca.Appliance("one"), Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d")})
	ok(t, err)
	s := &sender{cfg: &Config{Facility: Facility{TimeZone: "Asia/Kathmandu"}, Uplink: Uplink{Hubs: []string{"127.0.0.1:1"}}}, link: link}
	until := time.Now().Add(3 * time.Hour)
	link.Pause(until)
	_, err = s.testLine(t.Context())
	var refused refusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), until.In(s.cfg.zone()).Format("15:04")) {
		t.Errorf("got %v, want %s in it", err, until.In(s.cfg.zone()).Format("15:04"))
	}
	s.cfg.Uplink.Hubs = nil
	if _, err := s.testLine(t.Context()); !errors.As(err, &refused) {
		t.Errorf("without a hub: %v", err)
	}
}

// The best carrier is the one that carried most, and what it says is in words.
func TestALineTestIsSaidInWords(t *testing.T) {
	shut := false
	got := shownTest(uplink.LineTest{Hub: "hub:8443", Seconds: 10, CapBits: 900e6, BesideBits: 5e6, UDPOpen: &shut, Carriers: []uplink.LineCarrier{
		{Name: "quic", Error: "no answer"},
		{Name: "tcp", GoodputBits: 812e6, RTTMS: 180, MinRTTMS: 21.3, Sent: 500_000, Lost: 100, MTU: 1500, Congestion: "bbr"}}})
	if got.Transport != status.TCP || got.Hub != "hub:8443" || got.BesideBits != 5e6 {
		t.Errorf("%+v", got)
	}
	said := strings.ReplaceAll(strings.Join(page.SayTest(got, "en"), "\n"), "\u00a0", " ")
	for _, want := range []string{"QUIC: not measured · no answer", "TLS over TCP: 812 Mbit/s", "21 ms there and back", "180 ms on the full line", "0.02 % of packets lost", "packets of up to 1,500 bytes", "bbr", "UDP: no answer, while TCP got through", "limited to 900 Mbit/s", "5.0 Mbit/s"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if none := shownTest(uplink.LineTest{Carriers: []uplink.LineCarrier{{Name: "quic"}}}); none.Transport != status.NoTransport {
		t.Errorf("nothing came through: %+v", none)
	}
}
