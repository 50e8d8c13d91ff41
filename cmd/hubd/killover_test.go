package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"edged/internal/pglab"
	"edged/internal/s3lab"
)

// stepsOver are those of one object through a hub whose rows are in PostgreSQL and whose
// objects are in a bucket. Here the hub is killed by who stands between: before the
// request that would do the next step goes on, or when it is done and nobody has heard.
var stepsOver = []struct {
	done string
	arm  func(*killed, *between, func())
}{
	{"object written", before("put")},
	{"object in the bucket", after("put")},
	{"rows written", before("receive")},
	{"rows committed", after("receive")},
	{"receipt said", func(k *killed, _ *between, kill func()) { k.inReceipt(kill) }},
	{"job leased", after("lease")},
	{"sent to the archive", func(k *killed, _ *between, kill func()) { k.inStore(kill) }},
	{"taken by the archive", before("done")},
	{"confirmation written", before("archived")},
	{"confirmation committed", after("archived")},
	{"archived told", before("told")},
	{"archived acknowledged", after("told")},
}

// transactions are told apart by a statement that only they have.
var transactions = map[string]string{
	"receive":  "INSERT INTO receipts",
	"lease":    "UPDATE jobs SET state = 'leased'",
	"done":     "UPDATE jobs SET state = 'done'",
	"archived": "UPDATE objects SET archived_at = ",
	"told":     "DELETE FROM confirmations WHERE device",
}

func before(point string) func(*killed, *between, func()) {
	return func(_ *killed, b *between, kill func()) { b.arm(point, kill) }
}

func after(point string) func(*killed, *between, func()) { return before(point + ", done") }

// The same as TestKilledAtEachStep, where the hub keeps nothing itself but what has not
// come whole. The steps of a delivery to a folder are those of its own disk.
func TestKilledAtEachStepOverPostgreSQLAndABucket(t *testing.T) {
	rows, bucket := pglab.Start(t), s3lab.Start(t)
	b := newBetween(t, rows, bucket)
	k := newKilledOver(t, rows, bucket, b)
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("HUB_KILLS")); err == nil {
		rounds = n
	}
	_, noStrace := exec.LookPath("strace")
	for range rounds {
		for i := range stepsOver {
			k.killOver(i, b)
		}
		for _, done := range []string{"delivery synced", "delivery named"} {
			i := slices.IndexFunc(steps, func(s step) bool { return s.done == done })
			for had, try := k.hits[done], 0; noStrace == nil && k.hits[done] == had; try++ {
				if try == tries {
					t.Fatalf("%q was not hit, the last kill was at %q", done, k.at)
				}
				k.killAt(i)
			}
		}
	}
	k.allArchived()
	for done, n := range k.hits {
		t.Logf("%3d kills when %s", n, done)
	}
}

// killOver offers an object to a hub that is killed at a step.
func (k *killed) killOver(i int, b *between) {
	k.Helper()
	k.start()
	awaitThat(k.T, "the appliance to be connected", func() bool { return k.up.Status().Connected })
	var hit atomic.Bool
	dies := k.hub.Process
	stepsOver[i].arm(k, b, func() {
		hit.Store(true)
		dies.Kill()
	})
	k.offer(1)
	k.died()
	if !hit.Load() {
		k.Fatalf("the hub ended before %q", stepsOver[i].done)
	}
	k.hits[stepsOver[i].done]++
	k.mustHold()
}

// between stands between a hub and its PostgreSQL and S3 server. It passes everything on,
// until somebody is to be killed at a point.
type between struct {
	s3 string // HOST:PORT
	pg string
	to string // the real PostgreSQL

	all sync.WaitGroup

	mu     sync.Mutex // guards what follows
	points map[string]func()
}

func newBetween(t *testing.T, rows string, bucket *s3lab.Bucket) *between {
	t.Helper()
	u, err := url.Parse(rows)
	if err != nil {
		t.Fatal(err)
	}
	b := &between{to: u.Host, points: map[string]func(){}}
	proxy := httptest.NewServer(b.bucketProxy(bucket.Endpoint))
	t.Cleanup(proxy.Close)
	b.s3 = proxy.Listener.Addr().String()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.pg = l.Addr().String()
	b.all.Go(func() { b.accept(l) })
	t.Cleanup(func() { // the hub has ended
		l.Close()
		b.all.Wait()
	})
	return b
}

