package s3lab

import (
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Fault is how a request ends that does not end well.
type Fault struct {
	Status int    // of the answer, which the server never saw the request of
	Code   string // of S3; if empty, the answer is no answer of S3
	Cut    bool   // the connection is cut after the server has done it, before it has answered
	Half   bool   // the connection is cut in the middle of the server's answer
}

// What S3 servers answer when they cannot.
var (
	Full         = Fault{Status: http.StatusInsufficientStorage, Code: "XMinioStorageFull"}
	Quota        = Fault{Status: http.StatusForbidden, Code: "QuotaExceeded"}
	SlowDown     = Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
	Broken       = Fault{Status: http.StatusInternalServerError, Code: "InternalError"}
	Denied       = Fault{Status: http.StatusForbidden, Code: "AccessDenied"}
	NotTheServer = Fault{Status: http.StatusNotFound}
	DoneButCut   = Fault{Cut: true}
	HalfAnswer   = Fault{Half: true}
)

// Which tells the requests that a fault is for.
type Which func(*http.Request) bool

// Everything is all requests, Writes those that store something.
func Everything(*http.Request) bool { return true }
func Writes(r *http.Request) bool {
	return r.Method == http.MethodPut || r.Method == http.MethodPost
}

// Reads are those that ask for an object's bytes.
func Reads(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.RawQuery == ""
}

// Parts are those that store a part of a multipart upload, Completes those that end one.
func Parts(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}
func Completes(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// Proxy stands before a server.
type Proxy struct {
	*Bucket // with the Endpoint of the proxy
	to      *httputil.ReverseProxy

	mu     sync.Mutex // guards what follows
	fault  Fault
	which  Which
	times  int // the fault is still to happen
	before func(*http.Request)
	seen   []string

	passes      Which // what RefuseAfter is about
	left, under int   // of those: that may still begin, that have not ended
	then        func()
	healed      chan struct{}
}

// Proxy makes b reachable at another address, where requests may fail.
func (b *Bucket) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p := b.newProxy()
	p.listen(t, httptest.NewServer(p))
	return p
}

// ProxyTLS is Proxy with a certificate, and the file of its CA.
func (b *Bucket) ProxyTLS(t testing.TB) (p *Proxy, ca string) {
	t.Helper()
	p = b.newProxy()
	s := httptest.NewTLSServer(p)
	p.listen(t, s)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return p, ca
}

func (p *Proxy) listen(t testing.TB, s *httptest.Server) {
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	p.Endpoint = s.Listener.Addr().String()
}

func (b *Bucket) newProxy() *Proxy {
	other := *b
	return &Proxy{Bucket: &other, to: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { // the Host stays, it is signed
			r.Out.URL.Scheme, r.Out.URL.Host = "http", b.Endpoint
			r.Out.URL.RawQuery = r.In.URL.RawQuery
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
}

// Refuse lets the requests that which tells fail until Heal.
func (p *Proxy) Refuse(f Fault, which Which) { p.RefuseTimes(1<<30, f, which) }

// RefuseTimes lets the next n requests that which tells fail.
func (p *Proxy) RefuseTimes(n int, f Fault, which Which) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.which, p.times = f, which, n
}

// RefuseAfter lets n of the requests that which tells pass to their end, calls then, and
// holds those that come until Heal; after that they are cut.
func (p *Proxy) RefuseAfter(n int, then func(), which Which) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.then, p.passes, p.healed = n, then, which, make(chan struct{})
}

// Heal ends all faults.
func (p *Proxy) Heal() {
	p.RefuseTimes(0, Fault{}, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.healed != nil {
		close(p.healed)
		p.passes, p.healed = nil, nil
	}
}

// pass reports whether the request may go on, and has done called when it has ended.
func (p *Proxy) pass(r *http.Request) (ok bool, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passes == nil || !p.passes(r) {
		return true, func() {}
	}
	if p.left == 0 {
		healed := p.healed
		return false, func() { <-healed }
	}
	p.left--
	p.under++
	return true, func() {
		p.mu.Lock()
		p.under--
		last := p.left == 0 && p.under == 0
		p.mu.Unlock()
		if last {
			p.then()
		}
	}
}

// Before has f called with each request before anything is done with it; it may wait.
func (p *Proxy) Before(f func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = f
}

// Requests are those that came since it was asked last, as "METHOD PATH?QUERY".
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

func (p *Proxy) decide(r *http.Request) (Fault, bool, func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.URL.RequestURI())
	if p.times == 0 || !p.which(r) {
		return Fault{}, false, p.before
	}
	p.times--
	return p.fault, true, p.before
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, bad, before := p.decide(r)
	if before != nil {
		before(r)
	}
	ok, ended := p.pass(r)
	defer ended()
	if !ok {
		ended()
		panic(http.ErrAbortHandler)
	}
	switch {
	case !bad:
		p.to.ServeHTTP(w, r)
	case f.Cut:
		// What the client does about the cut must not take back what the server does.
		p.to.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		panic(http.ErrAbortHandler)
	case f.Half:
		answer := httptest.NewRecorder()
		p.to.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
		panic(http.ErrAbortHandler)
	default:
		body := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>by the proxy</Message></Error>`, f.Code)
		if f.Code == "" {
			body = "<html>nothing here</html>"
		}
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(body)) // the client may be gone
	}
}
