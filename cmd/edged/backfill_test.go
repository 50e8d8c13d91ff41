package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/archivelab"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// oldPACS is an archive beside an appliance without a hub. Its own title and that
// of the command have devices that back-fill.
type oldPACS struct {
	*rig
	at    string // AET@HOST:PORT
	state string // where the command remembers
}

func newOldPACS(t *testing.T) *oldPACS {
	t.Helper()
	r := newRig(t, "", "")
	r.rewrite("edged.yaml", fmt.Sprintf("uplink: {hubs: []}\ndicom: {listen: %q, devices: [%s, %s]}", r.dicom,
		"{ae_title: PACS, address: 127.0.0.1, priority: backfill}", "{ae_title: BACKFILL, address: 127.0.0.1, priority: backfill}"))
	return &oldPACS{rig: r, state: t.TempDir()}
}

// command is a run of it that has not begun.
func (o *oldPACS) command(ctx context.Context, args ...string) *exec.Cmd {
	o.t.Helper()
	args = append([]string{"backfill", "-c", o.path("edged.yaml"), "--from", o.at, "--calling", "BACKFILL", "--study-date", "20100101-"}, args...)
	cmd := exec.CommandContext(ctx, bin(o.t, "edged"), args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+o.state)
	return cmd
}

func (o *oldPACS) backfill(args ...string) (said string, code int) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	cmd := o.command(ctx, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// mustSay runs it and looks for words in its figures.
func (o *oldPACS) mustSay(want string, args ...string) {
	o.t.Helper()
	if said, code := o.backfill(args...); code != 0 || !strings.Contains(said, want) {
		o.t.Fatalf("backfill %v: exit %d, not %q in\n%s", args, code, want, said)
	}
}

// fill stores objects at the PACS.
func (o *oldPACS) fill(objects []object) {
	o.t.Helper()
	_, address, _ := strings.Cut(o.at, "@")
	other := *o.rig
	other.dicom = address
	other.storeTo("PACS", objects)
}

// dcmqrscp is DCMTK's archive, which sends what it has as it got it.
func (o *oldPACS) dcmqrscp() {
	o.t.Helper()
	needs(o.t, "dcmqrscp")
	at, store := testAddress(), filepath.Join(o.dir, "pacs")
	if err := os.Mkdir(store, 0o700); err != nil {
		o.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(at)
	_, back, _ := net.SplitHostPort(o.dicom)
	o.write("dcmqrscp.cfg", fmt.Sprintf("MaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nedge = (EDGED, 127.0.0.1, %s)\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"+
		"AETable BEGIN\nPACS %s RW (200, 1024mb) ANY\nAETable END\n", back, store))
	start(o.t, "dcmqrscp", "--bit-preserving", "-c", o.path("dcmqrscp.cfg"), port)
	o.listening(at)
	o.at = "PACS@" + at
}

// listening waits for a peer.
func (o *oldPACS) listening(at string) {
	o.await("the PACS", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// orthancPACS is Orthanc as an archive that lets others retrieve.
func (o *oldPACS) orthancPACS() {
	o.t.Helper()
	_, port, _ := net.SplitHostPort(o.dicom)
	pacs := archivelab.NewOrthanc(o.t, "PACS", archivelab.Options{
		"DicomAlwaysAllowFind": true, "DicomAlwaysAllowMove": true, "DicomAlwaysAllowGet": true,
		"DicomModalities": map[string]any{"edge": []any{"EDGED", "127.0.0.1", json.Number(port)}},
	})
	o.at = "PACS@" + pacs.Address
}

// came compares what the appliance holds with what the PACS was given.
func (o *oldPACS) came(objects []object, identical bool) {
	o.t.Helper()
	rows, names := o.rows(), make(map[string]objectRow)
	for _, row := range rows {
		names[row.SOPInstanceUID] = row
		if row.Priority != "backfill" {
			o.t.Errorf("an image has priority %s", row.Priority)
		}
	}
	if len(rows) != len(objects) {
		o.t.Errorf("%d images came, want %d", len(rows), len(objects))
	}
	for _, want := range objects {
		row, ok := names[want.names.SOPInstance]
		if !ok || identical && row.ID != want.id() {
			o.t.Errorf("an image of class %s in %s: here %v, as %s", want.names.SOPClass, want.names.TransferSyntax, ok, row.TransferSyntax)
		}
	}
}

// ofModality counts the studies that have one.
func ofModality(t *testing.T, objects []object, modality string) int {
	var its []object
	for _, o := range objects {
		if o.header(t).Text(query.Modality) == modality {
			its = append(its, o)
		}
	}
	return len(by(t, its, query.StudyInstanceUID))
}

func explicitOf(all []object) (out []object) {
	for _, o := range all {
		if o.names.TransferSyntax == dicom.ExplicitVRLittleEndian {
			out = append(out, o)
		}
	}
	return out
}

// What an old archive holds comes to the appliance, behind today's images, once,
// by both ways.
func TestBackfillFromAnArchive(t *testing.T) {
	t.Parallel()
	for _, pacs := range []struct {
		name      string
		start     func(*oldPACS)
		objects   func([]object) []object
		identical bool // Orthanc writes objects with sequences anew, dcmqrscp what is not in Explicit VR Little Endian
	}{
		{"dcmqrscp", (*oldPACS).dcmqrscp, explicitOf, true},
		{"Orthanc", (*oldPACS).orthancPACS, func(all []object) []object { return all }, false},
	} {
		for _, method := range []string{"move", "get"} {
			t.Run(pacs.name+"/"+method, func(t *testing.T) {
				o := newOldPACS(t)
				pacs.start(o)
				o.startEdged()
				objects := pacs.objects(synthetic(t, 11, synth.Small))
				o.fill(objects)
				studies := len(by(t, objects, query.StudyInstanceUID))
				o.mustSay(fmt.Sprintf("%d studies to bring", studies), "--method", method, "--dry-run")
				modality := objects[0].header(t).Text(query.Modality)
				o.mustSay(fmt.Sprintf("%d studies to bring", ofModality(t, objects, modality)), "--method", method, "--dry-run", "--modality", modality)
				o.came(nil, false)
				o.mustSay(fmt.Sprintf("%d studies brought with %d images, 0 brought earlier, 0 failed", studies, len(objects)), "--method", method)
				o.came(objects, pacs.identical)
				o.mustSay(fmt.Sprintf("0 studies brought with 0 images, %d brought earlier", studies), "--method", method)
				o.mustSay(fmt.Sprintf("%d studies brought with %d images, 0 brought earlier", studies, len(objects)), "--method", method, "--again")
				o.came(objects, pacs.identical)
			})
		}
	}
}

// A run that was killed is gone on with: what had come is not fetched again, and all
// is there in the end.
func TestBackfillGoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel()
	o := newOldPACS(t)
	o.dcmqrscp()
	o.startEdged()
	objects := explicitOf(append(synthetic(t, 12, synth.Small), synthetic(t, 13, synth.Small)...))
	o.fill(objects)
	cmd := o.command(t.Context())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o.await("a study to be remembered", func() bool {
		names, _ := filepath.Glob(filepath.Join(o.state, "edged", "backfill-*.log"))
		if len(names) == 0 {
			return false
		}
		text, _ := os.ReadFile(names[0])
		return bytes.Contains(text, []byte("\n"))
	})
	cmd.Process.Kill()
	cmd.Wait()
	said, code := o.backfill()
	if code != 0 || strings.Contains(said, " 0 brought earlier") || !strings.Contains(said, " 0 failed") {
		t.Fatalf("exit %d\n%s", code, said)
	}
	o.came(objects, true)
}

// An appliance that is away is waited for, whoever is to call it.
func TestBackfillWaitsForTheAppliance(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"move", "get"} {
		t.Run(method, func(t *testing.T) {
			o := newOldPACS(t)
			o.dcmqrscp()
			objects := explicitOf(synthetic(t, 14, synth.Small))[:2]
			o.fill(objects)
			cmd := o.command(t.Context(), "--method", method)
			var said lockedBuffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // an appliance that is away is what this is about
			o.startEdged()
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, said.String())
			}
			o.came(objects, true)
		})
	}
}

