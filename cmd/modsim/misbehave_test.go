package main

import (
	"net"
	"strings"
	"testing"
	"time"
)

func misbehave(t *testing.T, to, name string) outcome {
	t.Helper()
	c := misbehaveCommand{Calling: "SIMCT", Manner: name}
	if err := c.To.UnmarshalText([]byte(to)); err != nil {
		t.Fatal(err)
	}
	o, err := c.misbehave(t.Context(), manners[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return o
}

// Our own SCP takes every bad manner as a robust peer does, within seconds, and
// keeps nothing of what came with it.
func TestOurServerIsRobust(t *testing.T) {
	a, to := serve(t)
	for name := range manners {
		t.Run(name, func(t *testing.T) {
			if o := misbehave(t, to, name); !o.Robust || o.Seconds > 10 {
				t.Errorf("reaction after %.1f s: %s", o.Seconds, o.Reaction)
			}
		})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.whole) != 0 {
		t.Errorf("%d instances were kept", len(a.whole))
	}
}

// The PDUs that are meant to be right are right: DCMTK accepts the association
// and the object's beginning, and our abort ends it.
func TestStorescpUnderstandsWhatIsMeantToBeRight(t *testing.T) {
	to := storescpInto(t, t.TempDir())
	if o := misbehave(t, to, "abort-mid-object"); !o.Robust {
		t.Errorf("abort-mid-object: %s", o.Reaction)
	}
	if o := misbehave(t, to, "interleave"); o.Reaction == "silence" {
		t.Errorf("interleave: %s", o.Reaction)
	}
}

// A peer that never reacts is reported as such, not waited for without end.
func TestSilenceIsNotRobust(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // connections wait in its backlog and nobody reads them
	c := misbehaveCommand{Manner: "http", Calling: "SIMCT", To: target{"X", l.Addr().String()}}
	m := manners["http"]
	m.watch = 50 * time.Millisecond
	if o, err := c.misbehave(t.Context(), m); err != nil || o.Robust || o.Reaction != "silence" {
		t.Errorf("got %+v, %v, want silence", o, err)
	}
}

func TestTargetsAreChecked(t *testing.T) {
	for _, bad := range []string{"", "HOST:104", "@h:1", "AET@h", "AET@:104", "ABCDEFGHIJKLMNOPQ@h:1", strings.Repeat("x", 99)} {
		if err := new(target).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}
