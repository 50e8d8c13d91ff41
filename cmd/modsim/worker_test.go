package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// peer is a scripted Storage SCP: what it does to the n-th dial and the n-th
// store, counted from 1, is up to the test. It notes what it has answered 0000.
type peer struct {
	mu            sync.Mutex
	dials, stores int
	open, most    int
	onDial        func(n int) error
	onStore       func(n int) (dimse.Status, error)
	stored        map[string]int
	callers       []string
}

func (p *peer) dial(_ context.Context, calling string) (association, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	if p.onDial != nil {
		if err := p.onDial(p.dials); err != nil {
			return nil, err
		}
	}
	p.callers = append(p.callers, calling)
	p.open++
	p.most = max(p.most, p.open)
	return &scripted{p}, nil
}

// scripted is one association to a peer.
type scripted struct{ *peer }

func (a *scripted) Store(_ context.Context, i synth.Instance, dataSet io.Reader) (dimse.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stores++
	if a.onStore != nil {
		if status, err := a.onStore(a.stores); err != nil || !status.IsSuccess() {
			return status, err
		}
	}
	io.Copy(io.Discard, dataSet)
	if a.stored == nil {
		a.stored = map[string]int{}
	}
	a.stored[i.Names.SOPInstance]++
	return dimse.StatusSuccess, nil
}

func (a *scripted) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
}

func small(t *testing.T) []synth.Instance {
	t.Helper()
	return synth.Instances(synth.Studies(1, synth.Small))
}

// An appliance that restarts in mid-run, refuses for a while and drops an
// association in mid-object loses nothing: everything is answered 0000 in the end.
func TestOutageLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{
			onDial: func(n int) error {
				return map[int]error{1: errors.New("connection refused"), 2: dimse.RejectCongestion, 3: dimse.RejectLocalLimit}[n]
			},
			onStore: func(n int) (dimse.Status, error) {
				switch n {
				case 3:
					return 0, dimse.ErrLost
				case 5:
					return dimse.StatusOutOfResources, nil
				}
				return dimse.StatusSuccess, nil
			},
		}
		all := small(t)
		c := sendCommand{Associations: 1, Retry: time.Minute}
		if err := c.send(t.Context(), all, p.dial, io.Discard); err != nil {
			t.Error(err)
		}
		if len(p.stored) != len(all) {
			t.Errorf("%d instances stored, want %d", len(p.stored), len(all))
		}
		if p.open != 0 {
			t.Errorf("%d associations left open", p.open)
		}
	})
}

// A peer that stays away is waited for once, not once for each instance, and the
// run fails.
func TestDeadPeerEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{onDial: func(int) error { return errors.New("connection refused") }}
		c := sendCommand{Associations: 2, Retry: time.Minute}
		start := time.Now()
		if err := c.send(t.Context(), small(t), p.dial, io.Discard); err == nil {
			t.Error("a run without any answer succeeded")
		}
		if took := time.Since(start); took < 50*time.Second || took > 61*time.Second {
			t.Errorf("gave up after %v, want about the minute of --retry", took)
		}
	})
}

// What will not get better is not tried again.
func TestPermanentAnswersAreFinal(t *testing.T) {
	for name, p := range map[string]*peer{
		"rejected 1/1/3": {onDial: func(int) error { return dimse.RejectCalling }},
		"no context":     {onStore: func(int) (dimse.Status, error) { return 0, dimse.ErrNoContext }},
		"refused C000":   {onStore: func(int) (dimse.Status, error) { return dimse.StatusCannotUnderstand, nil }},
	} {
		all := small(t)
		err := (&sendCommand{Associations: 1, Retry: time.Hour}).send(t.Context(), all, p.dial, io.Discard)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d of %d", len(all), len(all))) {
			t.Errorf("%s: %v, want an error about all %d", name, err, len(all))
		}
		if p.stores > len(all) || p.dials > len(all) {
			t.Errorf("%s: %d dials and %d stores for %d instances", name, p.dials, p.stores, len(all))
		}
	}
}

// A warning is not 0000: the run fails and says so.
func TestWarningIsNotSuccess(t *testing.T) {
	p := &peer{onStore: func(n int) (dimse.Status, error) {
		if n == 2 {
			return dimse.StatusElementsDiscarded, nil
		}
		return dimse.StatusSuccess, nil
	}}
	if err := (&sendCommand{Associations: 1}).send(t.Context(), small(t), p.dial, io.Discard); err == nil {
		t.Error("succeeded with a warning among the answers")
	}
}

// Each modality is its own caller, and no more associations are open than allowed.
func TestEachModalityCallsByItsOwnName(t *testing.T) {
	p := &peer{}
	if err := (&sendCommand{Associations: 1}).send(t.Context(), small(t), p.dial, io.Discard); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(p.callers, " "), "SIMCT SIMMR SIMUS SIMMG SIMSR"; got != want {
		t.Errorf("callers %q, want %q", got, want)
	}
	if p.most != 1 {
		t.Errorf("%d associations at once, want 1", p.most)
	}
}

// The rate is kept: n objects take n-1 intervals.
func TestRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := small(t)
		start := time.Now()
		if err := (&sendCommand{Associations: 3, Rate: 2}).send(t.Context(), all, (&peer{}).dial, io.Discard); err != nil {
			t.Error(err)
		}
		if got, want := time.Since(start), time.Duration(len(all)-1)*time.Second/2; got < want-time.Millisecond || got > want+time.Millisecond {
			t.Errorf("%d objects at 2 a second took %v, want %v", len(all), got, want)
		}
	})
}

// Each JSON line tells digest and ID of what was sent, and so does the kept file,
// also when the peer answered before it had read all.
func TestReportAndKeptFilesTellWhatWasSent(t *testing.T) {
	var out bytes.Buffer
	dir, all := t.TempDir(), small(t)
	p := &peer{onStore: func(n int) (dimse.Status, error) {
		if n == 1 {
			return dimse.StatusCannotUnderstand, nil
		}
		return dimse.StatusSuccess, nil
	}}
	err := (&sendCommand{Associations: 1, JSON: true, Keep: dir}).send(t.Context(), all, p.dial, &out)
	if err == nil {
		t.Error("succeeded with a refusal among the answers")
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(all)+1 {
		t.Fatalf("%d lines, want one for each of %d instances and a summary", len(lines), len(all))
	}
	for n, i := range all {
		checkLine(t, lines[n], i, n > 0, dir)
	}
	var s summary
	if err := json.Unmarshal([]byte(lines[len(all)]), &s); err != nil || !s.Summary || s.Answered != len(all)-1 || s.Instances != len(all) {
		t.Errorf("summary %s (%v)", lines[len(all)], err)
	}
}

func checkLine(t *testing.T, text string, i synth.Instance, stored bool, dir string) {
	t.Helper()
	var l line
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatal(err)
	}
	h := i.Names.NewHash()
	r, length := i.Open()
	io.Copy(h, r)
	id := dicom.ID(h.Sum(nil)).String()
	if l.ID != id || l.Bytes != length || l.SOPInstanceUID != i.Names.SOPInstance || len(l.SHA256) != 64 {
		t.Errorf("line %s does not tell instance %s", text, id)
	}
	_, err := os.Stat(filepath.Join(dir, id+".dcm"))
	if stored != (err == nil) || stored != (l.Status == "0000") {
		t.Errorf("status %s, kept file: %v; want stored to be %v in both", l.Status, err, stored)
	}
}
