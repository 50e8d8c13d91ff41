package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/enrol"
	"edged/agent/status"
	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/durable"
	"edged/internal/identity"
	"edged/internal/quality"
	"edged/spool"
	"edged/uplink"
)

// house is an appliance with a real spool and no ports, to ask what it shows.
type house struct {
	*appliance
	spool *spool.Spool
}

func newHouse(t *testing.T, change func(*Config)) *house {
	t.Helper()
	cfg := defaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.Spool.AllowUnsafeFilesystem = true
	cfg.Uplink.Hubs = []string{"127.0.0.1:1"} // nobody calls it: the sender does not run
	change(&cfg)
	a, err := newAppliance(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	parts := newGroup(context.Background())
	parts.Go(a.keeper.run)
	t.Cleanup(func() {
		parts.cancel(errStopped)
		if err := parts.Wait(); err != nil && err != errStopped {
			t.Error(err)
		}
	})
	bounded, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := a.keeper.await(bounded)
	if err != nil {
		t.Fatal(err)
	}
	return &house{a, s}
}

// unjudged looks at no data: the test is about something else.
func unjudged(c *Config) {
	for _, e := range quality.Table() {
		c.Quality.Actions = append(c.Quality.Actions, QualityAction{Finding: string(e.Code), Level: "off"})
	}
}

// take stores a data set as a modality would.
func (h *house) take(t *testing.T, data []byte) spool.Object {
	t.Helper()
	rq := dimse.StoreRequest{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "2.25.7", TransferSyntaxUID: dicom.ImplicitVRLittleEndian}
	if st, err := h.door.store(t.Context(), 1, caller{calling: "CT1", called: "EDGED", address: "127.0.0.1"}, rq, bytes.NewReader(data)); err != nil {
		t.Fatalf("%v: %v", st, err)
	}
	all := h.spool.Objects(0, 1000)
	return all[len(all)-1]
}

// readable is a small data set: one element, Modality (0008,0060), implicit VR.
func readable(modality string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x0060_0008)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(modality))), modality...)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The state is never OK while an image does not reach the archive, and the
// reason says how many and why.
func TestStateIsNotOKWhileImagesDoNotReachTheArchive(t *testing.T) {
	enrolled := func(h *house) { h.view.enrolled = func() bool { return true } }
	refuse := func(t *testing.T, h *house, destination string) {
		enrolled(h)
		o := h.take(t, readable("CT"))
		ok(t, h.spool.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
		ok(t, h.sender.feed.Trouble(t.Context(), []uplink.Trouble{{ID: dicom.ID(o.ID), Destination: destination, Permanent: destination != ""}}))
	}
	cases := []struct {
		name   string
		config func(*Config)
		spoil  func(*testing.T, *house)
		state  status.State
		reason status.Reason
	}{
		{"all is well", func(*Config) {}, func(t *testing.T, h *house) { enrolled(h); h.take(t, readable("CT")) }, status.CatchingUp, status.Reason{Code: status.LinkAway, Count: 1}},
		{"the archive refuses for good", func(*Config) {}, func(t *testing.T, h *house) { refuse(t, h, "vna") }, status.Attention, status.Reason{Code: status.HeldBack, Count: 1}},
		{"the hub holds it back", func(*Config) {}, func(t *testing.T, h *house) { refuse(t, h, "") }, status.Attention, status.Reason{Code: status.HeldBack, Count: 1}},
		{"never enrolled", func(*Config) {}, func(*testing.T, *house) {}, status.Attention, status.Reason{Code: status.Unenrolled}},
		{"no hub", func(c *Config) { c.Uplink.Hubs = nil }, func(t *testing.T, h *house) { h.take(t, readable("CT")) }, status.OK, status.Reason{Code: status.Shadow}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(cfg *Config) { unjudged(cfg); c.config(cfg) })
			c.spoil(t, h)
			st := h.view.Status()
			if st.State != c.state || len(st.Reasons) == 0 || st.Reasons[0] != c.reason {
				t.Errorf("%s %v, want %s %v", st.State, st.Reasons, c.state, c.reason)
			}
		})
	}
}

