package dimse

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
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
	s := newTestServer(t, ServerConfig{Handler: k, Admit: admit, ARTIM: 2 * time.Second})
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
