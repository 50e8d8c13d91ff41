package main

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
	"edged/internal/audit"
	"edged/internal/dicom"
)

var anna = account.Actor{Name: "anna", Address: netip.MustParseAddr("10.0.0.7")}

// Whoever is admitted on the page may call at once, and after a restart; who did it, and
// what, stands in the audit log before it is so.
func TestADeviceAdmittedOnThePageMayCallAndStays(t *testing.T) {
	var dir string
	h := newHouse(t, func(c *Config) { dir = c.DataDir })
	us := caller{calling: "ECO_NEW", called: "EDGED", address: "10.1.2.34"}
	if code := h.roster.judge(us); code != status.UnknownCalling {
		t.Fatalf("before: %q", code)
	}
	h.roster.refused(us, status.UnknownCalling, "EDGED")
	if n := h.roster.strangersSince(time.Now().Add(-time.Hour)); n != 1 {
		t.Errorf("%d unknown devices are told, want 1", n)
	}
	desk := deviceDesk{h.appliance}
	ok(t, desk.Admit(anna, page.Admission{Title: "ECO_NEW", Address: "10.1.2.34", Name: "Eco 2", Priority: "urgent", Services: []string{serviceStore}}))
	if code := h.roster.judge(us); code != "" {
		t.Errorf("after: %q", code)
	}
	if n := h.roster.strangersSince(time.Now().Add(-time.Hour)); n != 0 {
		t.Errorf("it is admitted, and %d unknown devices are told", n)
	}
	if p := h.roster.priority(us); p != priorityOf("urgent") {
		t.Errorf("its priority is %d", p)
	}
	elsewhere := us
	if elsewhere.address = "10.1.2.35"; h.roster.judge(elsewhere) != status.WrongAddress {
		t.Error("it may call from another address")
	}
	key, err := h.cfg.spoolKey()
	ok(t, err)
	var said []string
	_, err = audit.Read(filepath.Join(dir, auditDir), key, func(e audit.Event) error {
		said = append(said, e.Who+" "+e.Action+" "+e.Object+" "+e.Outcome)
		return nil
	})
	ok(t, err)
	want := "anna from 10.0.0.7 (page) device admit ECO_NEW at 10.1.2.34 " + audit.Intended
	if len(said) != 2 || said[0] != want {
		t.Errorf("the audit log says %q, want first %q", said, want)
	}
	again := openAdmitted(filepath.Join(dir, admittedFile), time.Now)
	ok(t, again.unread)
	after := newRoster(Dicom{AETitle: "EDGED", Devices: again.beside(nil)}, time.Now, func() {})
	if code := after.judge(us); code != "" {
		t.Errorf("after a restart: %q", code)
	}
}

