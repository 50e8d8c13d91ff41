package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/agent/status"
	"edged/internal/synth"
)

var ct1 = Dicom{AETitle: "EDGED", Devices: []Device{{AETitle: "CT1", Name: "CT one", Address: "10.0.0.0/24"}}}

// remembering is a roster that keeps to file, and its log.
func remembering(c Dicom, file string) (*roster, *bytes.Buffer) {
	var log bytes.Buffer
	r := newRoster(c, time.Now, func() {})
	r.keepIn(file, slog.New(slog.NewTextHandler(&log, nil)))
	return r, &log
}

// What was seen before a restart is seen after it; what is configured comes
// from the configuration.
func TestDevicesAreRememberedOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), devicesFile)
	before, _ := remembering(ct1, file)
	before.stored(caller{calling: "CT1", called: "EDGED", address: "10.0.0.5"})
	before.refused(caller{calling: "WHO", called: "EDGED", address: "10.0.0.9"}, status.UnknownCalling, "EDGED")
	done, stop := context.WithCancel(t.Context())
	stop()
	ok(t, before.run(done)) // an orderly stop

	renamed := Dicom{AETitle: "EDGED", Devices: []Device{{AETitle: "CT1", Name: "CT in room 2"}, {AETitle: "MR1"}}}
	after, log := remembering(renamed, file)
	got := after.list()
	if len(got) != 3 || log.Len() > 0 {
		t.Fatalf("%d devices after the restart, want 3: %+v %s", len(got), got, log)
	}
	ct, mr, who := got[0], got[1], got[2]
	if ct.Name != "CT in room 2" || !ct.Known || ct.Stored != 1 || ct.Address != "10.0.0.5" || ct.LastSeen.IsZero() {
		t.Errorf("CT1 is %+v", ct)
	}
	if !mr.Known || !mr.LastSeen.IsZero() {
		t.Errorf("MR1, never met, is %+v", mr)
	}
	if who.Known || who.Refused != 1 || who.LastRefusal == nil || who.LastRefusal.Code != status.UnknownCalling {
		t.Errorf("the stranger is %+v", who)
	}
	if n := after.strangersSince(time.Now().Add(-time.Hour)); n != 1 {
		t.Errorf("%d strangers within the hour, want 1: a restart hides nobody", n)
	}
	nobody, _ := remembering(Dicom{AETitle: "EDGED"}, file)
	for _, d := range nobody.list() {
		if d.Known {
			t.Errorf("%s is known, though nobody configures it any more", d.AETitle)
		}
	}
}

// The program keeps the promise, too.
func TestThePageShowsDevicesAfterARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	before := r.device("CT1")
	if code := r.edged.stop(); code != 0 {
		t.Fatalf("edged stopped with exit %d", code)
	}
	r.startEdged()
	if after := r.device("CT1"); after.Stored != 1 || !after.LastSeen.Equal(before.LastSeen) {
		t.Errorf("CT1 is %+v after the restart, was %+v", after, before)
	}
}

// A thousand images in a minute are two writes, and an idle appliance writes
// nothing; a crash forgets at most the last half minute.
func TestDevicesAreWrittenAtMostEveryHalfMinute(t *testing.T) {
	file := filepath.Join(t.TempDir(), devicesFile)
	synctest.Test(t, func(t *testing.T) {
		r, _ := remembering(ct1, file)
		running := newGroup(t.Context())
		running.Go(r.run)
		met := func() { r.stored(caller{calling: "CT1", called: "EDGED", address: "10.0.0.5"}) }
		there := func() int64 { return storedIn(t, file) }
		met()
		time.Sleep(rosterEvery - time.Second)
		if there() != 0 {
			t.Error("written before half a minute was over")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if there() != 1 {
			t.Error("not written after half a minute")
		}
		ok(t, os.Remove(file))
		time.Sleep(time.Hour)
		synctest.Wait()
		if there() != 0 {
			t.Error("written without news")
		}
		for range 1000 {
			met()
		}
		running.cancel(errStopped)
		if err := running.Wait(); err != nil && err != errStopped {
			t.Error(err)
		}
		if there() != 1001 {
			t.Error("not written at the end")
		}
	})
}

// storedIn is what the file says of the first device, 0 without a file.
func storedIn(t *testing.T, file string) int64 {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return 0
	}
	ok(t, err)
	met, err := parseRoster(text)
	ok(t, err)
	return met[0].Stored
}

