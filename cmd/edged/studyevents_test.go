package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"edged/internal/synth"
)

// studyEvent is what this test reads of one.
type studyEvent struct {
	Study    string `json:"study_instance_uid"`
	Kind     string `json:"kind"`
	Revision int    `json:"revision"`
	Series   []struct {
		UID      string `json:"series_instance_uid"`
		Modality string `json:"modality"`
		Objects  []struct {
			ID          string `json:"id"`
			SOPInstance string `json:"sop_instance_uid"`
			Syntax      string `json:"transfer_syntax_uid"`
			State       string `json:"state"`
			Length      int    `json:"length"`
		} `json:"objects"`
	} `json:"series"`
	Identifiers []struct {
		Instances  int `json:"instances"`
		Attributes map[string]struct {
			Text *string `json:"text"`
		} `json:"attributes"`
	} `json:"identifiers"`
	Totals struct {
		Instances int            `json:"instances"`
		States    map[string]int `json:"states"`
		Missing   int            `json:"missing"`
		Problems  int            `json:"problems"`
	} `json:"totals"`
}

func (e *studyEvent) ids() (out []string) {
	for _, s := range e.Series {
		for _, o := range s.Objects {
			out = append(out, o.ID)
		}
	}
	slices.Sort(out)
	return out
}

func idsOf(objects []object) (out []string) {
	for _, o := range objects {
		out = append(out, o.id())
	}
	slices.Sort(out)
	return out
}

// index is who is told by HTTP; as long as it is down it answers 503.
type index struct {
	mu   sync.Mutex
	down bool
	got  map[string][]byte // by Idempotency-Key
}

func (x *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.down || err != nil || !strings.HasPrefix(r.Header.Get("Edged-Signature"), "t=") {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	x.got[r.Header.Get("Idempotency-Key")] = body
}

func (x *index) bodies() (out []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.got {
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

// onTheShelf are the files on the shelf by their names.
func (r *rig) onTheShelf() map[string]*studyEvent {
	r.t.Helper()
	out := map[string]*studyEvent{}
	names, _ := filepath.Glob(filepath.Join(r.dir, "shelf", "*", "*.json"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		e := &studyEvent{}
		if err == nil {
			err = json.Unmarshal(b, e)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		out[filepath.Base(name)] = e
	}
	return out
}

// From the modality to who is told: a study that came to rest at the appliance, and is
// archived, is told once with every instance of it, whatever ends in between; a late
// instance is told as a change of it.
func TestAStudyIsToldFromTheModalityToTheSinks(t *testing.T) {
	x := &index{got: map[string][]byte{}, down: true}
	server := httptest.NewServer(x)
	defer server.Close()
	r := newRig(t, "dicom: {listen: \"$DICOM\", devices: [{ae_title: CT1, address: 127.0.0.1, quiet: 1s}]}\n",
		"events: {sinks: [{name: shelf, type: file, path: $DIR/shelf}, {name: index, type: http, url: \""+server.URL+"\", secret_file: $DIR/secret}]}\n")
	r.write("secret", strings.Repeat("s", 32))
	if err := os.Mkdir(r.path("shelf"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.up()
	objects := explicitOf(synthetic(t, 77, synth.Profile{Kind: "ct"}))[:12]
	late, first := objects[len(objects)-1], objects[:len(objects)-1]
	c := r.associate("CT1", objects[0].need())
	r.mustStore(c, first...)
	if err := c.Release(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.await("the study to be on the shelf", func() bool { return len(r.onTheShelf()) == 1 })
	r.hubd.kill()
	c = r.associate("CT1", late.need())
	r.mustStore(c, late)
	if err := c.Release(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.startHub()
	r.await("the change to be on the shelf", func() bool { return len(r.onTheShelf()) == 2 })
	told(t, r.onTheShelf(), first, objects)
	x.mu.Lock()
	x.down = false
	x.mu.Unlock()
	r.await("the index to have both", func() bool { return len(x.bodies()) == 2 })
	var shelf []string
	names, _ := filepath.Glob(filepath.Join(r.dir, "shelf", "*", "*.json"))
	for _, name := range names {
		b, _ := os.ReadFile(name)
		shelf = append(shelf, string(bytes.Clone(b)))
	}
	slices.Sort(shelf)
	if !slices.Equal(shelf, x.bodies()) {
		t.Error("the shelf and the index have other bytes")
	}
}

// told compares both events with what was sent.
func told(t *testing.T, events map[string]*studyEvent, first, all []object) {
	t.Helper()
	for name, e := range events {
		want, kind := first, "complete"
		if e.Revision == 2 {
			want, kind = all, "changed"
		}
		if !strings.HasPrefix(name, e.Study+"-") || e.Kind != kind || !slices.Equal(e.ids(), idsOf(want)) {
			t.Errorf("%s: %s with %d instances, want %s with %d", name, e.Kind, len(e.ids()), kind, len(want))
		}
		if e.Totals.Instances != len(want) || e.Totals.States["archived"] != len(want) || e.Totals.Missing != 0 || e.Totals.Problems != 0 {
			t.Errorf("%s: totals %+v", name, e.Totals)
		}
		if e.Series[0].Modality != "CT" || len(e.Identifiers) != 1 || e.Identifiers[0].Attributes["PatientID"].Text == nil || e.Identifiers[0].Attributes["PatientName"].Text == nil {
			t.Errorf("%s: %+v", name, e.Identifiers)
		}
	}
}
