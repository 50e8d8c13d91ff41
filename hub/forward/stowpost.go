package forward

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	"edged/hub/ledger"
)

// A request has one part for each object (RFC 2387, PS3.18 §8.6.1.2):
//
//	--BOUNDARY
//	Content-Type: application/dicom
//
//	the Part 10 file
//	--BOUNDARY--
//
// A part ends with the boundary after it. That is sent only when the object's digest
// was found right: a damaged copy is a part without an end in a message without an
// end, and the message is shorter than its Content-Length.

// message is the body, made while it is read. The transport reads it from a goroutine
// of its own, also for a moment after the answer has come.
type message struct {
	length int64
	moved  func(whole bool) // called when some of it has gone

	mu       sync.Mutex // guards what follows, which does not change any more when it is over
	segments []segment  // the rest
	started  bool
	gone     map[int64]bool  // jobs whose objects were handed over whole
	damaged  map[int64]error // by job
	over     bool            // nobody reads the objects any more
}

type segment struct {
	io.Reader
	job  int64 // 0: not of an object
	last bool  // of its object
}

func newMessage(list []opened, boundary string, moved func(whole bool)) *message {
	m := &message{moved: moved, gone: map[int64]bool{}, damaged: map[int64]error{}}
	say := func(text string) {
		m.segments = append(m.segments, segment{Reader: newText(text)})
		m.length += int64(len(text))
	}
	for _, o := range list {
		say("--" + boundary + "\r\nContent-Type: application/dicom\r\n\r\n")
		m.segments = append(m.segments,
			segment{io.NewSectionReader(o, 0, o.DataOffset()), o.job.Seq, false}, segment{o.DataSet(), o.job.Seq, true})
		m.length += o.Size()
		say("\r\n")
	}
	say("--" + boundary + "--\r\n")
	return m
}

func newText(s string) io.Reader { return io.NewSectionReader(text(s), 0, int64(len(s))) }

type text string

// ReadAt implements io.ReaderAt.
func (t text) ReadAt(b []byte, off int64) (int, error) { return copy(b, t[off:]), nil }

// Read implements io.Reader.
func (m *message) Read(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return 0, errOver
	}
	m.started = true
	for len(m.segments) > 0 {
		n, err := m.segments[0].Read(b)
		if err != nil && err != io.EOF {
			m.damaged[m.segments[0].job] = err
			return 0, err
		}
		if err == io.EOF {
			m.gone[m.segments[0].job] = m.segments[0].last
			m.segments = m.segments[1:]
		}
		if n > 0 {
			m.moved(len(m.segments) == 0)
			return n, nil
		}
	}
	m.moved(true)
	return 0, io.EOF
}

var errOver = errors.New("the request is over")

// Close implements io.Closer: the transport has no use for the message any more.
func (m *message) Close() error { return nil }

// end stops reading; what is known then is final.
func (m *message) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
}

// errStalled means that nothing has moved for too long.
var errStalled = errors.New("no progress")

// watch ends a request in which nothing moves.
type watch struct {
	cancel          context.CancelCauseFunc
	stall, response time.Duration
	timer           *time.Timer
}

func (s *stowSession) watch(ctx context.Context) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel, stall: s.c.Stall, response: s.c.Response}
	w.timer = time.AfterFunc(w.stall+30*time.Second, func() { cancel(errStalled) }) // to connect takes its own time
	return ctx, w
}

// moved is heard from the message.
func (w *watch) moved(whole bool) {
	if whole {
		w.timer.Reset(w.response)
	} else {
		w.timer.Reset(w.stall)
	}
}

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// answer is what became of a request.
type answer struct {
	away     error // the destination waits, no object is judged
	heard    bool  // an answer came
	whole    bool  // it failed as a whole: of one object alone, all holds for that
	tooLarge bool
	silent   bool           // nothing moved for too long
	stale    bool           // it was cut on a connection that had been idle
	doubt    bool           // it failed, and yet what was sent whole may be there
	gone     map[int64]bool // jobs whose objects were sent whole
	all      outcome
	each     map[string]outcome // by SOP Instance UID, where the answer names it
	unlisted outcome            // the others
	own      map[int64]outcome  // by job, nil unless copies proved damaged: the others go again
}