// What cannot be is not taken, and changes nothing: no name that is none, no place that
// somebody has, no service that is not offered, nobody from everywhere.
func TestWhatCannotBeAdmittedIsNotTaken(t *testing.T) {
	h := newHouse(t, func(c *Config) {
		c.Dicom.Devices = []Device{{AETitle: "CT1", Address: "10.0.0.0/24", Quiet: time.Minute}}
	})
	good := page.Admission{Title: "MR1", Address: "10.0.0.9", Priority: "routine", Services: []string{serviceStore}}
	for name, spoil := range map[string]func(*page.Admission){
		"no title":             func(a *page.Admission) { a.Title = " " },
		"a backslash":          func(a *page.Admission) { a.Title = `A\B` },
		"17 characters":        func(a *page.Admission) { a.Title = strings.Repeat("A", 17) },
		"no address":           func(a *page.Admission) { a.Address = "" },
		"every address":        func(a *page.Admission) { a.Address = "0.0.0.0/0" },
		"a word":               func(a *page.Admission) { a.Address = "there" },
		"a priority":           func(a *page.Admission) { a.Priority = "now" },
		"no service":           func(a *page.Admission) { a.Services = nil },
		"a service of no kind": func(a *page.Admission) { a.Services = []string{"print"} },
		"not offered here":     func(a *page.Admission) { a.Services = []string{serviceStore, serviceQuery} },
		"a long name":          func(a *page.Admission) { a.Name = strings.Repeat("x", 65) },
		"configured already":   func(a *page.Admission) { a.Title = "CT1" },
	} {
		a := good
		spoil(&a)
		if err := (deviceDesk{h.appliance}).Admit(anna, a); !errors.Is(err, page.ErrNotTaken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(h.roster.listed()); n != 1 {
		t.Errorf("%d devices are listed", n)
	}
}

// A stranger who is ignored is still refused, is not shown and rings no bell, and comes
// back after a month or from another address.
func TestAStrangerIsIgnoredForAMonthFromThere(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	kept := openAdmitted(filepath.Join(t.TempDir(), admittedFile), func() time.Time { return now })
	r := newRoster(Dicom{AETitle: "EDGED"}, func() time.Time { return now }, func() {})
	r.ignored = kept.ignores
	call := func(address string) {
		c := caller{calling: "WHO", called: "EDGED", address: address}
		r.refused(c, r.judge(c), "EDGED")
	}
	shown := func(want int, when string) {
		t.Helper()
		if n, bell := len(r.shown()), r.strangersSince(now.Add(-time.Hour)); n != want || bell != int64(want) {
			t.Errorf("%s: %d shown, %d told; want %d", when, n, bell, want)
		}
	}
	call("10.0.0.9")
	shown(1, "before")
	ok(t, kept.ignore("WHO", "10.0.0.9"))
	shown(0, "ignored")
	call("10.0.0.9")
	shown(0, "it calls again")
	call("10.0.0.10")
	shown(1, "from another address")
	call("10.0.0.9")
	now = now.Add(29 * 24 * time.Hour)
	call("10.0.0.9")
	shown(0, "after 29 days")
	now = now.Add(25 * time.Hour)
	call("10.0.0.9")
	shown(1, "after 30 days")
}

// Images need the lock of the roster: it is not held while a file is asked who is ignored.
func TestNoImageWaitsForTheListOfWhoIsIgnored(t *testing.T) {
	r := newRoster(Dicom{AETitle: "EDGED"}, time.Now, func() {})
	asked := 0
	r.ignored = func(string, string) bool {
		if asked++; !r.mu.TryLock() {
			t.Error("the lock is held")
			return false
		}
		r.mu.Unlock()
		return false
	}
	r.refused(caller{calling: "WHO", called: "EDGED", address: "10.0.0.9"}, status.UnknownCalling, "")
	if n := r.strangersSince(time.Now().Add(-time.Hour)); n != 1 || len(r.shown()) != 1 || asked != 2 {
		t.Errorf("%d strangers, asked %d times", n, asked)
	}
}

// While the file is being written nobody waits who only asks it, and so no image.
func TestNobodyWaitsForTheFileOfWhoIsIgnored(t *testing.T) {
	kept := openAdmitted(filepath.Join(t.TempDir(), admittedFile), time.Now)
	ok(t, kept.change(func(in *admittance) error { // change holds all that it holds over the file
		asked := make(chan bool)
		go func() {
			kept.beside(nil)
			kept.silent()
			asked <- kept.ignores("WHO", "10.0.0.9")
		}()
		select {
		case <-asked:
		case <-time.After(time.Minute):
			t.Error("who asks waits for who writes")
			go func() { <-asked }()
		}
		return nil
	}))
}

// A device that is on the disk is let in, also where the outcome could not be recorded:
// else the page said no, and the next start yes.
func TestADeviceThatIsKeptIsLetInWhateverTheAuditLogSays(t *testing.T) {
	var dir string
	h := newHouse(t, func(c *Config) { dir = c.DataDir })
	desk := deviceDesk{h.appliance}
	one := page.Admission{Title: "ECO_1", Address: "10.1.2.34", Priority: "routine", Services: []string{serviceStore}}
	ok(t, desk.Admit(anna, one))
	logs, err := filepath.Glob(filepath.Join(dir, auditDir, "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	ok(t, h.admitted.change(func(in *admittance) error { // much, so that it is no torn row
		for range 900 {
			in.Devices = append(in.Devices, admittedDevice{"FULL", "10.0.0.9", strings.Repeat("x", 64), "routine", []string{serviceStore}})
		}
		return nil
	}))
	h.admitted.file = logs[0] // writing it spoils the audit log between the two rows
	two := one
	two.Title, two.Address = "ECO_2", "10.1.2.35"
	if err := desk.Admit(anna, two); err == nil {
		t.Error("the outcome was not recorded, and nobody was told")
	}
	if code := h.roster.judge(caller{calling: "ECO_2", called: "EDGED", address: "10.1.2.35"}); code != "" {
		t.Errorf("it is kept and turned away: %q", code)
	}
	if err := desk.Admit(anna, two); !errors.Is(err, page.ErrNotTaken) || len(h.admitted.in.Load().Devices) != 902 {
		t.Errorf("a second time: %v, %d devices", err, len(h.admitted.in.Load().Devices))
	}
}

// A file that cannot be read takes nobody else's place: the start goes on with what can be
// read of it, says so, and keeps the file when somebody admits a device.
func TestADamagedListOfAdmittedDevicesShutsNobodyElseOut(t *testing.T) {
	good := `{"ae_title":"MR1","address":"10.0.0.9","priority":"routine","services":["store"]}`
	for text, want := range map[string]int{
		"{": 0, `{"version":2,"devices":[` + good + `]}`: 0, strings.Repeat(" ", maxAdmittance+1): 0,
		`{"version":1,"devices":[{"ae_title":"A","address":"0.0.0.0/0","priority":"routine","services":["store"]},` + good + `]}`: 1,
		`{"version":1,"devices":[7,` + good + `],"ignored":[]}`:                                                                   1,
	} {
		h := newHouse(t, func(c *Config) {
			c.Dicom.Devices = []Device{{AETitle: "CT1", Address: "10.0.0.5", Quiet: time.Minute}}
			ok(t, os.MkdirAll(c.DataDir, 0o700))
			ok(t, os.WriteFile(filepath.Join(c.DataDir, admittedFile), []byte(text), 0o600))
		})
		if n := len(h.roster.listed()); n != 1+want {
			t.Errorf("%.40q: %d devices, want %d", text, n, 1+want)
		}
		file := h.admitted.file
		if err := h.admitted.unread; err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%.40q: %v", text, err)
		}
		needsALook(t, h, true, text)
		ok(t, h.admitted.ignore("WHO", "10.0.0.10"))
		if kept, err := os.ReadFile(file + unreadMark); err != nil || string(kept) != text {
			t.Errorf("%.40q: it is gone: %v", text, err)
		}
		needsALook(t, h, true, text+" set aside")
		again := openAdmitted(file, time.Now)
		if again.broken.Load() || again.unread == nil || len(again.in.Load().Devices) != want {
			t.Errorf("%.40q: after a restart: %v, %d devices", text, again.unread, len(again.in.Load().Devices))
		}
		ok(t, os.Remove(file+unreadMark))
		needsALook(t, h, false, text+" seen to")
	}
}

