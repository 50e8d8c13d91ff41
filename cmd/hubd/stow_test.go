package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"edged/internal/archivelab"
	"edged/internal/dicom"
	"edged/internal/synth"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// webOrthanc starts an Orthanc with DICOMweb and returns where it takes HTTP.
func webOrthanc(t *testing.T) string {
	t.Helper()
	options, err := archivelab.DICOMweb()
	if err != nil {
		t.Skip(err)
	}
	options["AuthenticationEnabled"], options["RegisteredUsers"] = true, map[string]string{"hubd": "xyzzy"}
	return archivelab.NewOrthanc(t, "ARCHIVE", options).Page
}

// modalities are those of some SOP classes.
var modalities = map[string]string{"1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.4": "MR"}

// Two archives for different modalities, one of them a real one by STOW-RS with a
// password: each gets its own, both make it archived, and what no archive is for is
// kept, counted and not archived.
func TestModalitiesGoToTheirArchives(t *testing.T) {
	web := webOrthanc(t)
	s := newSite(t)
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte("xyzzy\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.only = fmt.Sprintf(`destinations:
- {name: web, type: stow, url: 'http://%s/dicom-web', for: {modalities: [CT]}, auth: {user: hubd, password_file: %s}}
- {name: archive, type: dir, path: %s, create: true, for: {modalities: [MR], facilities: [F1]}}
`, web, password, s.archive)
	s.configure()
	p := s.start()
	source := uplinktest.NewSource()
	sent := map[string]int{}
	for _, in := range synth.Instances(synth.Studies(7, synth.Small)) {
		r, length := in.Open()
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		o := uplink.Object{Names: in.Names, Length: length, Study: in.Study, Calling: in.Calling, Priority: 1, Modality: modalities[in.Names.SOPClass]}
		h := o.Names.NewHash()
		h.Write(data)
		h.Sum(o.ID[:0])
		source.AddObject(o).Data = data
		sent[o.Modality]++
	}
	routed := sent["CT"] + sent["MR"]
	if sent["CT"] == 0 || sent["MR"] == 0 || sent[""] == 0 {
		t.Fatalf("the samples are %v", sent)
	}
	s.uplink(s.enrol(), source, func(*uplink.Uplink) bool {
		return source.Count(uplinktest.Archived) == routed && source.Count(uplinktest.AtHub) == sent[""]
	})
	files, err := filepath.Glob(filepath.Join(s.archive, "*", "*.dcm"))
	if err != nil || len(files) != sent["MR"] {
		t.Errorf("the directory has %d, want %d MR (%v)", len(files), sent["MR"], err)
	}
	var instances []string
	if _, text := get(t, "http://hubd:xyzzy@"+web+"/instances"); json.Unmarshal([]byte(text), &instances) != nil || len(instances) != sent["CT"] {
		t.Errorf("Orthanc has %d, want %d CT", len(instances), sent["CT"])
	}
	if c := s.status(p).Counters; c.Archived != int64(routed) || c.Unrouted != int64(sent[""]) {
		t.Errorf("%+v, want %d archived and %d unrouted", c, routed, sent[""])
	}
}

// shelf is an archive by STOW-RS that remembers every delivery.
type shelf struct {
	*testing.T
	mu       sync.Mutex
	kept     map[string][]byte
	times    map[string]int
	requests int
	most     int                       // instances in one
	stored   func(n int, reply func()) // called when the request n was stored; must reply or kill
}

// ServeHTTP implements http.Handler.
func (s *shelf) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	_, p, err := mime.ParseMediaType(rq.Header.Get("Content-Type"))
	if err != nil {
		s.Error(err)
	}
	var uids []string
	for parts := multipart.NewReader(rq.Body, p["boundary"]); ; {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return
		}
		r := bufio.NewReader(part)
		n, _, err := dicom.ReadPreface(r)
		if err != nil {
			return
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return
		}
		s.keep(n.SOPInstance, data)
		uids = append(uids, n.SOPInstance)
	}
	s.mu.Lock()
	s.requests++
	s.most = max(s.most, len(uids))
	n := s.requests
	s.mu.Unlock()
	s.stored(n, func() {
		var items []any
		for _, uid := range uids {
			items = append(items, map[string]any{"00081155": map[string]any{"vr": "UI", "Value": []string{uid}}})
		}
		w.Header().Set("Content-Type", "application/dicom+json")
		json.NewEncoder(w).Encode(map[string]any{"00081199": map[string]any{"vr": "SQ", "Value": items}})
		http.NewResponseController(w).Flush()
	})
}

func (s *shelf) keep(uid string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.kept[uid]; ok && !bytes.Equal(before, data) {
		s.Error("the same instance came with other bytes")
	}
	s.kept[uid] = data
	s.times[uid]++
}

// The hub is killed after the archive has stored, before or after it has heard the
// answer, and before it has written that down: what comes again is the same, everything
// arrives and is archived (R18).
func TestAKillBetweenTheArchivesAnswerAndTheRowRepeatsTheSame(t *testing.T) {
	const objects, kills, each = 60, 4, 5
	s := newSite(t)
	dead := make(chan struct{}, 1)
	var p *process
	var mu sync.Mutex // guards p and killed
	killed := 0
	v := &shelf{T: t, kept: map[string][]byte{}, times: map[string]int{}}
	v.stored = func(n int, reply func()) {
		mu.Lock()
		defer mu.Unlock()
		if n%2 == 0 || killed == kills || len(dead) > 0 {
			reply()
			return
		}
		if killed++; killed%2 == 0 {
			reply()
		}
		p.Process.Kill()
		dead <- struct{}{}
	}
	web := httptest.NewServer(v)
	t.Cleanup(web.Close)
	s.only = fmt.Sprintf("destinations:\n- {name: web, type: stow, url: '%s', associations: 1, request_objects: %d}\n", web.URL, each)
	s.configure()
	p = s.start()
	source := uplinktest.NewSource()
	for n := range objects {
		source.Add(uint64(n), 20_000, 1)
	}
	s.uplink(s.enrol(), source, func(*uplink.Uplink) bool {
		select {
		case <-dead:
			mu.Lock()
			p.kill()
			p = s.start()
			mu.Unlock()
		default:
		}
		return source.Count(uplinktest.Archived) == objects
	})
	again := 0
	source.Each(func(it *uplinktest.Item) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !bytes.Equal(v.kept[it.Names.SOPInstance], it.Data) {
			t.Errorf("an archived object is missing or differs")
		}
		again += v.times[it.Names.SOPInstance] - 1
	})
	if killed != kills || again == 0 || again > kills*16 {
		t.Errorf("%d kills, %d came again, want at most %d", killed, again, kills*16)
	}
	if v.most > each {
		t.Errorf("%d in a request, want at most %d", v.most, each)
	}
	t.Logf("kills=%d archived=%d repeated=%d", killed, objects, again)
}