// of is what is known about a job.
func (a answer) of(j ledger.Job) (outcome, bool) {
	if a.own != nil {
		o, ok := a.own[j.Seq]
		return o, ok
	}
	if a.whole {
		o := a.all
		o.unanswered = a.doubt && a.gone[j.Seq]
		return o, true
	}
	if o, ok := a.each[j.Object.Names.SOPInstance]; ok {
		return o, true
	}
	return a.unlisted, true
}

// post makes one request; when its credentials are refused that may have run out, a
// second one with new ones.
func (s *stowSession) post(ctx context.Context, list []opened) answer {
	a, status := s.try(ctx, list)
	if status == http.StatusUnauthorized && s.c.Auth != nil && s.c.Auth.Renew() {
		a, _ = s.try(ctx, list)
	}
	return a
}

func (s *stowSession) try(ctx context.Context, list []opened) (answer, int) {
	limited, w := s.watch(ctx)
	defer w.end()
	reused := false
	limited = httptrace.WithClientTrace(limited, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	boundary := newBoundary()
	m := newMessage(list, boundary, w.moved)
	rq, err := s.request(limited, m, boundary)
	if err != nil {
		return answer{away: fmt.Errorf("archive at %s: %w", s.c.URL, err)}, 0
	}
	rs, err := s.client.Do(rq)
	if err != nil {
		m.end()
		a := s.lost(limited, m, err)
		a.stale = reused && a.whole && !a.silent
		return a, 0
	}
	defer rs.Body.Close()
	s.wary = false
	a := s.read(rs, list, w)
	m.end()
	if a.gone = maps.Clone(m.gone); len(m.damaged) > 0 {
		return s.damaged(m), rs.StatusCode
	}
	if len(m.segments) > 0 {
		a = a.early()
	}
	return a, rs.StatusCode
}

// early is what an answer means that came before the request was whole: whatever it
// says, nothing is stored of what did not go.
func (a answer) early() answer {
	if a.away != nil || a.whole {
		return a
	}
	return answer{heard: true, whole: true, doubt: true, gone: a.gone, all: outcome{verdict: transient, why: "answered too early", words: "the archive answered before it had the whole request"}}
}

func (s *stowSession) request(ctx context.Context, m *message, boundary string) (*http.Request, error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, m)
	if err != nil {
		return nil, err
	}
	rq.ContentLength = m.length
	rq.Header.Set("Content-Type", `multipart/related; type="application/dicom"; boundary=`+boundary)
	rq.Header.Set("Accept", "application/dicom+json")
	if s.wary {
		rq.Header.Set("Expect", "100-continue") // an early refusal is not lost in a reset (RFC 9110 §10.1.1)
	}
	if s.c.Auth != nil {
		err = s.c.Auth.Set(rq)
	}
	return rq, err
}

func newBoundary() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// lost is a request without an answer. m has ended.
func (s *stowSession) lost(ctx context.Context, m *message, err error) answer {
	silent := errors.Is(context.Cause(ctx), errStalled)
	if silent {
		err = errStalled
	}
	switch {
	case len(m.damaged) > 0:
		return s.damaged(m)
	case !m.started || refusedByTLS(err):
		return answer{away: fmt.Errorf("archive at %s: %w", s.c.URL, err)}
	}
	s.wary = true
	return answer{whole: true, silent: silent, doubt: true, gone: m.gone, all: outcome{verdict: transient, why: errCut.Error(), words: err.Error()}}
}

var errCut = errors.New("the connection was lost")

// refusedByTLS reports whether the other side has ended the connection by an alert: in
// TLS 1.3 it says only after the handshake that it wants another certificate (RFC 8446 §4.4.2.4).
func refusedByTLS(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// damaged says what is wrong with our own copies; the others were not judged, and an
// archive that stores while it reads may have those before.
func (s *stowSession) damaged(m *message) answer {
	a := answer{own: map[int64]outcome{}, doubt: true, gone: m.gone}
	for job, err := range m.damaged {
		o, err := ownFault(err)
		if err != nil {
			a.away = err
		}
		a.own[job] = o
	}
	return a
}

// waitError is a destination's wish to be left alone for so long.
type waitError struct {
	error
	after time.Duration
}

func (e *waitError) Unwrap() error { return e.error }

// retryAfter is RFC 9110 §10.2.3; 0 when it says nothing that can be read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