func needsALook(t *testing.T, h *house, want bool, when string) {
	t.Helper()
	st := h.view.Status()
	got := slices.ContainsFunc(st.Reasons, func(r status.Reason) bool { return r.Code == status.DevicesUnread })
	if got != want || got && st.State != status.Attention && st.State != status.Stopped {
		t.Errorf("%.40q: %s, %v; want told: %v", when, st.State, st.Reasons, want)
	}
}

// A list that is damaged a second time takes no other's place: each may hold devices that
// nobody has admitted again.
func TestEachDamagedListOfAdmittedDevicesIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), admittedFile)
	for n := range maxUnread + 2 {
		ok(t, os.WriteFile(file, []byte(strings.Repeat("{", n+1)), 0o600))
		ok(t, openAdmitted(file, time.Now).ignore("WHO", "10.0.0.9"))
	}
	want := map[string]int{"": 1, ".2": 2, ".8": 8, ".9": maxUnread + 2, ".10": 0}
	for suffix, size := range want {
		if text, _ := os.ReadFile(file + unreadMark + suffix); len(text) != size {
			t.Errorf("%s%s has %d bytes, want %d", unreadMark, suffix, len(text), size)
		}
	}
}

// Whichever of the damaged lists is left, it is told, until it is removed; and one that
// somebody has put right is not set aside.
func TestADamagedListIsToldUntilItIsSeenTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), admittedFile)
	ok(t, os.WriteFile(file+unreadMark+".3", []byte("{"), 0o600))
	a := openAdmitted(file, time.Now)
	if a.unread == nil || !a.lacks() {
		t.Errorf("the third is not told: %v", a.unread)
	}
	if ok(t, os.Remove(file+unreadMark+".3")); a.lacks() {
		t.Error("it is told when it is gone")
	}
	ok(t, os.WriteFile(file, []byte("{"), 0o600))
	a = openAdmitted(file, time.Now)
	good := []byte(`{"version":1,"devices":[],"ignored":[]}`)
	ok(t, os.WriteFile(file, good, 0o600))
	err := a.ignore("WHO", "10.0.0.9")
	if text, _ := os.ReadFile(file); err == nil || !bytes.Equal(text, good) || len(a.setAside()) > 0 {
		t.Errorf("%v; the file that was put right is now %s", err, text)
	}
}

// By the whole program: with a list that cannot be read, a configured device sends, and the
// page says what is wrong in a sentence of its language.
func TestADamagedListOfAdmittedDevicesIsOnThePage(t *testing.T) {
	t.Parallel()
	r := newRig(t, "dicom: {listen: \"$DICOM\", devices: [{ae_title: CT1, address: 127.0.0.1}]}\n", "")
	ok(t, os.MkdirAll(r.path("edge"), 0o700))
	r.write("edge/"+admittedFile, `{"version":1,"devices":[{"ae_ti`)
	r.up()
	o := object{dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: "2.25.7.1"}, goodExam().with(exam{0x00080018: {"UI", "2.25.7.1"}}).bytes()}
	r.mustStore(r.associate("CT1", o.need()), o)
	for lang, want := range map[string]string{"it": "danneggiato", "en": "is damaged", "de": "beschädigt"} {
		if text := r.page0("/?lang=" + lang); !strings.Contains(text, want) {
			t.Errorf("the page in %s does not tell it", lang)
		}
	}
	if st := r.status(); st.State != status.Attention {
		t.Errorf("%s, %v", st.State, st.Reasons)
	}
}