// badPACS has a study that cannot be sent, and refuses questions that are too wide.
type badPACS struct {
	objects []object
	bad     string // SOP Instance UID
	widest  time.Duration
}

func (b *badPACS) Find(_ context.Context, _ *dimse.Association, rq dimse.Query, found func(dimse.DataSet) error) dimse.Answer {
	keys, err := dataset.Parse(rq.Identifier.Bytes, rq.Identifier.TransferSyntaxUID)
	f, perr := query.ParseFind(query.StudyRoot, keys)
	if err != nil || perr != nil {
		return dimse.Answer{Status: dimse.StatusDataSetDoesNotMatch}
	}
	if from, to, err := dateRange(keys.Text(query.StudyDate), time.Now()); f.Level == query.Study && err == nil && to.Sub(from) > b.widest {
		return dimse.Answer{Status: dimse.StatusCannotUnderstand, Comment: "too many matches"}
	}
	for _, o := range b.objects {
		e, _ := dataset.Head(o.data, o.names.TransferSyntax)
		if !f.Matches(e) {
			continue
		}
		set, _ := f.Response(e, "PACS").Append(nil, rq.Identifier.TransferSyntaxUID)
		if err := found(dimse.DataSet{TransferSyntaxUID: rq.Identifier.TransferSyntaxUID, Bytes: set}); err != nil {
			break
		}
	}
	return dimse.Answer{}
}

