package dimse

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/dimse/dataset"
)

// Query and retrieve with real peers, on loopback: DCMTK's tools ask our SCP, our
// client asks dcmqrscp and Orthanc.

var studyKeys = []string{"-S", "-aet", "WS1", "-aec", "EDGED", "-k", "0008,0052=STUDY", "-k", "0010,0010", "-k", "0020,000D=2.25.4711"}

// TestFindscuFinds: DCMTK reads every match, in every syntax that it proposes.
func TestFindscuFinds(t *testing.T) {
	scp := (&shelf{t: t}).fill(3, ImplicitVRLE)
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	for _, option := range []string{"-x=", "-xi", "-xb", "-xd"} {
		dir := t.TempDir()
		mustRun(t, "findscu", append(studyKeys, option, "-X", "-od", dir, "127.0.0.1", port)...)
		var names []string
		files, _ := filepath.Glob(filepath.Join(dir, "rsp*.dcm"))
		for _, f := range files {
			names = append(names, textOf(t, DataSet{writtenSyntax(t, f), dataSetOf(t, f)}, patientName))
		}
		if !slices.Equal(names, []string{"TEST^0", "TEST^1", "TEST^2"}) {
			t.Errorf("%s: findscu read %q", option, names)
		}
	}
	for _, q := range scp.heard() {
		if got := textOf(t, q.Identifier, studyUID); got != "2.25.4711" {
			t.Errorf("asked for %q in %s", got, q.Identifier.TransferSyntaxUID)
		}
	}
}

// writtenSyntax is the transfer syntax in the File Meta that DCMTK wrote.
func writtenSyntax(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Parse(b[132:len(b)-len(dataSetOf(t, path))], ExplicitVRLE)
	if err != nil {
		t.Fatal(err)
	}
	return set.UID(0x00020010)
}

// TestFindscuCancels: DCMTK has enough after two matches of a query without end,
// and hears that it has been cancelled.
func TestFindscuCancels(t *testing.T) {
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: (&shelf{t: t}).endless()})
	out := mustRun(t, "findscu", append(studyKeys, "-v", "--cancel", "2", "127.0.0.1", port)...)
	if !strings.Contains(out, "Cancel: MatchingTerminatedDueToCancelRequest") {
		t.Errorf("findscu did not hear of the cancel: %q", out[max(0, len(out)-500):])
	}
}

// files are instances on disk, and on a shelf.
func filesOnShelf(t *testing.T, scp *shelf) (all []instance) {
	t.Helper()
	dir := t.TempDir()
	all = []instance{
		makeInstance(t, dir, 1, 300<<10, ExplicitVRLE), makeInstance(t, dir, 2, 1024, ExplicitVRLE), makeInstance(t, dir, 3, 64<<10, jpegLossy),
	}
	for _, f := range all {
		scp.instances = append(scp.instances, Instance{f.need.SOPClassUID, f.uid, f.need.TransferSyntaxUID, func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(f.data)), nil
		}})
	}
	return all
}

// arrived compares files that DCMTK wrote with what was sent.
func arrivedAs(t *testing.T, dir string, want []instance) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != len(want) {
		t.Errorf("%d files arrived, want %d", len(files), len(want))
		return
	}
	for _, w := range want {
		i := slices.IndexFunc(files, func(f string) bool { return strings.HasSuffix(f, w.uid) })
		if i < 0 || !bytes.Equal(dataSetOf(t, files[i]), w.data) {
			t.Errorf("instance %s is not among %q, or altered", w.uid, files)
		}
	}
}

