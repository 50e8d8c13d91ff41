package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// receiver takes study events by HTTP, as docs/study-event.schema.json and the
// documentation of package hub/events tell a receiver to. Now and then it fails: before
// it has an event, or after.
type receiver struct {
	url    string
	secret []byte
	said   func(instance string) bool // whether the archive that commits itself has said so

	server http.Server
	ended  chan error

	mu      sync.Mutex // guards what follows
	heard   map[string]*heard
	events  int
	repeats int
	failed  int      // answered with 500, by intent
	early   int      // instances told as archived that no archive had committed itself to
	wrong   []string // what a receiver may not be told
}

// heard is what was told of one study.
type heard struct {
	keys     []string          // of the bodies, by revision from 1
	archived map[string]string // the digests of instances that are archived in the newest
}

// event is what of one is looked at.
type event struct {
	Study    string `json:"study_instance_uid"`
	Kind     string `json:"kind"`
	Revision int    `json:"revision"`
	Series   []struct {
		Objects []struct {
			UID   string `json:"sop_instance_uid"`
			ID    string `json:"id"`
			State string `json:"state"`
		} `json:"objects"`
	} `json:"series"`
}

func newReceiver(said func(string) bool) (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := newBareReceiver(said)
	r.url = "http://" + l.Addr().String() + "/events"
	go func() { r.ended <- r.server.Serve(l) }()
	return r, nil
}

func newBareReceiver(said func(string) bool) *receiver {
	r := &receiver{secret: []byte(rand.Text() + rand.Text()), said: said, heard: map[string]*heard{}, ended: make(chan error, 1)}
	r.server.Handler = r
	return r
}

func (r *receiver) close() error {
	r.server.Close()
	if err := <-r.ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// failEvery is how often a new event is answered with a failure at first.
const failEvery = 8

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(io.LimitReader(q.Body, 64<<20))
	if err != nil {
		return // its sender is gone, and so is the connection
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.genuine(q, body); err != nil {
		r.wrong = append(r.wrong, err.Error())
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.events++
	if turn := r.events % (2 * failEvery); turn == failEvery {
		r.failed++
		w.WriteHeader(http.StatusInternalServerError) // and it does not have it
		return
	} else if turn == 0 {
		r.failed++
		w.WriteHeader(http.StatusInternalServerError) // though it has it
	}
	r.take(body)
}

// genuine verifies who says it, and when.
func (r *receiver) genuine(q *http.Request, body []byte) error {
	var seconds int64
	var mac string
	if _, err := fmt.Sscanf(strings.Replace(q.Header.Get("Edged-Signature"), ",", " ", 1), "t=%d v1=%s", &seconds, &mac); err != nil {
		return fmt.Errorf("no signature: %w", err)
	}
	h := hmac.New(sha256.New, r.secret)
	fmt.Fprintf(h, "%d.%s", seconds, body)
	digest := sha256.Sum256(body)
	switch given, err := hex.DecodeString(mac); {
	case err != nil || !hmac.Equal(given, h.Sum(nil)):
		return errors.New("a signature that is not the secret's")
	case time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute:
		return errors.New("a signature of another time")
	case q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json":
		return fmt.Errorf("%s of %q", q.Method, q.Header.Get("Content-Type"))
	case q.Header.Get("Idempotency-Key") != hex.EncodeToString(digest[:]):
		return errors.New("a key that is not the body's digest")
	}
	return nil
}

// take notes one event: the next of its study, or one that came before with the same
// bytes. Anything else is wrong.
func (r *receiver) take(body []byte) {
	var e event
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&e); err != nil || e.Study == "" || e.Revision < 1 {
		r.wrong = append(r.wrong, fmt.Sprintf("not an event: %v", err))
		return
	}
	h := r.heard[e.Study]
	if h == nil {
		h = &heard{}
		r.heard[e.Study] = h
	}
	digest := sha256.Sum256(body)
	key := hex.EncodeToString(digest[:])
	switch {
	case e.Revision <= len(h.keys) && h.keys[e.Revision-1] == key:
		r.repeats++
		return
	case e.Revision <= len(h.keys):
		r.wrong = append(r.wrong, fmt.Sprintf("revision %d of %s again, with other bytes", e.Revision, e.Study))
		return
	case e.Revision != len(h.keys)+1:
		r.wrong = append(r.wrong, fmt.Sprintf("revision %d of %s, and %d before it were never told", e.Revision, e.Study, e.Revision-1-len(h.keys)))
		h.keys = append(h.keys, make([]string, e.Revision-1-len(h.keys))...)
	}
	if want := map[bool]string{true: "complete", false: "changed"}[e.Revision == 1]; e.Kind != want {
		r.wrong = append(r.wrong, fmt.Sprintf("revision %d of %s is %q", e.Revision, e.Study, e.Kind))
	}
	h.keys = append(h.keys, key)
	h.archived = map[string]string{}
	for _, s := range e.Series {
		for _, o := range s.Objects {
			if o.State != "archived" {
				continue
			}
			h.archived[o.UID] = o.ID
			if !r.said(o.UID) {
				r.early++
			}
		}
	}
}

// untold counts studies of which something was acknowledged, those without an event, and
// the instances that the newest event of their study does not tell as archived.
func (r *receiver) untold(acked map[string]*instance) (studies, silent, missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for uid, i := range acked {
		h := r.heard[i.study]
		if !seen[i.study] {
			seen[i.study] = true
			if h == nil || h.keys[0] == "" {
				silent++
			}
		}
		if h == nil || h.archived[uid] != i.id.String() {
			missing++
		}
	}
	return len(seen), silent, missing
}