// One flipped bit is told as soon as it is found, and whether somebody else has
// the image (P14).
func TestStateIsNotOKWithDamageOnTheDisk(t *testing.T) {
	for name, want := range map[string]status.ReasonCode{"waiting": status.Lost, "at the hub": status.Damaged, "archived": status.Damaged} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(c *Config) { unjudged(c); c.Uplink.Hubs = nil })
			o := h.take(t, readable(strings.Repeat("CT", 500)))
			if name != "waiting" {
				ok(t, h.spool.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
			}
			if name == "archived" {
				ok(t, h.spool.Archived(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
			}
			if st := h.view.Status(); st.State != status.OK {
				t.Fatalf("before: %s %v", st.State, st.Reasons)
			}
			flipOneBit(t, filepath.Join(h.cfg.DataDir, spoolDir, "objects"))
			if h.spool.Verify(t.Context(), o.ID) == nil {
				t.Fatal("the damage is not found")
			}
			st := h.view.Status()
			if st.State != status.Attention || len(st.Reasons) == 0 || st.Reasons[0] != (status.Reason{Code: want, Count: 1}) || len(st.Reasons) != 2 {
				t.Errorf("after: %s %v, want attention, one %s and no hub", st.State, st.Reasons, want)
			}
		})
	}
}

// flipOneBit damages every file below dir, in its middle.
func flipOneBit(t *testing.T, dir string) {
	t.Helper()
	ok(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 4
		return os.WriteFile(name, b, 0o600)
	}))
}

// While the spool is read after a start, modalities are refused: that is not OK.
func TestStateIsNotOKBeforeTheSpoolIsOpen(t *testing.T) {
	cfg := defaultConfig()
	cfg.DataDir = t.TempDir()
	a, err := newAppliance(cfg, slog.New(slog.DiscardHandler))
	ok(t, err)
	if st := a.view.Status(); st.DICOM.Ready || st.State != status.CatchingUp || st.Reasons[0].Code != status.Starting {
		t.Errorf("ready %t, %s %v", st.DICOM.Ready, st.State, st.Reasons)
	}
}

// The terminal says the sentences of the page, never a code, and never that
// images leave where nothing is sent.
func TestTerminalSaysTheSentencesOfThePage(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cases := []struct {
		state   status.State
		reasons []status.Reason
		says    string
	}{
		{status.OK, nil, "✔ ALL GOOD        Images are arriving and leaving.\n"},
		{status.OK, []status.Reason{{Code: status.Shadow}}, "✔ ALL GOOD        Images are received and kept here. Nothing is sent: "},
		{status.Attention, []status.Reason{{Code: status.HeldBack, Count: 3}, {Code: status.Damaged, Count: 1}},
			"! NEEDS A LOOK    3 images reached the regional hub but not the archive: they were refused or held back.\n                  1 image on this disk is damaged. The regional hub has a good copy. Call support: the disk may be failing.\n"},
		{status.Stopped, []status.Reason{{Code: status.LinkDown, Count: 2}},
			"✖ STOPPED         Images are safe here but not leaving: the regional hub does not answer. Waiting: 2 images.\n                  Do not repeat any examination.\n"},
	}
	for _, c := range cases {
		var out bytes.Buffer
		st := status.Status{State: c.state, Reasons: c.reasons, At: now, StartedAt: now, LastReceivedAt: now, Warnings: []status.Warning{status.KeepHub, status.ShadowMode}}
		if err := printStatus(&out, st, now, "en"); err != nil || !strings.HasPrefix(out.String(), c.says) {
			t.Errorf("%v: says\n%s\nwant first\n%s", err, out.String(), c.says)
		}
		for _, code := range []string{"_", "keep hub", "because"} {
			if strings.Contains(out.String(), code) {
				t.Errorf("%q is shown: %s", code, out.String())
			}
		}
	}
}

