package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/dimse"
	"edged/dimse/commitment"
	"edged/internal/synth"
	"edged/spool"
)

// answered is a device that listens for the answers to its commitment requests.
type answered struct {
	t    *testing.T
	mu   sync.Mutex
	got  []dimse.CommitmentResult
	from []string // calling AE titles of who reported
	over []bool   // by TLS
}

func (m *answered) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (m *answered) Store(context.Context, *dimse.Association, dimse.StoreRequest, io.Reader) dimse.Status {
	return dimse.StatusNotAuthorized
}

func (m *answered) CommitmentReported(_ context.Context, a *dimse.Association, r dimse.CommitmentResult) dimse.Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got, m.from, m.over = append(m.got, r), append(m.from, a.Peer().Calling), append(m.over, a.Peer().TLS != nil)
	return dimse.Answer{Status: dimse.StatusSuccess}
}

func (m *answered) results() []dimse.CommitmentResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// listen serves on l until the test ends.
func (m *answered) listen(l net.Listener) {
	m.t.Helper()
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: m, CommitmentSCU: m, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"})
	ok(m.t, err)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	m.t.Cleanup(func() { s.Close(); <-done })
}

func (m *answered) listenOn(address string) {
	m.t.Helper()
	l, err := net.Listen("tcp", address)
	ok(m.t, err)
	m.listen(l)
}

// asking is an association that may also ask for commitment.
func (r *rig) asking(calling string, objects ...object) *dimse.Client {
	r.t.Helper()
	needs := []dimse.Need{{SOPClassUID: dimse.StorageCommitmentPush, TransferSyntaxUID: dimse.ImplicitVRLE}}
	for _, o := range objects {
		needs = append(needs, o.need())
	}
	return r.associateWith("EDGED", calling, needs...)
}

func requestFor(uid string, objects ...object) dimse.CommitmentRequest {
	rq := dimse.CommitmentRequest{TransactionUID: uid}
	for _, o := range objects {
		rq.References = append(rq.References, dimse.Reference{SOPClassUID: o.names.SOPClass, SOPInstanceUID: o.names.SOPInstance})
	}
	return rq
}

func (r *rig) mustAsk(c *dimse.Client, rq dimse.CommitmentRequest) {
	r.t.Helper()
	if rsp, err := c.RequestCommitment(r.t.Context(), rq); err != nil || !rsp.Status.IsSuccess() {
		r.t.Fatalf("N-ACTION: %v, %v", rsp.Status, err)
	}
}

func portOf(address string) string { _, port, _ := net.SplitHostPort(address); return port }

// A device is told that its images are committed when the archive has confirmed
// them and not before, by a call under the name that it had called; a request that
// was answered survives SIGKILL (PS3.4 §J.3.2, §J.3.3, P2).
func TestCommitmentComesOnlyAfterTheArchiveAndSurvivesAKill(t *testing.T) {
	t.Parallel()
	at := testAddress()
	m := &answered{t: t}
	m.listenOn(at)
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, address: 127.0.0.1, port: `+portOf(at)+`}]}`, "")
	r.startHub()
	r.enroll()
	r.hubd.kill()
	r.startEdged()
	objects := synthetic(t, 1, synth.Bench(3, 64<<10))
	c := r.asking("CT1", objects...)
	r.mustStore(c, objects...)
	r.mustAsk(c, requestFor("2.25.101", objects...))
	ok(t, c.Release(t.Context()))
	if n := r.status().DICOM.Commitments; n.Requests != 1 || n.Instances != int64(len(objects)) {
		t.Errorf("the status counts %+v", n)
	}
	r.edged.kill()
	r.startEdged()
	stays(t, 3*time.Second, "nothing is reported while the hub is away", func() bool { return len(m.results()) == 0 })
	r.startHub()
	r.await("the report", func() bool { return len(m.results()) > 0 })
	if n := r.count("archived"); n != len(objects) {
		t.Errorf("reported with %d of %d in the archive", n, len(objects))
	}
	got := m.results()[0]
	if got.TransactionUID != "2.25.101" || len(got.Committed) != len(objects) || len(got.Failed) != 0 || m.from[0] != "EDGED" {
		t.Errorf("%s reports %+v", m.from[0], got)
	}
	r.await("the request to be forgotten", func() bool { return r.status().DICOM.Commitments.Requests == 0 })
}

// With `commitment: received` a device is told at once, on its own association as
// long as that is open; images that were never whole here, or whose UID has other
// contents as well, are never committed (P5, PS3.3 §C.14.1.1).
func TestCommitmentWhenSafeHere(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, commitment: received}, {ae_title: OFF, commitment: off}, {ae_title: WAITS}]}`+"\n"+alone, "")
	r.startEdged()
	objects := synthetic(t, 1, synth.Bench(4, 64<<10))
	good, other, wrong := objects[0], objects[1], objects[2]
	other2 := other
	other2.data = append(slices.Clone(other.data), 0, 0)
	c := r.asking("CT1", objects...)
	r.mustStore(c, good, other, other2, wrong)
	rq := requestFor("2.25.7", good, other, wrong)
	rq.References[2].SOPClassUID = ctClass + ".9"
	m := &answered{t: t}
	r.mustAsk(c, rq)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ok(t, c.AwaitCommitment(ctx, m))
	got := m.results()[0]
	if len(got.Committed) != 1 || got.Committed[0].SOPInstanceUID != good.names.SOPInstance || len(got.Failed) != 2 {
		t.Fatalf("reported %+v", got)
	}
	for _, f := range got.Failed {
		want := dimse.FailureProcessing
		if f.SOPInstanceUID == wrong.names.SOPInstance {
			want = dimse.FailureClassConflict
		}
		if f.Reason != want {
			t.Errorf("%s failed with %04X, want %04X", f.SOPInstanceUID, f.Reason, want)
		}
	}
	if _, err := r.asking("OFF").RequestCommitment(t.Context(), rq); err == nil {
		t.Error("a device with commitment off was offered it")
	}
	w := r.asking("WAITS")
	r.mustAsk(w, requestFor("2.25.8", good))
	short, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	if err := w.AwaitCommitment(short, m); err == nil || len(m.results()) != 1 {
		t.Errorf("a device that waits for the archive was told %v, %v", m.results(), err)
	}
}

