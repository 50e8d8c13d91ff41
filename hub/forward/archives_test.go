package forward

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/dimse"
	"edged/hub"
	"edged/internal/archivelab"
	"edged/internal/dicom"
)

// webOrthanc starts one with DICOMweb and returns where it takes associations and HTTP.
func webOrthanc(t *testing.T, more archivelab.Options) (address, web string) {
	t.Helper()
	options, err := archivelab.DICOMweb()
	if err != nil {
		t.Skip(err)
	}
	maps.Copy(options, more)
	o := archivelab.NewOrthanc(t, "ARCHIVE", options)
	return o.Address, o.URL("")
}

// sameInOrthanc demands that it has exactly what was received.
func (b *bench) sameInOrthanc(web string, again int) {
	b.Helper()
	total := len(b.data)
	var ids []string
	if err := json.Unmarshal(fetch(b.T, web+"/instances"), &ids); err != nil || len(ids) != total {
		b.Fatalf("Orthanc has %d instances, want %d (%v)", len(ids), total, err)
	}
	rewritten := 0
	for _, id := range ids {
		file := filepath.Join(b.TempDir(), "fetched.dcm")
		if err := os.WriteFile(file, fetch(b.T, web+"/instances/"+id+"/file"), 0o600); err != nil {
			b.Fatal(err)
		}
		if !b.found(file) {
			b.rewritten(file)
			rewritten++
		}
	}
	if len(b.data) != 0 || rewritten > again {
		b.Errorf("of %d objects %d are missing, %d were rewritten", total, len(b.data), rewritten)
	}
}

// Orthanc keeps the file that comes by STOW-RS as it is.
func TestOrthancGetsTheBytesThatCameByStow(t *testing.T) {
	_, web := webOrthanc(t, nil)
	b := newBench(t, "vna")
	b.receive(small()...)
	b.run(b.archived(len(b.data)), stow(t, StowConfig{URL: web + "/dicom-web"}))
	b.sameInOrthanc(web, 0)
}

// With a password; one that is wrong judges nothing.
func TestOrthancWantsAPassword(t *testing.T) {
	_, web := webOrthanc(t, archivelab.Options{"AuthenticationEnabled": true, "RegisteredUsers": map[string]string{"hubd": "xyzzy"}})
	b := newStowBench(t, 4)
	password := "wrong"
	auth := Basic{"hubd", func() (string, error) { return password, nil }}
	d := stow(t, StowConfig{URL: web + "/dicom-web", Auth: auth, Requests: 1})
	f := b.run(func() bool { return strings.Contains(b.forwarder.Status()[0].Error, "401") }, d)
	if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Objects != 4 {
		t.Errorf("%+v %+v", s, f.Status())
	}
	password = "xyzzy"
	b.run(b.archived(4), d)
}

// An object that is no DICOM at all, among others: Orthanc says which one it is, or
// refuses the request; the others arrive.
func TestOrthancRefusesPoisonAndTakesTheRest(t *testing.T) {
	_, web := webOrthanc(t, nil)
	b := newStowBench(t, 5)
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.99"}
	b.receiveBytes(hub.Object{Names: n, Length: 5000, Study: "2.25.98", Priority: 1, Device: "d"}, slices.Repeat([]byte{0xff}, 5000))
	d := stow(t, StowConfig{URL: web + "/dicom-web", Requests: 1})
	b.run(b.archived(5), d)
	if s := b.stats().Backlog["vna"]; s.Objects+s.Quarantined != 1 {
		t.Errorf("%+v", s)
	}
}