// TestMovescuMoves: DCMTK asks for what storescp then receives, unchanged; it is
// told how it went, and that it may not name just anybody.
func TestMovescuMoves(t *testing.T) {
	destination, dir := storescp(t, "+xa", "-aet", "WS2")
	scp := &shelf{t: t, peers: map[string]ClientConfig{"WS2": clientConfig(destination)}}
	files := filesOnShelf(t, scp)
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	mustRun(t, "movescu", append(studyKeys, "-v", "-aem", "WS2", "127.0.0.1", port)...)
	arrivedAs(t, dir, files)
	if out, err := run(t, "movescu", append(studyKeys, "-v", "-aem", "NOBODY", "127.0.0.1", port)...); !strings.Contains(out, "MoveDestinationUnknown") {
		t.Errorf("movescu to an unknown destination: %v, %q", err, out)
	}
}

// TestMovescuReceivesItself: the requestor is the destination, on a second
// association in the same process that waits for our responses.
func TestMovescuReceivesItself(t *testing.T) {
	receiver := freePort(t)
	scp := &shelf{t: t, peers: map[string]ClientConfig{"WS2": clientConfig(receiver)}}
	files := filesOnShelf(t, scp)[:2]
	scp.instances = scp.instances[:2]
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	dir := t.TempDir()
	mustRun(t, "movescu", append(studyKeys, "-od", dir, "+P", receiver, "-aem", "WS2", "127.0.0.1", port)...)
	arrivedAs(t, dir, files)
}

// TestGetscuGets: DCMTK proposes the SCP role for storage and receives unchanged
// what it has a context for; the rest it is told of.
func TestGetscuGets(t *testing.T) {
	scp := &shelf{t: t}
	files := filesOnShelf(t, scp)
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	dir := t.TempDir()
	out, _ := run(t, "getscu", append(studyKeys, "-v", "+B", "-od", dir, "127.0.0.1", port)...)
	arrivedAs(t, dir, files[:2])
	if !strings.Contains(out, "B000") && !strings.Contains(out, "Warning") {
		t.Errorf("getscu was not told of the instance that it has no context for: %q", out)
	}
	dir = t.TempDir()
	_, port = serveTCP(t, ServerConfig{Handler: &keeper{}, Query: &shelf{t: t, instances: scp.instances[2:]}})
	mustRun(t, "getscu", append(studyKeys, "+xy", "+B", "-od", dir, "127.0.0.1", port)...)
	arrivedAs(t, dir, files[2:])
}

// dcmqrscp starts DCMTK's archive with three instances in it; mover is where it
// sends what WS2 is to get.
func dcmqrscp(t *testing.T, mover string) (port string, files []instance) {
	t.Helper()
	path := tool(t, "dcmqrscp")
	dir, port := t.TempDir(), freePort(t)
	store := filepath.Join(dir, "store")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := fmt.Sprintf("MaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nws2 = (WS2, 127.0.0.1, %s)\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"+
		"AETable BEGIN\nARCHIVE %s RW (200, 1024mb) ANY\nAETable END\n", mover, store)
	if err := os.WriteFile(filepath.Join(dir, "cfg"), []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	startPeer(t, port, path, "--bit-preserving", "-c", filepath.Join(dir, "cfg"), port)
	files = filesOnShelf(t, &shelf{t: t})[:2]
	for _, f := range files {
		mustRun(t, "storescu", "-aec", "ARCHIVE", "127.0.0.1", port, f.path)
	}
	return port, files
}

// startPeer starts a peer and waits until it listens: Orthanc takes its time on a
// busy machine. One that ends instead has said why.
func startPeer(t testing.TB, port, path string, args ...string) {
	t.Helper()
	c, said := exec.Command(path, args...), &strings.Builder{}
	c.Stdout, c.Stderr = said, said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); c.Wait() }()
	t.Cleanup(func() { c.Process.Kill(); <-ended })
	for range 600 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", path, said)
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s did not listen on %s within a minute", path, port)
}