// A device that has to come by TLS is called by TLS.
func TestCommitmentIsReportedByTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "hospital")
	a.issue("ct1", 3, nil)
	at := testAddress()
	m := &answered{t: t}
	l, err := listenTLS("test", DicomTLS{Listen: at, Cert: a.file("ct1.pem"), Key: a.file("ct1.key"), ClientCA: a.file("ca.pem")}, slog.New(slog.DiscardHandler), listenTCP)
	ok(t, err)
	m.listen(l)
	r, address := secureRig(t, a, `{ae_title: CT1, address: 127.0.0.1, port: `+portOf(at)+`, tls: mutual, commitment: received, quirks: [report-on-new-association]}`)
	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	cfg := r.dialTLS(address, "CT1", nil, o.need(), dimse.Need{SOPClassUID: dimse.StorageCommitmentPush, TransferSyntaxUID: dimse.ExplicitVRLE})
	cfg.TLS, err = DicomTLS{Cert: a.file("ct1.pem"), Key: a.file("ct1.key"), ClientCA: a.file("ca.pem")}.callback(Device{Address: "127.0.0.1"}, slog.New(slog.DiscardHandler))
	ok(t, err)
	c := mustDial(t, cfg)
	r.mustStore(c, o)
	r.mustAsk(c, requestFor("2.25.9", o)) // the association stays open: the quirk forbids to use it
	r.await("the report", func() bool { return len(m.results()) > 0 })
	if got := m.results()[0]; len(got.Committed) != 1 || !m.over[0] {
		t.Errorf("reported %+v, by TLS %v", got, m.over)
	}
}

// What each state of an object means for who asks about its UID.
func TestJudgementOfCommitment(t *testing.T) {
	one, two := spool.ID{1}, spool.ID{2}
	here := func(id spool.ID, st spool.State) spool.Object { return spool.Object{ID: id, State: st} }
	archived := spool.Forgotten{ID: one, ArchivedAt: time.Unix(1, 0)}
	atHub := spool.Forgotten{ID: one, ArchivedAt: time.Unix(0, 0)} // let go with `keep: hub`
	discarded := spool.Forgotten{ID: one, Discarded: true}
	damaged, safe := here(one, spool.AtHub), here(one, spool.AtHub)
	damaged.Damaged, safe.Damaged, safe.HubHasCopy = true, true, true
	clash := here(one, spool.Archived)
	clash.Conflict = true
	const unknown, failed = commitment.Verdict(dimse.FailureNoSuchInstance), commitment.Verdict(dimse.FailureProcessing)
	for _, c := range []struct {
		name         string
		here         []spool.Object
		gone         []spool.Forgotten
		whenArchived commitment.Verdict
		whenSafe     commitment.Verdict
	}{
		{"never came", nil, nil, unknown, unknown},
		{"received", []spool.Object{here(one, spool.Received)}, nil, commitment.Wait, commitment.Committed},
		{"sending", []spool.Object{here(one, spool.Sending)}, nil, commitment.Wait, commitment.Committed},
		{"at the hub", []spool.Object{here(one, spool.AtHub)}, nil, commitment.Wait, commitment.Committed},
		{"held", []spool.Object{here(one, spool.Held)}, nil, commitment.Wait, commitment.Committed},
		{"archived", []spool.Object{here(one, spool.Archived)}, nil, commitment.Committed, commitment.Committed},
		{"archived and forgotten", nil, []spool.Forgotten{archived}, commitment.Committed, commitment.Committed},
		{"forgotten, and sent again", []spool.Object{here(one, spool.Received)}, []spool.Forgotten{archived}, commitment.Committed, commitment.Committed},
		{"forgotten at the hub", nil, []spool.Forgotten{atHub}, failed, commitment.Committed},
		{"discarded", nil, []spool.Forgotten{discarded}, unknown, unknown},
		{"quarantined", []spool.Object{here(one, spool.Quarantined)}, nil, failed, failed},
		{"damaged", []spool.Object{damaged}, nil, failed, failed},
		{"damaged here, good at the hub", []spool.Object{safe}, nil, commitment.Wait, failed},
		{"two contents", []spool.Object{here(one, spool.Archived), here(two, spool.Archived)}, nil, failed, failed},
		{"another was here before", []spool.Object{here(two, spool.Archived)}, []spool.Forgotten{archived}, failed, failed},
		{"in conflict", []spool.Object{clash}, nil, failed, failed},
	} {
		if got := judgement(commitArchived, c.here, c.gone); got != c.whenArchived {
			t.Errorf("%s, policy archived: %04X, want %04X", c.name, got, c.whenArchived)
		}
		if got := judgement(commitReceived, c.here, c.gone); got != c.whenSafe {
			t.Errorf("%s, policy received: %04X, want %04X", c.name, got, c.whenSafe)
		}
	}
}

