package main

import (
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// The terminal says of the line what the page says, in the same words: what carries
// the images and why, the cap and until when, a pause, the nodes, the last test. And
// what was refused is not said to have been images.
func TestTheTerminalSaysTheLineInThePagesWords(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 42, 0, 0, time.UTC)
	closed := false
	st := status.Status{State: status.OK, At: now, Counters: status.Counters{Received: 9, Refused: 3}, Uplink: status.Uplink{
		Connected: true, Transport: status.TCP, Hub: "hub:8443", Lanes: 2, Why: status.WhyFaster, UDPOpen: &closed, CapBits: 200e6, CapUntil: now.Add(9*time.Hour + 18*time.Minute),
		PausedUntil: now.Add(time.Hour), CapBackfill: 50e6, Nodes: []status.Node{{Address: "hub:8443", InUse: true}, {Address: "hub2:8443", SetAside: true}},
		Carriers: []status.Carrier{{Transport: status.TCP, GoodputBits: 812e6}, {Transport: status.QUIC, GoodputBits: 130e6, LastError: "no answer"}},
		Test:     &status.LineTest{At: now.Add(-time.Hour), Transport: status.TCP, Carriers: []status.Carrier{{Transport: status.TCP, GoodputBits: 790e6, RTTMS: 20}}},
	}}
	var out strings.Builder
	ok(t, printStatus(&out, st, now, "en"))
	said := strings.ReplaceAll(out.String(), "\u00a0", " ")
	for _, want := range []string{
		"TLS over TCP, 2 connections · it carries more on this line: 812 Mbit/s against 130 Mbit/s", "limited to 200 Mbit/s until 18:00", "until 09:42", "50 Mbit/s",
		"790 Mbit/s · 20 ms there and back · TLS over TCP · 07:42", "UDP", "no answer, while TCP got through", "hub2:8443", "left alone for now", "no answer",
		"Images received                   9\n", "Refused (images and connections)  3\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
}

// The command says so, else the terminal: LC_ALL before LC_MESSAGES before LANG, as locale(7) has it.
func TestTheTerminalChoosesTheLanguage(t *testing.T) {
	for _, x := range []struct{ flag, all, messages, lang, want string }{
		{"", "", "", "de_DE.UTF-8", "de"}, {"", "", "it_IT.UTF-8", "de_DE.UTF-8", "it"}, {"", "de_AT", "it_IT", "it_IT", "de"},
		{"it", "de_AT", "de_AT", "de_AT", "it"}, {"", "C", "it_IT", "it_IT", "en"}, {"", "", "", "", "en"},
	} {
		t.Setenv("LC_ALL", x.all)
		t.Setenv("LC_MESSAGES", x.messages)
		t.Setenv("LANG", x.lang)
		if got := (&statusCmd{Language: x.flag}).language(); got != x.want {
			t.Errorf("%+v: %s", x, got)
		}
	}
}