// askArchive finds, moves and gets what an archive has, by our client.
func askArchive(t *testing.T, title, port string, k *keeper, files []instance) {
	t.Helper()
	needs, _ := Propose(Need{ctImage, ExplicitVRLE})
	cfg := clientConfig(port, findProposal(ExplicitVRLE, ImplicitVRLE), Proposal{AbstractSyntax: StudyRootMove, TransferSyntaxes: []string{ExplicitVRLE, ImplicitVRLE}},
		Proposal{AbstractSyntax: StudyRootGet, TransferSyntaxes: []string{ExplicitVRLE, ImplicitVRLE}}, Proposal{AbstractSyntax: ctImage, TransferSyntaxes: needs[0].TransferSyntaxes})
	cfg.Called, cfg.Calling, cfg.Roles = title, "WS2", []Role{{SOPClassUID: ctImage, SCP: true}}
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	study := identifier(t, ImplicitVRLE, map[dataset.Tag]string{queryRetrieveLevel: "STUDY", studyUID: "2.25.4711"})
	instances := identifier(t, ImplicitVRLE, map[dataset.Tag]string{queryRetrieveLevel: "IMAGE", studyUID: "2.25.4711", 0x0020000E: "2.25.4711.0", instanceUID: ""})
	for _, stop := range []bool{false, true} {
		findInstances(t, c, instances, stop, len(files))
	}
	if r, err := c.Move(t.Context(), Query{SOPClassUID: StudyRootMove, Identifier: study, Destination: "WS2"}, nil); err != nil || r.Status != StatusSuccess || r.Completed != len(files) {
		t.Errorf("%s, C-MOVE: %+v, %v", title, r, err)
	}
	compare(t, files, k.all())
	got := &keeper{}
	r, err := c.Get(t.Context(), Query{SOPClassUID: StudyRootGet, Identifier: study}, func(ctx context.Context, rq StoreRequest, data io.Reader) Status {
		return got.Store(ctx, &c.Association, rq, data)
	}, nil)
	if err != nil || r.Status != StatusSuccess || r.Completed != len(files) {
		t.Errorf("%s, C-GET: %+v, %v", title, r, err)
	}
	compare(t, files, got.all())
	if r, err := c.Move(t.Context(), Query{SOPClassUID: StudyRootMove, Identifier: study, Destination: "NOBODY"}, nil); err != nil || !r.Status.IsFailure() {
		t.Errorf("%s, C-MOVE to nobody: %+v, %v", title, r, err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func findInstances(t *testing.T, c *Client, id DataSet, stop bool, want int) {
	t.Helper()
	n := 0
	rsp, err := c.Find(t.Context(), Query{SOPClassUID: StudyRootFind, Identifier: id}, func(d DataSet) error {
		n++
		if uid := textOf(t, d, instanceUID); !strings.HasPrefix(uid, "2.25.4711.") {
			t.Errorf("found %q", uid)
		}
		if stop {
			return ErrStop
		}
		return nil
	})
	if stop {
		want = 1
	}
	if err != nil || n != want || !rsp.Status.IsSuccess() && !(stop && rsp.Status.IsCancel()) {
		t.Errorf("C-FIND, cancelled %v: %d matches, %v, %v", stop, n, rsp, err)
	}
}

// TestDcmqrscpAnswers: DCMTK's archive gives us what it has, by C-FIND, C-MOVE
// and C-GET, and takes a C-CANCEL.
func TestDcmqrscpAnswers(t *testing.T) {
	k := &keeper{}
	_, mover := serveTCP(t, ServerConfig{Handler: k})
	port, files := dcmqrscp(t, mover)
	askArchive(t, "ARCHIVE", port, k, files)
	for _, g := range k.all() {
		if g.rq.MoveOriginator != "WS2" {
			t.Errorf("moved on behalf of %q", g.rq.MoveOriginator)
		}
	}
}

// orthanc starts one that knows WS2 and EDGED, and returns its ports.
func orthanc(t *testing.T, ws2, edged string) (port, http string) {
	t.Helper()
	path, err := exec.LookPath("Orthanc")
	if err != nil {
		t.Skip("Orthanc is not installed (package orthanc)")
	}
	dir := t.TempDir()
	port, http = freePort(t), freePort(t)
	cfg := fmt.Sprintf(`{"Name": "peer", "StorageDirectory": %q, "IndexDirectory": %q, "DicomServerEnabled": true, "DicomAet": "ORTHANC", "DicomPort": %s,
		"HttpPort": %s, "RemoteAccessAllowed": false, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
		"DicomModalities": {"ws2": {"AET": "WS2", "Host": "127.0.0.1", "Port": %s}, "edged": {"AET": "EDGED", "Host": "127.0.0.1", "Port": %s}}, "Plugins": []}`,
		dir, dir, port, http, ws2, edged)
	if err := os.WriteFile(filepath.Join(dir, "orthanc.json"), []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	startPeer(t, port, path, filepath.Join(dir, "orthanc.json"))
	return port, http
}

// TestOrthancAnswers: the same of Orthanc.
func TestOrthancAnswers(t *testing.T) {
	k := &keeper{}
	_, mover := serveTCP(t, ServerConfig{Handler: k})
	port, _ := orthanc(t, mover, "1")
	files := filesOnShelf(t, &shelf{t: t})[:2]
	for _, f := range files {
		mustRun(t, "storescu", "-aec", "ORTHANC", "127.0.0.1", port, f.path)
	}
	askArchive(t, "ORTHANC", port, k, files)
}

// TestOrthancAsks: Orthanc finds a study here and retrieves it into itself, in
// whatever transfer syntax each instance is.
func TestOrthancAsks(t *testing.T) {
	scp := &shelf{t: t}
	files := filesOnShelf(t, scp)
	scp.matches = []DataSet{identifier(t, ExplicitVRLE, map[dataset.Tag]string{queryRetrieveLevel: "STUDY", studyUID: "2.25.4711", patientID: "0001"})}
	_, edged := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	port, rest := orthanc(t, "1", edged)
	scp.know("ORTHANC", clientConfig(port))
	query := post(t, rest, "/modalities/edged/query", `{"Level": "Study", "Query": {"StudyInstanceUID": "2.25.4711", "PatientID": ""}}`)
	post(t, rest, query+"/retrieve", `{"TargetAet": "ORTHANC", "Synchronous": true}`)
	found := post(t, rest, "/tools/find", `{"Level": "Instance", "Query": {"StudyInstanceUID": "2.25.4711"}}`)
	if n := strings.Count(found, `"`) / 2; n != len(files) {
		t.Errorf("Orthanc has %d instances, want %d: %s", n, len(files), found)
	}
}

// post asks Orthanc's interface; of an answer with a path it returns the path.
func post(t *testing.T, port, path, body string) string {
	t.Helper()
	rsp, err := http.Post("http://127.0.0.1:"+port+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(rsp.Body)
	if err != nil || rsp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %s, %s", path, err, rsp.Status, b)
	}
	var created struct{ Path string }
	if json.Unmarshal(b, &created) == nil && created.Path != "" {
		return created.Path
	}
	return string(b)
}

// TestMovescuCancels: DCMTK has enough after the second pending response; what
// was under way is finished, the rest is not sent.
func TestMovescuCancels(t *testing.T) {
	slow := &keeper{}
	h := handlerFunc(func(ctx context.Context, a *Association, rq StoreRequest, data io.Reader) Status {
		time.Sleep(progressEvery / 4)
		return slow.Store(ctx, a, rq, data)
	})
	_, there := serveTCP(t, ServerConfig{Handler: h})
	scp := &shelf{t: t, peers: map[string]ClientConfig{"WS2": clientConfig(there)}}
	for n := range 100 {
		scp.instances = append(scp.instances, stocked(n, ctImage, ExplicitVRLE, "x"))
	}
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	out := mustRun(t, "movescu", append(studyKeys, "-v", "--cancel", "2", "-aem", "WS2", "127.0.0.1", port)...)
	if n := len(slow.all()); n < 3 || n > 80 || !strings.Contains(out, "Cancel") {
		t.Errorf("%d instances went, movescu said %q", n, out)
	}
}
