package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/agent/status"
	"edged/internal/audit"
)

func (r *rig) lineStatus() status.Uplink {
	st, err := r.control().status(context.Background())
	if err != nil {
		return status.Uplink{}
	}
	return st.Uplink
}

// While sending is paused images are received and kept; then all of them go.
func TestAPauseHoldsBackWhatIsSentAndNothingElse(t *testing.T) {
	r := newRig(t, "", "").up()
	file := r.path("edged.yaml")
	r.await("the line", func() bool { return r.lineStatus().Connected })
	if said := r.must("edged", "pause", "--for", "2h", "-c", file); !strings.Contains(said, "nothing is sent until") {
		t.Errorf("said %q", said)
	}
	if left := time.Until(r.lineStatus().PausedUntil); left < 119*time.Minute || left > 2*time.Hour {
		t.Errorf("paused for %s", left)
	}
	if said := r.must("edged", "status", "-c", file); !strings.Contains(said, "pause") {
		t.Errorf("status does not say so:\n%s", said)
	}
	sent := r.modsim("--profile", "bench:5x16KiB")
	if n := r.count("received"); n != len(sent) {
		t.Errorf("%d of %d are kept and not offered", n, len(sent))
	}
	r.must("edged", "resume", "-c", file)
	r.mustArriveOnce(sent)
	if until := r.lineStatus().PausedUntil; !until.IsZero() {
		t.Errorf("paused until %s", until)
	}
	for _, wrong := range []string{"25h", "0s", "soon"} {
		if said, code := r.call("edged", "pause", "--for", wrong, "-c", file); code != 2 {
			t.Errorf("--for %s: exit %d, %s", wrong, code, said)
		}
	}
	said := r.must("edged", "audit", "-c", file)
	for _, want := range []string{"pause", "for 2h0m0s", "resume"} {
		if !strings.Contains(said, want) {
			t.Errorf("the audit log does not have %q:\n%s", want, said)
		}
	}
	r.edged.stop()
	if said, code := r.call("edged", "pause", "-c", file); code != 1 || !strings.Contains(said, "no daemon answers") {
		t.Errorf("without a daemon: exit %d, %s", code, said)
	}
}

// SIGHUP takes new rates over; a wrong file changes nothing and ends nothing.
func TestRatesAreReadAgain(t *testing.T) {
	r := newRig(t, "", "").up()
	hub := r.hub
	reread := func(uplink, said string) {
		t.Helper()
		before := strings.Count(r.edged.said.String(), said)
		r.rewrite("edged.yaml", uplink)
		r.edged.cmd.Process.Signal(syscall.SIGHUP)
		r.await(said, func() bool { return strings.Count(r.edged.said.String(), said) > before })
	}
	reread("uplink: {hubs: ["+`"`+hub+`"`+"], rate: 80Mbit/s, backfill_rate: 8Mbit/s}", "rates read again")
	if u := r.lineStatus(); u.CapBits != 80e6 || u.CapBackfill != 8e6 {
		t.Errorf("caps %d and %d", u.CapBits, u.CapBackfill)
	}
	reread("uplink: {hubs: ["+`"`+hub+`"`+"], rate: 40}", "the configuration is wrong, the old one goes on")
	reread("uplink: {hubs: ["+`"`+hub+`"`+"], rate: 40Mbit/s, schedule: [{rate: 20Mbit/s}], dscp: 8}", "needs a restart")
	if !strings.Contains(r.edged.said.String(), "keys=uplink") {
		t.Error("what needs a restart is not named")
	}
	r.await("the new rate", func() bool { return r.lineStatus().CapBits == 20e6 })
	if u := r.lineStatus(); u.CapBackfill != 0 {
		t.Errorf("backfill has a cap of %d", u.CapBackfill)
	}
	r.mustArriveOnce(r.modsim("--profile", "bench:3x16KiB"))
}

// A pause by command is done also where the audit log cannot be written, once; and what is
// done is no failure because its second row is missing.
func TestAPauseByCommandNeedsNoLog(t *testing.T) {
	dir := t.TempDir()
	cfg := defaultConfig()
	cfg.DataDir = dir
	key := make([]byte, 32)
	logless := func() (*audit.Log, error) { return nil, errors.New("the key is not there") }
	broken := func() (*audit.Log, error) { // a file where the folder is to be
		return newTrail(&cfg, key), os.WriteFile(filepath.Join(dir, auditDir), nil, 0o600)
	}
	gone := t.TempDir()
	other := cfg
	other.DataDir = gone
	whole := func() (*audit.Log, error) { return newTrail(&other, key), nil }
	for name, trail := range map[string]func() (*audit.Log, error){"no key": logless, "no folder": broken, "no second row": whole} {
		for _, d := range []time.Duration{time.Hour, 0} {
			n, end := 0, time.Now().Add(d)
			c := &control{trail: trail, rest: func(_ string, got time.Duration) (time.Time, error) {
				if n++; got != d {
					t.Errorf("%s: asked for %v", name, got)
				}
				if name == "no second row" {
					ok(t, os.RemoveAll(filepath.Join(gone, auditDir)))
					ok(t, os.WriteFile(filepath.Join(gone, auditDir), nil, 0o600))
				}
				return end, nil
			}}
			if until, err := c.noted("root", d); err != nil || !until.Equal(end) || n != 1 {
				t.Errorf("%s, %v: until %v, %v, done %d times", name, d, until, err, n)
			}
			ok(t, os.RemoveAll(filepath.Join(gone, auditDir)))
		}
	}
	c := &control{trail: whole, rest: func(string, time.Duration) (time.Time, error) { return time.Time{}, errNothingSent }}
	if _, err := c.noted("root", time.Hour); !errors.Is(err, errNothingSent) {
		t.Errorf("what was not done: %v", err)
	}
}
