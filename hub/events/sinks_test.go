package events

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/hub/ledger"
)

// message is an event with a body.
func message(t *testing.T, study string, revision uint32, body string) Message {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return Message{Event: ledger.Event{Study: study, Revision: revision, At: time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC)}, Packed: b.Bytes()}
}

func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			rel, _ := filepath.Rel(dir, name)
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A file has its name only when it is whole; told twice it is one; another one of the
// name is left alone; no byte of a peer but a legal UID is in a path.
func TestAFileIsWrittenOnceAndNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	f := NewFile("shelf", dir)
	for range 2 {
		if err := f.Send(t.Context(), message(t, "1.2.3", 1, "first\n")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := f.Send(t.Context(), message(t, "1.2.3", 1, "of a restored ledger\n")); err != nil {
			t.Fatal(err)
		}
	}
	for _, study := range []string{"../../etc/passwd", ".", "..", "1.2\x00", strings.Repeat("1", 65)} {
		if err := f.Send(t.Context(), message(t, study, 2, "x")); err != nil {
			t.Fatal(err)
		}
	}
	got := files(t, dir)
	if len(got) != 7 || got[1] != "2026-03-01/1.2.3-1.json" || !strings.HasPrefix(got[0], "2026-03-01/1.2.3-1-") {
		t.Errorf("%q", got)
	}
	for _, name := range got[2:] {
		if !strings.HasPrefix(name, "2026-03-01/study-") || len(name) != len("2026-03-01/study--2.json")+32 {
			t.Errorf("a name with bytes of a peer: %q", name)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(dir, got[1])); string(b) != "first\n" {
		t.Errorf("the first is %q now", b)
	}
}

// What a crash has left beside the files goes, what another node writes now does not, and
// neither does anything that is not ours.
func TestWhatACrashHasLeftIsSwept(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * sweepAge)
	for name, at := range map[string]time.Time{"2026-02-27/.incoming-0123456789abcdef": old, "2026-02-28/.incoming-0123456789abcdef": old, "2026-02-28/.incoming-now": time.Now(),
		"2026-02-28/1.2.3-1.json": old, "2026-02-28/.incoming-d/x": old, "other/.incoming-0123456789abcdef": old, ".incoming-0123456789abcdef": old} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, nil, 0o600), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	f := NewFile("shelf", dir)
	for n := range uint32(2) { // the second time nothing is looked for
		if err := f.Send(t.Context(), message(t, "1.2.3", n+1, "x")); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{".incoming-0123456789abcdef", "2026-02-28/.incoming-d/x", "2026-02-28/.incoming-now", "2026-02-28/1.2.3-1.json", "2026-03-01/1.2.3-1.json", "2026-03-01/1.2.3-2.json", "other/.incoming-0123456789abcdef"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A directory that is missing may be the mount point of a disk: it is waited for, and
// never made.
func TestAMissingDirectoryIsWaitedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mount")
	f := NewFile("shelf", dir)
	var away *Away
	if err := f.Send(t.Context(), message(t, "1.2.3", 1, "x")); !errors.As(err, &away) || strings.Contains(err.Error(), dir) {
		t.Errorf("without it: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Send(t.Context(), message(t, "1.2.3", 1, "x")); err != nil {
		t.Errorf("with it: %v", err)
	}
}

// receiver is an HTTP server that checks what it is told, as its documentation says.
type receiver struct {
	secret []byte
	status int
	keys   []string
	bodies []string
	wrong  []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	var seconds int64
	var mac string
	if _, err := fmt.Sscanf(strings.Replace(q.Header.Get("Edged-Signature"), ",", " ", 1), "t=%d v1=%s", &seconds, &mac); err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
	h := hmac.New(sha256.New, r.secret)
	fmt.Fprintf(h, "%d.%s", seconds, body)
	sent, _ := hex.DecodeString(mac)
	digest := sha256.Sum256(body)
	switch key := q.Header.Get("Idempotency-Key"); {
	case !hmac.Equal(sent, h.Sum(nil)) || time.Since(time.Unix(seconds, 0)) > time.Minute:
		r.wrong = append(r.wrong, "signature")
	case key != hex.EncodeToString(digest[:]) || q.Header.Get("Content-Type") != "application/json" || q.Method != http.MethodPost || q.ContentLength != int64(len(body)):
		r.wrong = append(r.wrong, fmt.Sprint("header ", q.Header))
	default:
		r.keys, r.bodies = append(r.keys, key), append(r.bodies, string(body))
	}
	if r.status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(r.status)
	io.WriteString(w, "Rossi^Mario is not known here")
}

// A request is signed, says how long it is, and has the same key and bytes each time;
// what an answer means is in the documentation; a redirect is not followed.
func TestARequestIsSignedAndItsAnswerIsJudged(t *testing.T) {
	r := &receiver{secret: bytes.Repeat([]byte("s"), 32)}
	server := httptest.NewServer(r)
	defer server.Close()
	h := NewHTTP(HTTPConfig{Name: "index", URL: server.URL, Secret: r.secret})
	m := message(t, "1.2.3", 1, strings.Repeat(`{"name":"Rossi"}`, 10_000))
	for status, want := range map[int]string{200: "", 201: "", 204: "", 400: "refused", 413: "refused", 415: "refused", 422: "refused",
		302: "away", 308: "away", 401: "away", 403: "away", 404: "away", 405: "away", 407: "away", 429: "away", 502: "away", 503: "away", 504: "away",
		408: "later", 409: "later", 418: "later", 425: "later", 451: "later", 499: "later", 500: "later", 501: "later"} {
		r.status = status
		err := h.Send(t.Context(), m)
		var refused *Refused
		var away *Away
		got := map[bool]string{true: "", false: "later"}[err == nil]
		if errors.As(err, &refused) {
			got = "refused"
		} else if errors.As(err, &away) {
			got = "away"
		}
		if got != want || err != nil && (!strings.Contains(err.Error(), fmt.Sprint(status)) || strings.Contains(err.Error(), "Rossi")) {
			t.Errorf("%d: %v, want %q", status, err, want)
		}
	}
	if len(r.wrong) > 0 || len(r.keys) != 26 {
		t.Errorf("wrong %v, %d requests", r.wrong, len(r.keys))
	}
	for i := range r.keys {
		if r.keys[i] != r.keys[0] || r.bodies[i] != r.bodies[0] {
			t.Errorf("request %d has other bytes", i)
		}
	}
}

// A receiver behind a hospital's own CA is believed when that is configured, and no other.
func TestAReceiverIsKnownByItsCA(t *testing.T) {
	r := &receiver{secret: bytes.Repeat([]byte("s"), 32), status: 200}
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	for _, c := range []struct {
		cas  *x509.CertPool
		want bool
	}{{pool, true}, {x509.NewCertPool(), false}, {nil, false}} {
		h := NewHTTP(HTTPConfig{Name: "index", URL: server.URL, Secret: r.secret, CAs: c.cas})
		err := h.Send(t.Context(), message(t, "1.2.3", 1, "x"))
		var away *Away
		if c.want != (err == nil) || err != nil && !errors.As(err, &away) {
			t.Errorf("%v: %v", c.want, err)
		}
	}
}

// A sink that hangs costs its time limit; one that nobody listens at is away.
func TestAHangingReceiverAndNoReceiver(t *testing.T) {
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { <-done }))
	h := NewHTTP(HTTPConfig{Name: "index", URL: server.URL + "/secret-path", Timeout: 50 * time.Millisecond})
	var away *Away
	err := h.Send(context.Background(), message(t, "1.2.3", 1, "x"))
	if err == nil || errors.As(err, &away) || strings.Contains(err.Error(), "secret") {
		t.Errorf("it hangs: %v", err)
	}
	close(done)
	server.Close()
	if err := h.Send(context.Background(), message(t, "1.2.3", 1, "x")); !errors.As(err, &away) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
}

// The command in the documentation gives what a request is signed with.
func TestTheDocumentedCommandVerifiesASignature(t *testing.T) {
	for _, tool := range []string{"bash", "openssl", "xxd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	secret := "0123456789abcdef\x000123456789abcdef"
	for name, text := range map[string]string{"secret": secret + "\n", "body": "{\"a\":1}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := Signature([]byte(secret), 1795000000, strings.NewReader("{\"a\":1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, command, ok := strings.Cut(string(doc), "{ printf")
	command, _, _ = strings.Cut(command, "\n")
	if !ok {
		t.Fatal("the documentation has no command")
	}
	c := exec.Command("bash", "-c", "T=1795000000; { printf"+command)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), strings.TrimPrefix(want, "t=1795000000,v1=")) {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}