// A damaged file costs what it held and nothing else: a warning, an empty
// roster, and the next write mends it.
func TestADamagedDevicesFileIsLeftBehind(t *testing.T) {
	many := rosterFile{Version: 1, Devices: make([]status.Device, maxMet+1)}
	crowd, err := json.Marshal(many)
	ok(t, err)
	for name, text := range map[string]string{
		"empty": "", "cut": `{"version":1,"devices":[{"ae_title":"CT`, "zeroes": strings.Repeat("\x00", 4096), "another version": `{"version":2,"devices":[]}`,
		"a title without end": `{"version":1,"devices":[{"ae_title":"` + strings.Repeat("x", 1000) + `"}]}`, "too many": string(crowd), "too long": strings.Repeat(" ", maxRoster+1),
		"counts below zero": `{"version":1,"devices":[{"ae_title":"CT1","stored":-1}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), devicesFile)
			ok(t, os.WriteFile(file, []byte(text), 0o600))
			r, log := remembering(ct1, file)
			if got := r.list(); len(got) != 1 || !got[0].LastSeen.IsZero() || strings.Count(log.String(), "level=WARN") != 1 {
				t.Errorf("starts with %+v, says %q", got, log)
			}
			r.met(caller{calling: "CT1", called: "EDGED", address: "10.0.0.5"})
			r.save()
			if again, log := remembering(ct1, file); again.list()[0].LastSeen.IsZero() || log.Len() > 0 {
				t.Errorf("the file is not mended: %s", log)
			}
		})
	}
}

// A disk that does not take the file is told of and tried again (P8).
func TestADevicesFileThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	r, log := remembering(ct1, filepath.Join(dir, devicesFile))
	r.met(caller{calling: "CT1", called: "EDGED", address: "10.0.0.5"})
	r.save()
	if !strings.Contains(log.String(), "level=WARN") {
		t.Error("nothing is said")
	}
	ok(t, os.Mkdir(dir, 0o700))
	r.save()
	if info, err := os.Stat(filepath.Join(dir, devicesFile)); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("not tried again: %v %v", info, err)
	}
}

// However many callers there are, the file and what is read back stay bounded (P9).
func TestDevicesInTheFileAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), devicesFile)
	r, _ := remembering(ct1, file)
	for i := range 3 * maxStrangers {
		evil := strings.Repeat("\x01", 12) + fmt.Sprintf("%04d", i)
		r.refused(caller{calling: evil, called: evil, address: "10.0.0.9"}, status.WrongCalled, strings.Repeat("\x02", 1000))
	}
	r.save()
	again, log := remembering(ct1, file)
	if n := len(again.list()); n != maxStrangers+1 || log.Len() > 0 {
		t.Errorf("%d devices are read back, want %d: %s", n, maxStrangers+1, log)
	}
}

func FuzzParseRoster(f *testing.F) {
	for _, seed := range []string{`{"version":1,"devices":[{"ae_title":"CT1","stored":7,"last_refusal":{"code":"no_space","at":"2026-11-21T08:42:07Z"}}]}`, `{"version":1}`, "", "[]", `{"devices":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		met, err := parseRoster(text)
		if err != nil && met != nil || len(met) > maxMet {
			t.Fatalf("%d devices with %v", len(met), err)
		}
		r := newRoster(ct1, time.Now, func() {})
		for _, d := range met {
			r.recall(d)
		}
		if n := len(r.list()); n > maxStrangers+1 {
			t.Fatalf("%d devices", n)
		}
	})
}
