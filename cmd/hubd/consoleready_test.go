package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/internal/pglab"
	"edged/internal/s3lab"
)

// The sentence says what is away; when it is back so is the hub, as often as it likes.
func TestReadyFollowsWhatIsAway(t *testing.T) {
	d := newDesk(t)
	data := d.h.cfg.DataDir
	ready := func(want int, words string) {
		t.Helper()
		d.forget()
		w := d.ask("GET", "/readyz", "", "")
		if w.Code != want || !strings.Contains(w.Body.String(), words) {
			t.Errorf("got %d %s, want %d %q", w.Code, w.Body, want, words)
		}
	}
	for range 5 { // the directory is where free space is asked for: a disk that was taken away
		ready(http.StatusOK, "ready")
		away := filepath.Join(data, "objects")
		if err := os.Rename(away, away+".away"); err != nil {
			t.Fatal(err)
		}
		ready(http.StatusServiceUnavailable, "the storage of the objects does not answer, nothing new is received")
		if err := os.Rename(away+".away", away); err != nil {
			t.Fatal(err)
		}
	}
	d.h.absence.set(absentCut)
	ready(http.StatusServiceUnavailable, "the database does not answer")
	d.h.absence.end(absentCut)
	ready(http.StatusOK, "ready")
	if w := d.ask("GET", "/healthz", "", ""); w.Code != http.StatusOK {
		t.Errorf("alive: %d", w.Code)
	}
}

// forget lets the next request find out anew.
func (d *desk) forget() {
	for _, one := range []struct {
		mu *sync.Mutex
		at *time.Time
	}{{&d.h.desk.probe.mu, &d.h.desk.probe.at}, {&d.h.desk.readiness.mu, &d.h.desk.readiness.at}} {
		one.mu.Lock()
		*one.at = time.Time{}
		one.mu.Unlock()
	}
}

// soon asks until the hub is ready, or is not, with those words.
func (d *desk) soon(want int, words string) {
	d.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		d.forget()
		w := d.ask("GET", "/readyz", "", "")
		if w.Code == want && strings.Contains(w.Body.String(), words) {
			return
		}
		if time.Now().After(deadline) {
			d.Fatalf("got %d %s, want %d %q", w.Code, w.Body, want, words)
		}
	}
}

// Who has no token hears what is away and nothing else, and makes one question to the
// database a second of all that he asks.
func TestReadyTellsEverybodyTheClassAlone(t *testing.T) {
	driver := errors.New("failed to connect to `user=hubd database=region`: 10.1.2.3:5432 (pg1.example)")
	for _, class := range []error{errNoDatabase, errNoStorage, errNoBucket} {
		if got := classOf(fmt.Errorf("%w: %w", class, driver)); got != class {
			t.Errorf("got %v, want %v", got, class)
		}
	}
	if got := classOf(driver); strings.Contains(got.Error(), "10.1.2.3") {
		t.Errorf("says %v", got)
	}
	d := newDesk(t)
	away := filepath.Join(d.h.cfg.DataDir, "objects")
	d.must(os.Rename(away, away+".away"))
	if w := d.ask("GET", "/readyz", "", ""); w.Code != http.StatusServiceUnavailable || w.Body.String() != errNoStorage.Error()+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(d.logged.String(), "no such file or directory") {
		t.Errorf("the log does not say why:\n%s", d.logged)
	}
	d.must(os.Rename(away+".away", away))
	asked := d.h.desk.readiness.at
	for range 100 {
		d.ask("GET", "/readyz", "", "")
	}
	if again := d.h.desk.readiness.at; again != asked && again.Sub(asked) < readyFor {
		t.Errorf("asked again after %v", again.Sub(asked))
	}
}

