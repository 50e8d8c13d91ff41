package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/dicom"
	"edged/internal/synth"
	"edged/spool"
)

// workstation is a device that may query and retrieve, with a storescp behind it.
type workstation struct {
	*rig
	objects []object
	dir     string // where it stores what is moved to it
}

// newWorkstation starts an appliance without a hub that holds objects.
func newWorkstation(t *testing.T, objects []object) *workstation {
	t.Helper()
	r := newRig(t, "", "")
	w := &workstation{rig: r, objects: objects, dir: t.TempDir()}
	at := testAddress()
	_, port, _ := net.SplitHostPort(at)
	r.rewrite("edged.yaml", fmt.Sprintf(`uplink: {hubs: []}
dicom: {listen: %q, accept_unknown: true, devices: [%s, %s, %s]}`, r.dicom,
		`{ae_title: WS, address: 127.0.0.1, port: `+port+`, services: [query, move, get]}`,
		`{ae_title: LOOKS, address: 127.0.0.1, services: [query]}`,
		`{ae_title: PORTLESS, address: 127.0.0.1, services: [store]}`))
	r.startEdged()
	r.storeAll(objects)
	if _, err := exec.LookPath("storescp"); err == nil {
		start(t, "storescp", "+B", "-aet", "WS", "-od", w.dir, port)
		awaitFor(t, patience, "storescp", func() bool {
			c, err := net.Dial("tcp", at)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return w
}

// tool runs one of DCMTK's programs against the appliance.
func (w *workstation) tool(name, calling string, args ...string) (said string, code int) {
	w.t.Helper()
	needs(w.t, name)
	host, port, _ := net.SplitHostPort(w.dicom)
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, append(append([]string{"-v", "-aet", calling, "-aec", "EDGED"}, args...), host, port)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// find asks with findscu and reads the identifiers that it was sent.
func (w *workstation) find(args ...string) (all []dataset.Set) {
	w.t.Helper()
	dir := w.t.TempDir()
	said, code := w.tool("findscu", "WS", append([]string{"-X", "-od", dir}, args...)...)
	if code != 0 || !strings.Contains(said, "Received Final Find Response (Success)") {
		w.t.Fatalf("findscu %v: exit %d\n%s", args, code, said)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "rsp*.dcm"))
	for _, n := range names {
		all = append(all, identifierOf(w.t, n))
	}
	return all
}

// identifierOf reads a file of findscu's, which names no SOP class.
func identifierOf(t *testing.T, name string) dataset.Set {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	meta := 144 + int(b[140]) + int(b[141])<<8
	set, err := dataset.Parse(b[meta:], dicom.ExplicitVRLittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// header is what an object says of itself.
func (o object) header(t *testing.T) dataset.Set {
	t.Helper()
	set, err := dataset.Head(o.data, o.names.TransferSyntax)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// by counts objects by one of their attributes.
func by(t *testing.T, objects []object, tag dataset.Tag) map[string]int {
	out := make(map[string]int)
	for _, o := range objects {
		out[o.header(t).UID(tag)]++
	}
	return out
}

// A workstation finds what the appliance holds, level by level, with the values
// that stand in the objects: findscu compares nothing, so we do (PS3.4 §C.4.1).
func TestWorkstationFindsWhatTheSpoolHolds(t *testing.T) {
	t.Parallel()
	needs(t, "findscu")
	w := newWorkstation(t, synthetic(t, 3, synth.Small))
	studies := by(t, w.objects, query.StudyInstanceUID)
	found := w.find("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientName", "-k", "PatientID", "-k", "StudyDate", "-k", "NumberOfStudyRelatedInstances", "-k", "ModalitiesInStudy")
	if len(found) != len(studies) {
		t.Fatalf("%d studies, want %d", len(found), len(studies))
	}
	for _, f := range found {
		uid := f.UID(query.StudyInstanceUID)
		if got := f.Text(query.InstancesOfStudy); got != fmt.Sprint(studies[uid]) || f.Text(query.RetrieveAETitle) != "EDGED" || f.Text(query.Availability) != "ONLINE" {
			t.Errorf("study: %v, want %d instances", f, studies[uid])
		}
	}
	first := w.objects[0].header(t)
	name, uid := first.Text(query.PatientName), first.UID(query.StudyInstanceUID)
	for _, c := range []struct {
		what string
		keys []string
		want int
	}{
		{"by name without regard to case", []string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientName=" + strings.ToUpper(name[:3]) + "*"}, -1},
		{"by a name that is not there", []string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=Nobody"}, 0},
		{"by date", []string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + uid, "-k", "StudyDate=" + first.Text(query.StudyDate) + "-"}, 1},
		{"before that date", []string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + uid, "-k", "StudyDate=-19000101"}, 0},
		{"the series of a study", []string{"-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "StudyInstanceUID=" + uid, "-k", "SeriesInstanceUID", "-k", "Modality"}, len(by(t, w.of(uid), query.SeriesInstanceUID))},
		{"the images of a series", []string{"-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", "StudyInstanceUID=" + uid, "-k", "SeriesInstanceUID=" + first.UID(query.SeriesInstanceUID), "-k", "SOPInstanceUID", "-k", "InstanceNumber"},
			by(t, w.objects, query.SeriesInstanceUID)[first.UID(query.SeriesInstanceUID)]},
		{"the patient", []string{"-P", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID=" + first.Text(query.PatientID), "-k", "PatientName"}, 1},
		{"the studies of the patient", []string{"-P", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=" + first.Text(query.PatientID), "-k", "StudyInstanceUID=" + uid}, 1},
		{"the studies of another patient", []string{"-P", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=NOBODY", "-k", "StudyInstanceUID=" + uid}, 0},
	} {
		if got := len(w.find(c.keys...)); got != c.want && (c.want >= 0 || got == 0) {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
	if said, _ := w.tool("findscu", "WS", "-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID"); !strings.Contains(said, "DataSetDoesNotMatchSOPClass") {
		t.Errorf("a query that skips a level was answered\n%s", said)
	}
}

// of are the objects of a study.
func (w *workstation) of(study string) (out []object) {
	for _, o := range w.objects {
		if o.header(w.t).UID(query.StudyInstanceUID) == study {
			out = append(out, o)
		}
	}
	return out
}

// mustHold compares the files in dir with objects, byte for byte.
func mustHold(t *testing.T, dir string, objects []object) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	files := make(map[string]object)
	for _, n := range names {
		o, _ := readFile(t, n)
		files[o.names.SOPInstance] = o
	}
	if len(names) != len(objects) {
		t.Errorf("%d files, want %d", len(names), len(objects))
	}
	for _, o := range objects {
		if got := files[o.names.SOPInstance]; got.names != o.names || !bytes.Equal(got.data, o.data) {
			t.Errorf("an image of class %s in %s: %d bytes in %q, %d were stored", o.names.SOPClass, o.names.TransferSyntax, len(got.data), got.names.TransferSyntax, len(o.data))
		}
	}
}

// C-MOVE brings a study to the workstation as it was stored, and only to where
// the configuration says (PS3.4 §C.4.2).
func TestWorkstationMovesAStudyToItself(t *testing.T) {
	t.Parallel()
	needs(t, "movescu", "storescp")
	w := newWorkstation(t, plainOf(synthetic(t, 4, synth.Small)))
	uid := w.objects[0].header(t).UID(query.StudyInstanceUID)
	keys := []string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + uid}
	for _, c := range []struct{ what, calling, to, want string }{
		{"to itself", "WS", "WS", "Received Final Move Response (Success)"},
		{"to nobody", "WS", "NOBODY", "MoveDestinationUnknown"},
		{"to a device without a port", "WS", "PORTLESS", "MoveDestinationUnknown"},
		{"by who may only query", "LOOKS", "WS", "No valid Presentation Context ID"},
		{"by who is not configured", "STRANGER", "WS", "No Acceptable Presentation Contexts"},
	} {
		if said, _ := w.tool("movescu", c.calling, append(keys, "-aem", c.to)...); !strings.Contains(said, c.want) {
			t.Errorf("%s: not %q in\n%s", c.what, c.want, said)
		}
	}
	mustHold(t, w.dir, w.of(uid))
}

// plainOf are the objects that storescp and getscu take without being told how.
func plainOf(all []object) (out []object) {
	for _, o := range all {
		if o.names.TransferSyntax == dicom.ExplicitVRLittleEndian || o.names.TransferSyntax == dicom.ImplicitVRLittleEndian {
			out = append(out, o)
		}
	}
	return out
}

// C-GET brings it over the same association (PS3.4 §C.4.3), by series and image,
// too.
func TestWorkstationGetsWhatItAskedFor(t *testing.T) {
	t.Parallel()
	needs(t, "getscu")
	w := newWorkstation(t, plainOf(synthetic(t, 5, synth.Small)))
	first := w.objects[0].header(t)
	study, series := first.UID(query.StudyInstanceUID), first.UID(query.SeriesInstanceUID)
	inSeries := func() (out []object) {
		for _, o := range w.of(study) {
			if o.header(t).UID(query.SeriesInstanceUID) == series {
				out = append(out, o)
			}
		}
		return out
	}()
	for _, c := range []struct {
		what string
		keys []string
		want []object
	}{
		{"a study", []string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + study}, w.of(study)},
		{"a series", []string{"-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "StudyInstanceUID=" + study, "-k", "SeriesInstanceUID=" + series}, inSeries},
		{"an image", []string{"-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", "StudyInstanceUID=" + study, "-k", "SeriesInstanceUID=" + series, "-k", "SOPInstanceUID=" + inSeries[0].names.SOPInstance}, inSeries[:1]},
		{"a patient's study", []string{"-P", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=" + first.Text(query.PatientID), "-k", "StudyInstanceUID=" + study}, w.of(study)},
		{"the same study of another patient", []string{"-P", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=NOBODY", "-k", "StudyInstanceUID=" + study}, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := t.TempDir()
			if said, code := w.tool("getscu", "WS", append(c.keys, "+B", "-od", dir)...); code != 0 {
				t.Fatalf("exit %d\n%s", code, said)
			}
			mustHold(t, dir, c.want)
		})
	}
}

// getAll asks for a study by a client of ours that takes any encoding, and gives
// what came whole.
func (w *workstation) getAll(study string) (got []object, r dimse.Retrieved) {
	w.t.Helper()
	cfg := w.dimseConfig("WS", "EDGED", dimse.Need{SOPClassUID: dimse.StudyRootGet, TransferSyntaxUID: dicom.ExplicitVRLittleEndian})
	seen := map[dimse.Need]bool{}
	for _, o := range w.objects {
		if !seen[o.need()] {
			seen[o.need()] = true
			cfg.Contexts = append(cfg.Contexts, dimse.Proposal{AbstractSyntax: o.names.SOPClass, TransferSyntaxes: []string{o.names.TransferSyntax}})
			cfg.Roles = append(cfg.Roles, dimse.Role{SOPClassUID: o.names.SOPClass, SCP: true})
		}
	}
	for i := range cfg.Contexts {
		cfg.Contexts[i].ID = 0
	}
	c, err := dimse.Dial(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Abort()
	var id dataset.Set
	id.Set(query.QueryRetrieveLevel, "CS", "STUDY")
	id.Set(query.StudyInstanceUID, "UI", study)
	b, _ := id.Append(nil, dicom.ExplicitVRLittleEndian)
	r, err = c.Get(w.t.Context(), dimse.Query{SOPClassUID: dimse.StudyRootGet, Identifier: dimse.DataSet{TransferSyntaxUID: dicom.ExplicitVRLittleEndian, Bytes: b}},
		func(_ context.Context, rq dimse.StoreRequest, data io.Reader) dimse.Status {
			b, err := io.ReadAll(data)
			if err != nil {
				return dimse.StatusProcessingFailure
			}
			got = append(got, object{dicom.Names{TransferSyntax: rq.TransferSyntaxUID, SOPClass: rq.SOPClassUID, SOPInstance: rq.SOPInstanceUID}, b})
			return dimse.StatusSuccess
		}, nil)
	if err != nil {
		w.t.Logf("get: %v", err)
	}
	return got, r
}

// Every transfer syntax is retrieved as it was stored (P3), also after a restart:
// the catalogue is made again from the objects.
func TestRetrieveIsByteIdenticalAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t, synthetic(t, 6, synth.Small))
	w.edged.stop()
	w.startEdged()
	for study := range by(t, w.objects, query.StudyInstanceUID) {
		got, r := w.getAll(study)
		want := make(map[string][]byte)
		for _, o := range w.of(study) {
			want[o.names.SOPInstance] = o.data
		}
		if r.Completed != len(want) || r.Failed != 0 || len(got) != len(want) {
			t.Errorf("%d came, %+v, want %d", len(got), r.SubOperations, len(want))
		}
		for _, o := range got {
			if !bytes.Equal(o.data, want[o.names.SOPInstance]) {
				t.Errorf("an image of class %s in %s is not as it was stored", o.names.SOPClass, o.names.TransferSyntax)
			}
		}
	}
}

// Of two objects with one SOP Instance UID the first is offered (P5), and of a
// damaged one not a whole is ever passed on (P14).
func TestRetrieveGivesTheFirstOfTwoAndNothingDamaged(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t, plainOf(synthetic(t, 8, synth.Small)))
	first := w.objects[0]
	study := first.header(t).UID(query.StudyInstanceUID)
	other := object{first.names, bytes.Clone(first.data)}
	other.data[len(other.data)-1] ^= 1
	w.storeAll([]object{other})
	got, _ := w.getAll(study)
	if len(got) != len(w.of(study)) {
		t.Errorf("%d images, want %d", len(got), len(w.of(study)))
	}
	for _, o := range got {
		if o.names == first.names && !bytes.Equal(o.data, first.data) {
			t.Error("the later one was given")
		}
	}
	w.damage(first.id())
	got, r := w.getAll(study)
	for _, o := range got {
		if o.names == first.names {
			t.Errorf("%d bytes of a damaged object were passed on as whole", len(o.data))
		}
	}
	// The first to send it finds out on the way, when the message cannot be taken back;
	// from then on it fails by its name. So it is also if the scrubber was faster.
	// The byte may have been one of the part of the file that has the name, too: then
	// it is counted without one.
	if r.Failed == 0 {
		got, r = w.getAll(study)
	}
	named := len(r.FailedUIDs) == 1 && r.FailedUIDs[0] == first.names.SOPInstance
	if r.Status != dimse.StatusCoercion || r.Failed != 1 || !named && len(r.FailedUIDs) != 0 ||
		r.Completed != len(w.of(study))-1 || len(got) != r.Completed {
		t.Errorf("%s, %+v, failed %v, %d came, %d are whole", r.Status, r.SubOperations, r.FailedUIDs, len(got), len(w.of(study))-1)
	}
}

// damage changes a byte of an object's pixels on the disk.
func (w *workstation) damage(id string) {
	w.t.Helper()
	o, ok := w.rows()[id]
	if !ok {
		w.t.Fatal("no such object")
	}
	seq := fmt.Sprintf("%016x", o.Seq)
	name := filepath.Join(w.dir2(), "spool", "objects", seq[:13], seq+".obj")
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	info, _ := f.Stat()
	var b [1]byte
	at := info.Size() / 2
	f.ReadAt(b[:], at)
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workstation) dir2() string { return filepath.Join(w.rig.dir, "edge") }

// Where no device may query, nothing of it is offered.
func TestQueryIsOffByDefault(t *testing.T) {
	t.Parallel()
	needs(t, "findscu")
	r := newRig(t, "uplink: {hubs: []}", "")
	r.startEdged()
	w := &workstation{rig: r}
	if said, _ := w.tool("findscu", "ANYONE", "-S", "-k", "QueryRetrieveLevel=STUDY"); !strings.Contains(said, "No Acceptable Presentation Contexts") {
		t.Errorf("it was negotiated\n%s", said)
	}
}

// The oldest studies fall out when there are too many, whatever order they come in.
func TestCatalogueLetsTheOldestStudiesFallOut(t *testing.T) {
	c := newCatalogue(nil)
	for seq := uint64(1); seq <= maxHeldStudies+10; seq++ {
		c.add(spool.Object{Seq: seq, Group: fmt.Sprint("1.", seq), Part: "1"}, Meta{Modality: "CT"})
	}
	if len(c.studies) != maxHeldStudies || c.held != maxHeldStudies || c.studies["1.10"] != nil || c.studies["1.11"] == nil {
		t.Errorf("%d studies, %d objects", len(c.studies), c.held)
	}
	c.drop("1.11", 11)
	if c.studies["1.11"] != nil || c.held != maxHeldStudies-1 {
		t.Error("an empty study stays")
	}
}

// A destination that has to come by TLS is called by TLS (PS3.15 §B.12).
func TestWorkstationIsCalledByTLS(t *testing.T) {
	t.Parallel()
	needs(t, "storescp", "movescu")
	a := newAuthority(t, "hospital")
	a.issue("ct1", 3, nil)
	at, dir := testAddress(), t.TempDir()
	r, address := secureRig(t, a, `{ae_title: CT1, address: 127.0.0.1, port: `+portOf(at)+`, tls: mutual, services: [store]},
  {ae_title: WS, address: 127.0.0.1, services: [store, move]}`)
	_ = address
	w := &workstation{rig: r, objects: plainOf(synthetic(t, 9, synth.Small)), dir: dir}
	start(t, "storescp", "+B", "-aet", "CT1", "-od", dir, "+tls", a.file("ct1.key"), a.file("ct1.pem"), "+cf", a.file("ca.pem"), portOf(at))
	w.storeFrom("WS", w.objects)
	study := w.objects[0].header(t).UID(query.StudyInstanceUID)
	r.await("the move", func() bool {
		said, _ := w.tool("movescu", "WS", "-S", "-aem", "CT1", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+study)
		return strings.Contains(said, "Received Final Move Response (Success)")
	})
	mustHold(t, dir, w.of(study))
}

// storeFrom stores as one device.
func (w *workstation) storeFrom(calling string, objects []object) {
	w.t.Helper()
	for _, o := range objects {
		c := w.associate(calling, o.need())
		w.mustStore(c, o)
		c.Release(w.t.Context())
	}
}
