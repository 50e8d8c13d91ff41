package syslog5424

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Valid in the year 2000 too, where time begins in a bubble of synctest.
var notBefore, notAfter = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	c := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), notBefore, notAfter
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) server(t *testing.T) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.issue(t, &x509.Certificate{DNSNames: []string{"logs.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})}}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// receiver is a syslog receiver that keeps what it hears. How each connection goes on
// after its handshake is manners; nil: it reads to the end and answers it.
type receiver struct {
	net.Listener
	manners func(n int, c *tls.Conn, heard func(string))

	mu     sync.Mutex
	got    []string
	errs   []error
	served int
	came   chan struct{} // something changed
}

func listen(t *testing.T, config *tls.Config, manners func(n int, c *tls.Conn, heard func(string))) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{Listener: l, manners: manners, came: make(chan struct{}, 1)}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.serve(n, c, config)
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return r
}

func (r *receiver) serve(n int, raw net.Conn, config *tls.Config) {
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(time.Minute))
	c := tls.Server(raw, config)
	err := c.Handshake()
	if err == nil {
		if r.manners != nil {
			r.manners(n, c, r.heard)
		} else {
			readAll(c, r.heard)
			_ = c.Close()
		}
	}
	r.mu.Lock()
	r.served++
	if err != nil {
		r.errs = append(r.errs, err)
	}
	r.mu.Unlock()
	r.tell()
}

func readAll(c net.Conn, heard func(string)) {
	for b := bufio.NewReader(c); ; {
		m, err := unframe(b)
		if err != nil {
			return
		}
		heard(m)
	}
}

func (r *receiver) heard(m string) {
	r.mu.Lock()
	r.got = append(r.got, m[strings.Index(m, "\ufeff")+len("\ufeff"):])
	r.mu.Unlock()
	r.tell()
}

func (r *receiver) tell() {
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// state is what was heard, and on how many connections that have ended.
func (r *receiver) state() (got []string, served int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got), r.served
}

// until waits at most a minute for something to become true of the receiver.
func (r *receiver) until(t *testing.T, what string, is func(got []string, served int) bool) {
	t.Helper()
	for end := time.After(time.Minute); ; {
		r.mu.Lock()
		ok := is(r.got, r.served)
		got, errs := r.got, r.errs
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.came:
		case <-end:
			t.Fatalf("never %s: heard %q, errors %v", what, got, errs)
		}
	}
}
