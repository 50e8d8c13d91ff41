package dimse

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"pacs"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestTLS: a TLS listener is a listener; Admit sees the client's certificate; a
// plain sender on the TLS port gets nowhere, a TLS hello on the plain port too.
func TestTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	k := &keeper{}
	admit := func(p Peer) *Reject {
		if p.TLS == nil || len(p.TLS.PeerCertificates) != 1 {
			return &RejectCalling
		}
		return nil
	}
	s := newTestServer(t, ServerConfig{Handler: k, Admit: admit})
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	defer func() { s.Close(); <-ended }()
	_, port, _ := net.SplitHostPort(l.Addr().String())

	cfg := clientConfig(port, ctProposal)
	cfg.TLS = &tls.Config{RootCAs: pool, ServerName: "pacs", Certificates: []tls.Certificate{cert}}
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	data := strings.Repeat("over TLS ", 100000)
	if rsp, err := c.Store(t.Context(), ctStore, strings.NewReader(data)); err != nil || rsp.Status != StatusSuccess {
		t.Errorf("store: %v, %v", rsp, err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if got := k.all(); len(got) != 1 || string(got[0].data) != data {
		t.Errorf("%d instances arrived, or altered", len(got))
	}
	if _, err := Dial(t.Context(), clientConfig(port, ctProposal)); err == nil {
		t.Error("an association without TLS was accepted on the TLS port")
	}
	_, plain := serveTCP(t, ServerConfig{Handler: k})
	cfg.Address = "127.0.0.1:" + plain
	if _, err := Dial(t.Context(), cfg); err == nil {
		t.Error("TLS was accepted on the plain port")
	}
}

// rationed is a transport whose reader takes so many bytes a second, once it began.
type rationed struct {
	net.Conn
	rate, left int // 0: as many as there are
}

func (r *rationed) Read(p []byte) (int, error) {
	if r.rate == 0 {
		return r.Conn.Read(p)
	}
	if r.left == 0 {
		time.Sleep(time.Second)
		r.left = r.rate
	}
	n, err := r.Conn.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// countedConn counts the writes, and ends a loop that does not.
type countedConn struct {
	net.Conn
	writes int
}

func (c *countedConn) Write(p []byte) (int, error) {
	if c.writes++; c.writes > 10_000 {
		panic("it spins")
	}
	return c.Conn.Write(p)
}

// secured is a TLS connection whose peer reads at a rate, after the handshake.
func secured(t *testing.T, rate int) *tls.Conn {
	cert, pool := selfSigned(t)
	ours, theirs := net.Pipe()
	raw, ended := &rationed{Conn: theirs}, make(chan struct{})
	go func() {
		defer close(ended)
		peer := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
		peer.Write([]byte{1})
		raw.rate = rate
		io.Copy(io.Discard, peer)
	}()
	conn := tls.Client(ours, &tls.Config{RootCAs: pool, ServerName: "pacs"})
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close(); <-ended })
	return conn
}

// TestPaceOverTLS: over TLS, where a write that ran out of time cannot be gone on
// with, a peer a little faster than the floor lives, in PDUs of any size; one a
// little slower, and one that takes nothing, are gone after one stall, and nobody
// spins meanwhile.
func TestPaceOverTLS(t *testing.T) {
	const second = defaultFloor / 60
	for _, size := range []int{3000, 100 << 10, 1 << 20} {
		for rate, lives := range map[int]bool{second * 106 / 100: true, second * 97 / 100: false, 1: false} {
			synctest.Test(t, func(t *testing.T) {
				conn := secured(t, rate)
				w, counted := newWire(conn, time.Minute, time.Minute), &countedConn{Conn: conn}
				w.conn = counted
				total, began := 0, time.Now()
				var err error
				for total < 512<<10 && err == nil {
					var n int
					n, err = w.Write(make([]byte, size))
					total += n
				}
				took := time.Since(began)
				if lives && (err != nil || w.torn) {
					t.Errorf("PDUs of %d, %d bytes a second: %v after %d bytes and %v", size, rate, err, total, took)
				}
				if !lives && (err != ErrTimeout || !w.torn || took > time.Minute+time.Second) {
					t.Errorf("PDUs of %d, %d bytes a second: %v, torn %v, after %d bytes and %v", size, rate, err, w.torn, total, took)
				}
				if most := 2 * (total/min(size, tlsRecord) + 2); counted.writes > most {
					t.Errorf("PDUs of %d, %d bytes a second: %d writes for %d bytes", size, rate, counted.writes, total)
				}
			})
		}
	}
}