func (b *badPACS) Select(_ context.Context, _ *dimse.Association, rq dimse.Query) (all []dimse.Instance, _ dimse.Answer) {
	keys, _ := dataset.Parse(rq.Identifier.Bytes, rq.Identifier.TransferSyntaxUID)
	for _, o := range b.objects {
		if e, _ := dataset.Head(o.data, o.names.TransferSyntax); e.UID(query.StudyInstanceUID) == keys.UID(query.StudyInstanceUID) {
			all = append(all, dimse.Instance{SOPClassUID: o.names.SOPClass, SOPInstanceUID: o.names.SOPInstance, TransferSyntaxUID: o.names.TransferSyntax,
				Open: func(context.Context) (io.ReadCloser, error) {
					if o.names.SOPInstance == b.bad {
						return nil, errors.New("the disk is old")
					}
					return io.NopCloser(bytes.NewReader(o.data)), nil
				}})
		}
	}
	return all, dimse.Answer{}
}

func (b *badPACS) Destination(context.Context, *dimse.Association, string) (dimse.ClientConfig, dimse.Answer) {
	return dimse.ClientConfig{}, dimse.Answer{Status: dimse.StatusUnknownDestination}
}

// noStore is a Handler that takes nothing.
type noStore struct{}

func (noStore) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }
func (noStore) Store(context.Context, *dimse.Association, dimse.StoreRequest, io.Reader) dimse.Status {
	return dimse.StatusNotAuthorized
}

// serve lets it listen.
func (b *badPACS) serve(t *testing.T) (at string) {
	t.Helper()
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: noStore{}, Query: b, Accepts: func(dimse.Peer, string) bool { return true },
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: "PACS"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	return "PACS@" + l.Addr().String()
}