// openKeeper has a spool below dir.
func openKeeper(t *testing.T, dir string) *keeper {
	t.Helper()
	s, err := spool.Open(t.Context(), spool.Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: -1, ReserveBytes: -1})
	ok(t, err)
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	t.Cleanup(func() { s.Close() })
	return k
}

// Texts that are longer than a note come back whole after a restart; of one that a
// crash has cut there is the older one or nothing, never a mixture.
func TestLongNotesAreWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	k := openKeeper(t, dir)
	book := newNotebook(k, "test/", k.log)
	long := bytes.Repeat([]byte("0123456789abcdef"), 60<<10)
	ok(t, book.put(t.Context(), "a", []byte("short")))
	ok(t, book.put(t.Context(), "b", []byte("old")))
	ok(t, book.put(t.Context(), "b", long))
	ok(t, book.put(t.Context(), "c", nil))
	ok(t, book.put(t.Context(), "gone", long))
	ok(t, book.drop(t.Context(), "gone"))
	ok(t, book.drop(t.Context(), "never"))
	s, err := k.get()
	ok(t, err)
	ok(t, s.NoteSet(t.Context(), "test/a/00000000000000ff/001", []byte{1, 0, 2, 'x'})) // the second part of a newer text, whose first is missing
	ok(t, s.NoteSet(t.Context(), "test/nonsense", []byte("?")))                        // nobody knows whose: stays
	ok(t, s.Close())

	k = openKeeper(t, dir)
	book = newNotebook(k, "test/", k.log)
	texts, err := book.all(t.Context())
	ok(t, err)
	if len(texts) != 3 || string(texts["a"]) != "short" || !bytes.Equal(texts["b"], long) || len(texts["c"]) != 0 {
		t.Errorf("%d texts, a is %q, b has %d bytes", len(texts), texts["a"], len(texts["b"]))
	}
	s, _ = k.get()
	var keys []string
	ok(t, s.Notes("test/", func(key string, _ []byte) error { keys = append(keys, key); return nil }))
	if want := 1 + 5 + 1 + 1; len(keys) != want {
		t.Errorf("%d notes are left, want %d: %s", len(keys), want, strings.Join(keys, " "))
	}
	ok(t, book.put(t.Context(), "a", []byte("newer than what was found")))
	if again, err := newNotebook(k, "test/", k.log).all(t.Context()); err != nil || string(again["a"]) != "newer than what was found" {
		t.Errorf("%q, %v", again["a"], err)
	}
}

// While the spool is opened again a request is refused for now, and what was asked
// waits.
func TestCommitmentWhileTheSpoolIsAway(t *testing.T) {
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	cfg := defaultConfig()
	c, err := newCommitments(&cfg, k, newRoster(cfg.Dicom, time.Now, func() {}), k.log)
	ok(t, err)
	tr := commitment.Transaction{Calling: "CT1", Called: "EDGED", UID: "2.25.1", References: []dimse.Reference{{SOPClassUID: ctClass, SOPInstanceUID: "2.25.2"}}}
	if err := c.Put(t.Context(), tr); err == nil || !strings.Contains(fmt.Sprint(err), commitment.ErrFull.Error()) {
		t.Errorf("a request is answered with %v", err)
	}
	if v := c.judge(t.Context(), "CT1", "EDGED", tr.References); v[0] != commitment.Wait {
		t.Errorf("the verdict is %04X", v[0])
	}
}

func FuzzParseNoteKey(f *testing.F) {
	for _, seed := range []string{"a/0000000000000001/000", "a/00000000000000ff/063", "//", "a/+000000000000001/0x1", strings.Repeat("/", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		id, part, ok := parseNoteKey(key)
		if ok && !strings.EqualFold((&notebook{}).key(id.name, id.set, part), key) {
			t.Errorf("%q is taken for %v, part %d", key, id, part)
		}
	})
}