// A database that goes away and comes back, more than once. Sessions outlive that.
func TestReadyFollowsTheDatabase(t *testing.T) {
	pg := pglab.New(t)
	url := pg.Database(t)
	d := newDesk(t, func(c *Config) { c.Database, c.Node = url, "n1" })
	b := d.logIn("viewer")
	for range 2 {
		d.soon(http.StatusOK, "ready")
		pg.Kill()
		d.soon(http.StatusServiceUnavailable, "the database does not answer")
		if w := d.ask("GET", "/readyz", "", ""); w.Body.String() != errNoDatabase.Error()+"\n" {
			t.Errorf("everybody hears what the driver says: %s", w.Body)
		}
		if w := b.do("GET", "/appliances", nil); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "session goes on") {
			t.Errorf("a page meanwhile: %d %s", w.Code, w.Body)
		}
		if w := d.ask("GET", "/metrics", "", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "\nhubd_ready 0\n") {
			t.Errorf("metrics meanwhile: %d", w.Code)
		}
		if err := pg.Start(); err != nil {
			t.Fatal(err)
		}
	}
	d.soon(http.StatusOK, "ready")
	if w := b.do("GET", "/appliances", nil); w.Code != http.StatusOK {
		t.Errorf("the session ended: %d", w.Code)
	}
}

// A bucket that goes away and comes back while nobody sends anything.
func TestReadyFollowsTheBucket(t *testing.T) {
	bucket := s3lab.Start(t)
	d := newDesk(t, func(c *Config) { c.Objects, c.ObjectsCredentials = bucket.URL(), bucket.Credentials(t) })
	for range 2 {
		d.soon(http.StatusOK, "ready")
		if err := bucket.Stop(); err != nil {
			t.Fatal(err)
		}
		d.soon(http.StatusServiceUnavailable, "the bucket of the objects takes nothing")
		if err := bucket.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	d.soon(http.StatusOK, "ready")
}

// A token does not go over a network in the clear without a word of warning.
func TestAConsoleForOthersWithoutTLSIsWarnedOf(t *testing.T) {
	for text, want := range map[string]bool{
		"console: {listen: ':8081'}": true, "console: {listen: '0.0.0.0:8081'}": true, "console: {listen: '10.0.0.1:8081'}": true,
		"console: {listen: '127.0.0.1:8081'}": false, "console: {listen: '[::1]:8081'}": false, "console: {listen: 'localhost:8081'}": false,
	} {
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := load(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(c.warnings(), "\n"), "tokens go over the network unencrypted"); got != want {
			t.Errorf("%s: warned is %t", text, got)
		}
	}
	for text, want := range map[string]string{
		"console: {tls: {cert: x.pem}}":               "console.tls: has one of cert and key",
		"console: {tls: {cert: /none/x, key: /none}}": "console.tls: open /none/x",
	} {
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// writePair writes a certificate for 127.0.0.1, and returns its serial number.
func writePair(t *testing.T, dir string) (ConsoleTLS, string) {
	t.Helper()
	files := ConsoleTLS{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	cert, key, serial := selfSigned(t)
	for name, text := range map[string][]byte{files.Cert: cert, files.Key: key} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files, serial
}

// The console speaks TLS with the files as they are now: a renewal needs no restart,
// and one that is half done is waited for.
func TestTheConsolesCertificateIsRenewedWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	files, first := writePair(t, dir)
	p := &pair{files: files}
	got := func() string {
		t.Helper()
		p.looked = time.Time{}
		c, err := p.certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.String()
	}
	if got() != first {
		t.Error("not the first")
	}
	later := time.Now().Add(time.Hour)
	_, second := writePair(t, dir)
	old, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chtimes(files.Cert, later, later)
	if got() != first {
		t.Error("half a renewal is used")
	}
	if err := os.WriteFile(files.Key, old, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chtimes(files.Key, later, later)
	if got() != second {
		t.Error("the renewed one is not used")
	}
}

// Over TLS the cookie is one that is only ever sent over TLS.
func TestTheConsoleServesTLS(t *testing.T) {
	files, _ := writePair(t, t.TempDir())
	d := newDesk(t, func(c *Config) { c.Console.TLS = files })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveHTTP(ctx, d.h.console, d.h.consoleListener) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // who it is was tested above
	rs, err := client.Get("https://" + d.h.consoleListener.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(rs.Body)
	rs.Body.Close()
	if string(text) != "alive\n" {
		t.Errorf("got %q", text)
	}
	if b := d.logIn("viewer"); !strings.HasPrefix(b.cookie, "__Host-hubd=") {
		t.Errorf("cookie %q", b.cookie)
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func selfSigned(t *testing.T) (cert, key []byte, serial string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: n, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), n.String()
}