// One study that cannot be sent is told, and keeps the others from nothing (P6); a
// PACS that refuses wide questions is asked narrower ones; a destination that it
// does not know is told once, with what to do.
func TestBackfillGetsTheRestFromABadArchive(t *testing.T) {
	t.Parallel()
	o := newOldPACS(t)
	objects := plainOf(synthetic(t, 15, synth.Small))
	bad := objects[0]
	o.at = (&badPACS{objects, bad.names.SOPInstance, 10 * 24 * time.Hour}).serve(t)
	o.startEdged()
	studies := by(t, objects, query.StudyInstanceUID)
	said, code := o.backfill("--method", "get")
	if code != 1 || !strings.Contains(said, fmt.Sprintf("%d studies brought", len(studies)-1)) || !strings.Contains(said, "1 failed") {
		t.Errorf("exit %d\n%s", code, said)
	}
	var rest []object
	for _, x := range objects {
		if x.names.SOPInstance != bad.names.SOPInstance {
			rest = append(rest, x)
		}
	}
	o.came(rest, true)
	if said, code := o.backfill("--method", "move"); code != 1 || strings.Count(said, "does not know EDGED as a destination") != 1 {
		t.Errorf("exit %d\n%s", code, said)
	}
}

// What is asked wrongly is answered with 2 and what is allowed.
func TestBackfillSaysWhatIsWrongWithItsFlags(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	for _, c := range []struct{ args, want string }{
		{"--from nonsense", "want AET@HOST:PORT"},
		{"--from P@h:1 --study-date 2020", "YYYYMMDD"},
		{"--from P@h:1 --study-date 20200102-20200101", "ends before it begins"},
		{"--from P@h:1 --method push", "move"},
		{"--from P@h:1 --to X@", "AET@HOST:PORT"},
	} {
		said, code := r.call("edged", append([]string{"backfill", "-c", r.path("edged.yaml")}, strings.Fields(c.args)...)...)
		if code != 2 || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit %d\n%s", c.args, code, said)
		}
	}
}

// The windows cover a range without gap or overlap, the newest first, and so do
// halves of halves.
func TestBackfillWindowsCoverTheRange(t *testing.T) {
	for _, s := range []string{"20200115-20200310", "20200101-20201231", "20200229", "19991231-20000101"} {
		from, to, err := dateRange(s, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		days := func(w window) (out []string) {
			for d := w.to; !d.Before(w.from); d = d.AddDate(0, 0, -1) {
				out = append(out, d.Format(dayForm))
			}
			return out
		}
		var leaves func(w window) []string
		leaves = func(w window) []string {
			if w.from.Equal(w.to) {
				return days(w)
			}
			h := w.halves()
			return append(leaves(h[0]), leaves(h[1])...)
		}
		var whole, split []string
		for _, w := range months(from, to) {
			whole, split = append(whole, days(w)...), append(split, leaves(w)...)
		}
		want := strings.Join(days(window{from, to}), " ")
		if got := strings.Join(whole, " "); got != want {
			t.Errorf("%s: got %s", s, got)
		}
		if got := strings.Join(split, " "); got != want {
			t.Errorf("%s in halves: got %s", s, got)
		}
	}
}

// A line that a crash has cut short is no study, and the next one is whole.
func TestBackfillLogSurvivesACutLine(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	from, to, a, b := target{"P", "h:1"}, target{"E", "h:2"}, foundStudy{uid: "1.2", instances: 3}, foundStudy{uid: "1.3", instances: 3}
	l, err := openBackfillLog(from, to, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openBackfillLog(from, to, false); err == nil {
		t.Error("two runs at a time")
	}
	l.add(a, 3)
	l.f.WriteString(studyKey(b)[:9])
	l.close()
	for _, want := range []bool{false, true} {
		if l, err = openBackfillLog(from, to, false); err != nil {
			t.Fatal(err)
		}
		if !l.has(a) || l.has(b) != want || l.has(foundStudy{uid: "1.2", instances: 4}) {
			t.Errorf("%+v", l.done)
		}
		l.add(b, 3)
		l.close()
	}
}
