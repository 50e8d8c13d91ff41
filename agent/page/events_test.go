package page

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/agent/status"
)

// stream is a ResponseWriter that can be read while it is written.
type stream struct {
	mu     sync.Mutex // guards all below
	header http.Header
	code   int
	text   bytes.Buffer
}

func newStream() *stream { return &stream{header: http.Header{}, code: 200} }

func (s *stream) Header() http.Header { return s.header }
func (s *stream) Flush()              {}
func (s *stream) WriteHeader(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// take returns what was written since the last call.
func (s *stream) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

// listen opens a stream of events; wait returns when the handler has ended.
func listen(ctx context.Context, p *Page) (s *stream, wait func()) {
	return listenFrom(ctx, p, "127.0.0.1:40000")
}

func listenFrom(ctx context.Context, p *Page, address string) (s *stream, wait func()) {
	s, done := newStream(), make(chan struct{})
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
	r.Header.Set("Last-Event-ID", "not even a number")
	r.RemoteAddr = address
	go func() {
		defer close(done)
		p.ServeHTTP(s, r)
	}()
	return s, func() { <-done }
}

func TestAStreamGreetsTellsAndBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := ordinary()
		ctx, cancel := context.WithCancel(t.Context())
		s, wait := listen(ctx, newPage(t, source))
		synctest.Wait()
		if got := s.take(); got != "retry: 3000\nevent: hello\ndata: {}\n\n" {
			t.Errorf("greeting %q", got)
		}
		time.Sleep(5 * time.Second) // virtual; the silence that a beat ends is counted from the event
		source.bell.Ring(status.StudiesChanged)
		synctest.Wait()
		if got := s.take(); !strings.HasPrefix(got, "id: 1\nevent: studies\ndata: {\"id\":1,\"kind\":\"studies\"") || !strings.HasSuffix(got, "}\n\n") {
			t.Errorf("event %q", got)
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := s.take(); got != "" {
			t.Errorf("too early %q", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := s.take(); got != "event: beat\ndata: {}\n\n" {
			t.Errorf("beat %q", got)
		}
		cancel()
		wait()
	})
}

func TestAnEventCannotBreakTheProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := ordinary()
		ctx, cancel := context.WithCancel(t.Context())
		s, wait := listen(ctx, newPage(t, source))
		synctest.Wait()
		s.take()
		source.bell.Ring("x\n\nevent: evil")
		synctest.Wait()
		if got := s.take(); strings.Contains(got, "\nevent: evil") || strings.Count(got, "\n") != 4 {
			t.Errorf("%q", got)
		}
		cancel()
		wait()
	})
}

// P9: the 65th page that is left open gets an answer and no stream; a slot is
// free again when somebody leaves.
func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(t, ordinary())
		ctx, cancel := context.WithCancel(t.Context())
		var waits []func()
		for range cap(p.streams) {
			_, wait := listen(ctx, p)
			waits = append(waits, wait)
		}
		synctest.Wait()
		late, wait := listen(t.Context(), p)
		if wait(); late.code != http.StatusServiceUnavailable {
			t.Errorf("one too many answers %d", late.code)
		}
		cancel()
		for _, wait := range waits {
			wait()
		}
		ctx, cancel = context.WithCancel(t.Context())
		again, wait := listen(ctx, p)
		synctest.Wait()
		if again.code != http.StatusOK {
			t.Errorf("after all have left: %d", again.code)
		}
		cancel()
		wait()
	})
}

func TestABellNeverWaitsAndForgetsWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bell Bell
		ctx, cancel := context.WithCancel(t.Context())
		ear := bell.Subscribe(ctx)
		for range 1000 { // nobody reads: Ring must return all the same
			bell.Ring(status.StatusChanged)
		}
		if e := <-ear; e.ID != 1 {
			t.Errorf("first heard is %d", e.ID)
		}
		cancel()
		synctest.Wait()
		for range ear { // ends only when the channel is closed
		}
		bell.Ring(status.StatusChanged)
		if len(bell.ears) != 0 {
			t.Errorf("%d ears are left", len(bell.ears))
		}
	})
}

// Through a real server and connection: the greeting arrives at once, not when
// some buffer is full.
func TestEventsAreNotHeldBack(t *testing.T) {
	server := httptest.NewServer(newPage(t, ordinary()))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first := make([]byte, 12)
	if _, err := answer.Body.Read(first); err != nil || string(first) != "retry: 3000\n" || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%q %v %q", first, err, answer.Header.Get("Content-Type"))
	}
}