// dcmqrscp is an archive of its own kind: it stores what its table allows.
func TestDcmqrscpGetsWhatItAccepts(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	db := filepath.Join(dir, "db")
	if err := os.Mkdir(db, 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("NetworkTCPPort = %d\nMaxPDUSize = 16384\nMaxAssociations = 4\nHostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"+
		"AETable BEGIN\nARCHIVE %s RW (200, 1024mb) ANY\nAETable END\n", port, db)
	path := filepath.Join(dir, "dcmqrscp.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// Without a fork of its own it serves one association at a time: the others wait.
	command(t, "dcmqrscp", "--config", path, "--single-process", "--bit-preserving")
	b := newBench(t, "vna")
	b.receive(small()...)
	d := cstore(fmt.Sprintf("127.0.0.1:%d", port))
	d.c.Associations = 1
	// It accepts uncompressed transfer syntaxes: what is compressed is not converted but set aside.
	plain, total := int64(0), int64(len(b.data))
	for _, in := range small() {
		if ts := in.Names.TransferSyntax; ts == dimse.ImplicitVRLE || ts == dimse.ExplicitVRLE || ts == "1.2.840.10008.1.2.2" {
			plain++
		}
	}
	b.run(func() bool { s := b.stats(); return s.Archived+s.Backlog["vna"].Quarantined == total }, d)
	s := b.stats()
	files, err := filepath.Glob(filepath.Join(db, "*_*"))
	if err != nil || int64(len(files)) != plain || s.Archived != plain || plain == 0 {
		t.Errorf("%d files, %d archived, %d refused, %d are not compressed (%v)", len(files), s.Archived, s.Backlog["vna"].Quarantined, plain, err)
	}
	for _, f := range files {
		b.oneOf(f)
	}
}

// storescp that takes one SOP class only: the others are set aside with its words, at
// once, and what it takes arrives.
func TestStorescpThatRefusesClassesGetsWhatItTakes(t *testing.T) {
	const config = `[[TransferSyntaxes]]
[Any]
TransferSyntax1 = JPEG2000
TransferSyntax2 = JPEG2000LosslessOnly
TransferSyntax3 = JPEGBaseline
TransferSyntax4 = JPEGLossless:Non-hierarchical-1stOrderPrediction
TransferSyntax5 = JPEGLSLossless
TransferSyntax6 = RLELossless
TransferSyntax7 = DeflatedLittleEndianExplicit
TransferSyntax8 = LocalEndianExplicit
TransferSyntax9 = OppositeEndianExplicit
TransferSyntax10 = LittleEndianImplicit
[[PresentationContexts]]
[One]
PresentationContext1 = MRImageStorage\Any
[[Profiles]]
[Default]
PresentationContexts = One
`
	out, port := t.TempDir(), freePort(t)
	path := filepath.Join(t.TempDir(), "profile.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "storescp", "--config-file", path, "Default", "--bit-preserving", "--output-directory", out, fmt.Sprint(port))
	b := newBench(t, "vna")
	all := small()
	b.receive(all...)
	mr := 0
	for _, in := range all {
		if in.Names.SOPClass == "1.2.840.10008.5.1.4.1.1.4" {
			mr++
		}
	}
	b.run(func() bool {
		s := b.stats()
		return s.Archived == int64(mr) && s.Backlog["vna"].Quarantined == int64(len(all)-mr)
	}, cstore(fmt.Sprintf("127.0.0.1:%d", port)))
	stuck, err := b.ledger.Stuck(t.Context(), 99)
	if err != nil || mr == 0 || len(stuck) != len(all)-mr || !strings.Contains(stuck[0].Words, "accepts no SOP class") {
		t.Errorf("%d MR, %d stuck (%v)", mr, len(stuck), err)
	}
}

// B000: it has changed something and has it. That counts, and its words are kept.
func TestAnArchiveThatCoercesHasTheObject(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()[:3]...)
	a := &archive{store: func(dimse.StoreRequest, []byte) dimse.Status { return dimse.StatusCoercion }}
	b.run(b.archived(3), cstore(served(t, a)))
}

// It stops reading in the middle of an object: that is given up after a while, and the
// others arrive meanwhile on the other association.
func TestAnArchiveThatHangsInTheMiddleOfAnObject(t *testing.T) {
	b := newBench(t, "vna")
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7"}
	for i := range 3 {
		n.SOPInstance = fmt.Sprintf("2.25.%d", 100+i)
		b.receiveBytes(hub.Object{Names: n, Length: 32 << 20, Device: "d"}, make([]byte, 32<<20))
	}
	release := make(chan struct{})
	var calls atomic.Int32
	a := &archive{raw: func(data io.Reader) dimse.Status {
		if calls.Add(1) == 1 {
			data.Read(make([]byte, 100))
			<-release
		}
		io.Copy(io.Discard, data)
		return dimse.StatusSuccess
	}}
	vna := cstore(served(t, a))
	t.Cleanup(func() { close(release) })
	vna.c.Stall, vna.c.Associations = 500*time.Millisecond, 1
	b.run(b.archived(3), vna)
	if calls.Load() < 4 {
		t.Errorf("%d attempts", calls.Load())
	}
}

// Full: nothing is judged, it is asked more and more seldom, and the status says why;
// when there is room everything arrives. Also over STOW-RS.
func TestAnArchiveThatIsFullIsWaitedFor(t *testing.T) {
	for _, kind := range []string{"cstore", "stow"} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t, "vna")
			b.receive(small()...)
			total := len(b.data)
			var room atomic.Bool
			d := fullArchive(t, kind, &room)
			f := b.run(func() bool { return strings.Contains(b.forwarder.Status()[0].Error, "A700") }, d)
			if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Quarantined != 0 {
				t.Errorf("%+v %+v", s, f.Status())
			}
			room.Store(true)
			if f = b.run(b.archived(total), d); f.Status()[0].Error != "" {
				t.Errorf("%+v", f.Status())
			}
		})
	}
}

