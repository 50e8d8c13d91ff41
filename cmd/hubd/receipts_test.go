package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// keeper is that of a data directory without a hub, its clock 31 days ahead.
func (s *site) keeper() *keeper {
	s.Helper()
	k := s.hubless()
	s.Cleanup(k.end)
	return k.keeper
}

func instance(device, study string, n int) hub.Object {
	o := hub.Object{Device: device, Length: int64(100 + n), Study: study, Priority: 1,
		Names: dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: fmt.Sprintf("%s.%d", study, n)}}
	o.ID = sha256.Sum256([]byte(o.Names.SOPInstance))
	return o
}

// archive receives objects and has the archive take them.
func archive(t *testing.T, l *ledger.Ledger, os ...hub.Object) {
	t.Helper()
	if err := l.Receive(t.Context(), os); err != nil {
		t.Fatal(err)
	}
	jobs, err := l.Lease(t.Context(), "archive", 100, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if err := l.Done(t.Context(), j, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *keeper) must(t *testing.T, wantFolded, wantExpired int) {
	t.Helper()
	folded, expired, err := k.round(t.Context())
	if err != nil || folded != wantFolded || expired != wantExpired {
		t.Fatalf("folded %d expired %d, want %d %d: %v", folded, expired, wantFolded, wantExpired, err)
	}
}

func (k *keeper) file(t *testing.T, study string) []byte {
	t.Helper()
	files, err := k.ledger.FoldedOf(t.Context(), study)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	file, _, err := k.read(t.Context(), files[0])
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// The procedure of docs/operations.md, with nothing of ours: openssl and coreutils.
func TestAThirdPartyVerifiesReceiptsWithOpenssl(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	s := newSite(t)
	k := s.keeper()
	second := instance("b", "1.2.3", 1)
	archive(t, k.ledger, instance("a", "1.2.3", 1), instance("a", "1.2.3", 2))
	archive(t, k.ledger, second)
	k.must(t, 1, 0)
	dir := t.TempDir()
	public, _, err := publicPEM(k.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"file": k.file(t, "1.2.3"), "hub.pem": public} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const procedure = `head -n 1 file > body && sed -n 2p file | sed 's/.*"signature":"\([^"]*\)".*/\1/' | base64 -d > signature && openssl pkeyutl -verify -pubin -inkey hub.pem -rawin -in body -sigfile signature`
	for change, good := range map[string]bool{"true": true, `sed -i 's/"length":101/"length":102/' file`: false} {
		c := exec.Command("sh", "-c", change+" && "+procedure)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if (err == nil) != good {
			t.Errorf("after %s: %v: %s", change, err, out)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), k.file(t, "1.2.3"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := verifyReceipts(k.key.Public().(ed25519.PublicKey), k.file(t, "1.2.3"))
	if err != nil || len(r.Objects) != 2 || len(r.Objects[0].Receipts) != 2 || r.Objects[0].ArchivedBy[0] != "archive" || r.Study != "1.2.3" {
		t.Errorf("%+v %v", r, err)
	}
}

// Any byte changed, any cut, any other key: refused.
func TestAChangedFileOfReceiptsIsRefused(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	archive(t, k.ledger, instance("a", "1.2.3", 1))
	k.must(t, 1, 0)
	file, key := k.file(t, "1.2.3"), k.key.Public().(ed25519.PublicKey)
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		if _, err := verifyReceipts(key, bad); err == nil {
			t.Fatalf("byte %d of %d flipped is believed", i, len(file))
		}
		if _, err := verifyReceipts(key, file[:i]); err == nil {
			t.Fatalf("cut after %d is believed", i)
		}
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifyReceipts(other, file); !errors.Is(err, errForged) {
		t.Errorf("another key: %v", err)
	}
}

// Whatever a file holds: nothing is believed that the key has not signed.
func FuzzVerifyReceipts(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	good, err := signedReceipts(key, "ledger", &ledger.Fold{Study: "1.2.3", Part: 1, Objects: []ledger.FoldedObject{{SOPInstance: "1.2.3.1", Length: 7}}}, time.Unix(0, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}\n{\"key\":\"\",\"signature\":\"\"}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := verifyReceipts(key.Public().(ed25519.PublicKey), file); err == nil && !bytes.Equal(file, good) {
			t.Errorf("believed: %q", file)
		}
	})
}

// killFold is the step at which a child process that folds is killed.
const killFold = "TEST_HUBD_KILL_FOLD"

// killing kills this process around Put.
type killing struct {
	documents
	step string
}

func (d killing) Put(ctx context.Context, name string, b []byte) error {
	if d.step == "before file" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	err := d.documents.Put(ctx, name, b)
	if d.step == "after file" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return err
}

func (d killing) Delete(ctx context.Context, name string) error {
	err := d.documents.Delete(ctx, name)
	if d.step == "after removal" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return err
}

// TestFoldChild is the child of the next test.
func TestFoldChild(t *testing.T) {
	step := os.Getenv(killFold)
	if step == "" {
		t.Skip("is run by another test")
	}
	s := &site{T: t, config: os.Getenv("TEST_HUBD_CONFIG")}
	k := s.keeper()
	k.docs = killing{k.docs, step}
	if step == "after removal" {
		k.now = func() time.Time { return time.Now().AddDate(11, 0, 0) }
	}
	_, _, err := k.round(t.Context())
	t.Fatalf("still alive: %v", err)
}

// SIGKILL before the file, between file and row, and between removal and row: the next
// round does it, each receipt is in one file that counts, and the appliance is known
// all the time.
func TestAKillAtAnyStepOfFoldingIsHarmless(t *testing.T) {
	for _, step := range []string{"before file", "after file", "after removal"} {
		t.Run(step, func(t *testing.T) {
			s := newSite(t)
			first := s.hubless()
			archive(t, first.ledger, instance("a", "1.2.3", 1), instance("a", "1.2.3", 2))
			if step == "after removal" {
				first.must(t, 1, 0)
			}
			first.end()
			child := exec.Command(os.Args[0], "-test.run=^TestFoldChild$", "-test.v")
			child.Env = append(os.Environ(), killFold+"="+step, "TEST_HUBD_CONFIG="+s.config)
			if out, err := child.CombinedOutput(); !strings.Contains(fmt.Sprint(err), "killed") {
				t.Fatalf("%v: %s", err, out)
			}
			k := s.keeper()
			known, err := k.ledger.Known(t.Context(), "a", []hub.ID{instance("a", "1.2.3", 1).ID, instance("a", "1.2.3", 2).ID})
			if err != nil || len(known) != 2 {
				t.Errorf("known %v %v", known, err)
			}
			if step == "after removal" {
				k.now = func() time.Time { return time.Now().AddDate(11, 0, 0) }
				k.must(t, 0, 1)
				return
			}
			k.must(t, 1, 0)
			k.must(t, 0, 0)
			if files, err := k.ledger.FoldedOf(t.Context(), "1.2.3"); err != nil || len(files) != 1 || files[0].Receipts != 2 {
				t.Errorf("%+v %v", files, err)
			}
			k.file(t, "1.2.3")
		})
	}
}

// hubless is a keeper that can be ended before the test is.
type hubless struct {
	*keeper
	end func()
}

func (s *site) hubless() hubless {
	s.Helper()
	cfg, err := load(s.config)
	if err != nil {
		s.Fatal(err)
	}
	h := &theHub{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	if err := errors.Join(h.takeDataDir(s.Context()), h.openLedger(s.Context()), h.openObjects(s.Context())); err != nil {
		s.Fatal(err)
	}
	k, err := newKeeper(s.Context(), cfg, h.ledger, h.objects)
	if err != nil {
		s.Fatal(err)
	}
	k.now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }
	return hubless{k, func() {
		if err := h.close(); err != nil {
			s.Fatal(err)
		}
	}}
}

// After ten years the files go; what the appliance may rely on stays.
func TestReceiptsExpireAndTheApplianceIsStillKnown(t *testing.T) {
	s := newSite(t)
	k := s.keeper()
	o := instance("a", "1.2.3", 1)
	archive(t, k.ledger, o)
	k.must(t, 1, 0)
	k.now = func() time.Time { return time.Now().AddDate(9, 11, 0) }
	k.must(t, 0, 0)
	k.now = func() time.Time { return time.Now().AddDate(10, 0, 5) }
	k.must(t, 0, 1)
	if left, _ := filepath.Glob(filepath.Join(s.dir, "data", "objects", "docs", "receipts", "*", "*", "*", "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if known, err := k.ledger.Known(t.Context(), "a", []hub.ID{o.ID}); err != nil || len(known) != 1 {
		t.Errorf("known %v %v", known, err)
	}
}

// The commands beside a running hub.
func TestReceiptsAreShownAndVerifiedByCommands(t *testing.T) {
	s := newSite(t)
	k := s.hubless()
	archive(t, k.ledger, instance("a", "1.2.3", 1))
	k.must(t, 1, 0)
	k.end()
	s.start()
	file, key := filepath.Join(s.dir, "receipts.json"), filepath.Join(s.dir, "key.pem")
	for name, text := range map[string]string{file: s.do("receipts", "show", "--study", "1.2.3"), key: s.do("receipts", "key")} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"receipts", "verify", file}, {"receipts", "verify", file, "--key", key}} {
		if out := s.do(args...); !strings.HasPrefix(out, `good: study "1.2.3", part 1, 1 objects, 1 receipts`) {
			t.Errorf("%v: %q", args, out)
		}
	}
	if out, err := s.command("receipts", "show", "--study", "9.9").CombinedOutput(); err == nil || !strings.Contains(string(out), "no file of receipts") {
		t.Errorf("%v: %s", err, out)
	}
	stored, err := filepath.Glob(filepath.Join(s.dir, "data", "objects", "docs", "receipts", "*", "*", "*", "*"))
	if err != nil || len(stored) != 1 {
		t.Fatal(stored, err)
	}
	flip(t, stored[0])
	if out, err := s.command("receipts", "show", "--study", "1.2.3").CombinedOutput(); err == nil || !strings.Contains(string(out), "NOT what was signed") {
		t.Errorf("%v: %s", err, out)
	}
}

// What show prints of a study that got images later, or has more than 5000, is several
// files, and verify takes all of them; a part taken out, put elsewhere or of another
// hub's telling is seen, because each is signed with the digest of the one before.
func TestWhatShowPrintsOfAStudyWithPartsIsVerified(t *testing.T) {
	s := newSite(t)
	k := s.hubless()
	for n := range 3 {
		archive(t, k.ledger, instance("a", "1.2.3", n))
		k.must(t, 1, 0)
		later := k.now().Add(31 * 24 * time.Hour)
		k.now = func() time.Time { return later }
	}
	archive(t, k.ledger, instance("a", "1.2.4", 1))
	k.must(t, 1, 0)
	public := k.key.Public().(ed25519.PublicKey)
	k.end()
	shown := s.do("receipts", "show", "--study", "1.2.3")
	file := filepath.Join(s.dir, "receipts.json")
	if err := os.WriteFile(file, []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	out := s.do("receipts", "verify", file)
	for _, want := range []string{`good: study "1.2.3", part 1, 1 objects`, `good: study "1.2.3", part 2, after the part with the SHA-256 `, `good: study "1.2.3", part 3, after`} {
		if strings.Count(out, want) != 1 {
			t.Errorf("verify does not say %q:\n%s", want, out)
		}
	}
	if trail := s.do("audit", "export"); !strings.Contains(trail, `"action":"receipts show","subject":"1.2.3"`) {
		t.Errorf("who has read them is not in the trail:\n%s", trail)
	}
	lines := strings.SplitAfter(shown, "\n")
	part := func(n int) string { return lines[2*n] + lines[2*n+1] }
	other := s.do("receipts", "show", "--study", "1.2.4")
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"as it is":          {part(0) + part(1) + part(2), true},
		"without the first": {part(1) + part(2), true},
		"and another study": {part(0) + part(1) + other, true},
		"one taken out":     {part(0) + part(2), false},
		"turned round":      {part(1) + part(0), false},
		"one twice":         {part(0) + part(0), false},
		"cut":               {shown[:len(shown)-1], false},
		"half a pair":       {part(0) + lines[2], false},
		"seals exchanged":   {lines[0] + lines[3] + lines[2] + lines[1], false},
		"more":              {shown + "x", false},
		"nothing":           {"", false},
	} {
		if err := verifyParts(public, strings.NewReader(c.text), func(receiptsFile) {}); (err == nil) != c.good || err != nil && !errors.Is(err, errForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A hub that has told two stories cannot put a part of one into the other.
func TestAPartOfAnotherStoryIsSeen(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	make := func(part, objects int, before []byte) []byte {
		f := &ledger.Fold{Study: "1.2.3", Part: part, Before: before, Objects: make([]ledger.FoldedObject, objects)}
		file, err := signedReceipts(key, "ledger", f, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	one, other := make(1, 1, nil), make(1, 2, nil)
	digest := sha256.Sum256(one)
	second, without := make(2, 1, digest[:]), make(2, 1, nil)
	for name, c := range map[string]struct {
		text []byte
		good bool
	}{
		"its own": {append(bytes.Clone(one), second...), true}, "another's": {append(bytes.Clone(other), second...), false},
		"from before parts had the digest": {append(bytes.Clone(other), without...), true},
	} {
		if err := verifyParts(key.Public().(ed25519.PublicKey), bytes.NewReader(c.text), func(receiptsFile) {}); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