// What could not be read is told where people look, once for each instance, and by
// itself changes no state: what is wrong with its data does (quality).
func TestUnreadableInstancesAreCountedAndListed(t *testing.T) {
	h := newHouse(t, func(c *Config) { unjudged(c); c.Uplink.Hubs = nil })
	h.take(t, readable("CT"))
	noise := bytes.Repeat([]byte{0xff}, 999)
	o := h.take(t, noise)
	h.take(t, noise) // the same instance again
	st := h.view.Status()
	if st.Findings.Unreadable != 1 || st.State != status.OK {
		t.Errorf("%d unreadable, state %s; want 1 and ok", st.Findings.Unreadable, st.State)
	}
	var said, list bytes.Buffer
	ok(t, printStatus(&said, st, st.At, "en"))
	if !strings.Contains(said.String(), "Header not readable                    1 image · handled like all others · `edged spool ls` shows which") {
		t.Errorf("the terminal does not say it: %s", said.String())
	}
	ok(t, listObjects(&list, func(visit func(objectRow) error) error {
		for _, o := range h.spool.Objects(0, 10) {
			if err := visit(rowOf(o)); err != nil {
				return err
			}
		}
		return nil
	}))
	lines := strings.Split(strings.TrimSpace(list.String()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[2], "unreadable header") || strings.Contains(lines[1], "unreadable") || !strings.Contains(lines[2], o.ID.String()[:16]) {
		t.Errorf("the list does not say it:\n%s", list.String())
	}
}

func TestRemarksTellReasonAndFindings(t *testing.T) {
	got := objectRow{Reason: "damaged: bad_block", Findings: []string{"uid_mismatch", "illegal_uid"}}.remarks()
	if want := "damaged: bad_block, uid mismatch, illegal uid"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A certificate that nobody renewed is told long before it ends, and one that
// has ended is not called a hub that does not answer.
func TestTheEndOfTheCertificateIsShown(t *testing.T) {
	day := 24 * time.Hour
	for left, want := range map[time.Duration]status.ReasonCode{40 * day: "", 10*day + time.Hour: status.CertEnds, -day: status.CertEnded} {
		t.Run(left.String(), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(*Config) {})
			until := certify(t, h.cfg.identityDir(), left)
			sending := newGroup(t.Context())
			sending.Go(h.sender.run)
			defer sending.Wait()
			defer sending.cancel(nil)
			awaitFor(t, patience, "the certificate to be read", h.sender.enrolled)
			st := h.view.Status()
			if !st.CertificateUntil.Equal(until) {
				t.Errorf("certificate_until %v, want %v", st.CertificateUntil, until)
			}
			var got status.ReasonCode
			if len(st.Reasons) > 0 {
				got = st.Reasons[0].Code
			}
			if got != want || (st.State == status.OK) != (want == "") {
				t.Errorf("%s %v, want %q", st.State, st.Reasons, want)
			}
		})
	}
}

// certify puts an identity into dir whose certificate ends after left.
func certify(t *testing.T, dir string, left time.Duration) time.Time {
	t.Helper()
	year := 365 * 24 * time.Hour
	at := time.Now().Add(left - year)
	ca, err := identity.OpenAuthority(t.TempDir(), at)
	ok(t, err)
	key, err := identity.NewKey()
	ok(t, err)
	raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	ok(t, err)
	csr, err := x509.ParseCertificateRequest(raw)
	ok(t, err)
	cert, err := ca.SignDevice(csr, identity.Device{ID: "0123456789abcdef", Facility: "000000"}, at)
	ok(t, err)
	ok(t, durable.Mkdir(dir, 0o700))
	ok(t, (&identity.Bundle{Key: key, Cert: cert, CA: ca.Cert()}).Save(filepath.Join(dir, enrol.File)))
	return cert.NotAfter
}

// A study left when the first of its images did, however many went after it.
func TestAStudyLeftWhenItsFirstImageDid(t *testing.T) {
	v, began := &view{}, time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for i := range 3 {
		v.reached(spool.Event{Group: "2.25.4", State: spool.Sending, At: began.Add(time.Duration(i) * time.Minute)})
	}
	if got := v.reachedAt("2.25.4").sent; !got.Equal(began) {
		t.Errorf("it left at %v", got)
	}
}

// What left after something of its study was at the hub did not leave first: that did so
// before the start.
func TestALateStartOfSendingIsNotTold(t *testing.T) {
	s, f := openFeed(t)
	m := aMeta(5)
	o := storeAs(t, s, m, "image")
	ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
	desk := deskOver(followed(t, f.keeper, t.TempDir()))
	for after, told := range map[time.Duration]bool{-time.Hour: true, time.Hour: false} {
		desk.view.remember(m.Study, func(f *studyFacts) { f.sent = time.Now().Add(after) })
		d, found := desk.Study(status.StudyKey(cardSecret, m.Study), false)
		if !found || d.FirstHub.IsZero() || d.FirstSent.IsZero() == told {
			t.Errorf("left %v from now: %v, at the hub %v", after, d.FirstSent, d.FirstHub)
		}
	}
}