func fullArchive(t *testing.T, kind string, room *atomic.Bool) Destination {
	if kind == "cstore" {
		return cstore(served(t, &archive{store: func(dimse.StoreRequest, []byte) dimse.Status {
			if room.Load() {
				return dimse.StatusSuccess
			}
			return dimse.StatusOutOfResources
		}}))
	}
	v := &vna{T: t}
	v.answer = answerBy(room)
	return stow(t, StowConfig{URL: v.serve()})
}

// P6: an urgent object that comes while a large backlog goes waits behind at most what
// the workers hold, one batch each.
func TestABacklogDelaysAnUrgentObjectByABatchAtMost(t *testing.T) {
	for _, kind := range []string{"cstore", "stow", "dir"} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t, "vna")
			b.config.Destinations[0].Required = true
			n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7"}
			var routine []arrival
			for i := range 10 * batchSize {
				n.SOPInstance = fmt.Sprintf("2.25.%d", 1000+i)
				routine = append(routine, arrival{hub.Object{Names: n, Length: 200, Device: "d", Priority: 1}, make([]byte, 200)})
			}
			b.receiveAll(routine)
			var mu sync.Mutex
			var order []string
			urgentAt := -1
			arrived := func(uids ...string) {
				mu.Lock()
				defer mu.Unlock()
				if order = append(order, uids...); len(order) >= 2*batchSize && urgentAt < 0 {
					urgentAt = len(order)
					n.SOPInstance = "2.25.7"
					b.receiveBytes(hub.Object{Names: n, Length: 200, Device: "d"}, make([]byte, 200))
				}
			}
			var d Destination
			switch kind {
			case "cstore":
				c := cstore(served(t, &archive{store: func(rq dimse.StoreRequest, _ []byte) dimse.Status { arrived(rq.SOPInstanceUID); return 0 }}))
				c.c.Associations = 1
				d = c
			case "stow":
				v := &vna{T: t}
				v.answer = answerAndTell(arrived)
				d = stow(t, StowConfig{URL: v.serve(), Requests: 1})
			case "dir":
				dir := newDir(t, t.TempDir())
				open := b.store.Open
				b.open = func(id hub.ID) (Object, error) {
					o, err := open(id)
					if err == nil {
						arrived(o.Names().SOPInstance)
					}
					return o, err
				}
				d = dir
			}
			b.run(b.archived(len(routine)+1), d)
			at := slices.Index(order, "2.25.7")
			if limit := urgentAt + d.Workers()*batchSize; at < 0 || at > limit {
				t.Errorf("it came at %d, was received at %d, want at most %d", at, urgentAt, limit)
			}
		})
	}
}

// An archive that talks before it is asked, or is no DICOM at all.
func TestWhatIsNoArchiveJudgesNoObject(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "SSH-2.0-OpenSSH_9.2p1\r\n")
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	for kind, d := range map[string]Destination{"cstore": cstore(l.Addr().String()), "stow": stow(t, StowConfig{URL: "http://" + l.Addr().String() + "/x"})} {
		b := newBench(t, "vna")
		b.receive(small()[:2]...)
		b.run(func() bool { return b.forwarder.Status()[0].Error != "" }, d)
		if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Quarantined != 0 {
			t.Errorf("%s: %+v", kind, s)
		}
	}
}