// rows is the URL by way of it.
func (b *between) rows(url string) string { return strings.Replace(url, b.to, b.pg, 1) }

func (b *between) arm(point string, kill func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.points[point] = kill
}

// hit kills who is to be killed at the point, once.
func (b *between) hit(point string) bool {
	b.mu.Lock()
	kill := b.points[point]
	delete(b.points, point)
	b.mu.Unlock()
	if kill != nil {
		kill()
	}
	return kill != nil
}

// bucketProxy has the signature of requests hold: it keeps their Host.
func (b *between) bucketProxy(to string) http.Handler {
	isObject := func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/objects/")
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", to },
		ModifyResponse: func(answer *http.Response) error {
			if answer.StatusCode == http.StatusOK && isObject(answer.Request) && b.hit("put, done") {
				panic(http.ErrAbortHandler)
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isObject(r) && b.hit("put") {
			panic(http.ErrAbortHandler)
		}
		p.ServeHTTP(w, r)
	})
}

func (b *between) accept(l net.Listener) {
	for {
		hub, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", b.to)
		if err != nil {
			hub.Close()
			continue
		}
		s := &pgSession{between: b, hub: hub, server: server, statements: map[string]string{}}
		b.all.Go(s.forth)
		b.all.Go(s.back)
	}
}

// pgSession is one connection of the hub to PostgreSQL, in its protocol, version 3: a letter,
// a length that counts itself and not the letter, and so many bytes.
type pgSession struct {
	*between
	hub, server net.Conn
	statements  map[string]string // by the name under which they were prepared
	said        []string          // in this transaction

	mu    sync.Mutex // guards what follows
	await []string   // points that are reached when the server says COMMIT
}

func (s *pgSession) end() {
	s.hub.Close()
	s.server.Close()
}

// forth passes what the hub says, until it is killed.
func (s *pgSession) forth() {
	defer s.end()
	r := bufio.NewReader(s.hub)
	first, err := body(r) // has no letter
	if err == nil {
		_, err = s.server.Write(first)
	}
	for err == nil {
		var kind byte
		var whole []byte
		if kind, whole, err = message(r); err != nil {
			return
		}
		if s.listen(kind, whole[5:]) {
			return
		}
		_, err = s.server.Write(whole)
	}
}

// listen reports whether the hub is killed before the server hears this.
func (s *pgSession) listen(kind byte, b []byte) bool {
	text := ""
	switch kind {
	case 'P': // name, statement
		name, rest, _ := bytes.Cut(b, []byte{0})
		statement, _, _ := bytes.Cut(rest, []byte{0})
		s.statements[string(name)] = string(statement)
		return false
	case 'B': // portal, name of the statement
		_, rest, _ := bytes.Cut(b, []byte{0})
		name, _, _ := bytes.Cut(rest, []byte{0})
		text = s.statements[string(name)]
	case 'Q':
		text = string(bytes.TrimSuffix(b, []byte{0}))
	default:
		return false
	}
	if strings.HasPrefix(text, "BEGIN") {
		s.said = nil
	}
	s.said = append(s.said, text)
	if text != "COMMIT" {
		return false
	}
	for point, sign := range transactions {
		if !slices.ContainsFunc(s.said, func(t string) bool { return strings.Contains(t, sign) }) {
			continue
		}
		if s.hit(point) {
			return true
		}
		s.mu.Lock()
		s.await = append(s.await, point+", done")
		s.mu.Unlock()
	}
	return false
}

// back passes what the server answers, until the hub is killed.
func (s *pgSession) back() {
	defer s.end()
	r := bufio.NewReader(s.server)
	for {
		kind, whole, err := message(r)
		if err != nil {
			return
		}
		if kind == 'C' && string(whole[5:]) == "COMMIT\x00" && s.committed() {
			return
		}
		if _, err := s.hub.Write(whole); err != nil {
			return
		}
	}
}

func (s *pgSession) committed() bool {
	s.mu.Lock()
	points := s.await
	s.await = nil
	s.mu.Unlock()
	return slices.ContainsFunc(points, s.hit)
}

func message(r *bufio.Reader) (kind byte, whole []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	b, err := body(r)
	return kind, append([]byte{kind}, b...), err
}

// body is a length and what follows it.
func body(r *bufio.Reader) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, max(4, binary.BigEndian.Uint32(n[:]))) // our own peers say it
	copy(b, n[:])
	_, err := io.ReadFull(r, b[4:])
	return b, err
}
