package forward

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edged/dimse"
)

// papers are a certificate of 127.0.0.1, which signs itself, and its key, as files.
func papers(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{{127, 0, 0, 1}}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key = write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, pool
}

// DCMTK's storescp with TLS, which demands our certificate: what came is there, unchanged.
func TestStorescpGetsTheBytesThatCameOverTLS(t *testing.T) {
	cert, key, pool := papers(t)
	ours, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	out, port := t.TempDir(), freePort(t)
	command(t, "storescp", "+tls", key, cert, "+cf", cert, "--require-peer-cert", "--bit-preserving", "+xa", "--unique-filenames", "--output-directory", out, fmt.Sprint(port))
	b := newBench(t, "vna")
	b.receive(small()...)
	d := NewCStore(CStoreConfig{Name: "vna", Address: fmt.Sprintf("127.0.0.1:%d", port), Called: "ARCHIVE", Calling: "HUBD",
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{ours}}})
	b.run(b.archived(len(b.data)), d)
	paths, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(paths) != len(b.data) {
		t.Fatalf("%d files, want %d (%v)", len(paths), len(b.data), err)
	}
	for _, path := range paths {
		b.oneOf(path)
	}
}

// Another's certificate, or one for another name: nothing is sent, no object is judged.
func TestAnArchiveWithAWrongCertificateGetsNothing(t *testing.T) {
	cert, key, pool := papers(t)
	_, _, others := papers(t)
	theirs, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*tls.Config{"another's": {RootCAs: others}, "for another name": {RootCAs: pool, ServerName: "vna.example.org"}} {
		b := newBench(t, "vna")
		b.receive(small()[:2]...)
		d := cstore(serveTLS(t, &archive{store: func(dimse.StoreRequest, []byte) dimse.Status { t.Error("it got an object"); return 0 }}, theirs))
		d.c.TLS = c
		f := b.run(func() bool { return strings.Contains(b.forwarder.Status()[0].Error, "certificate") }, d)
		if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Quarantined != 0 {
			t.Errorf("%s: %+v %+v", name, s, f.Status())
		}
	}
}

func serveTLS(t *testing.T, a *archive, cert tls.Certificate) string {
	t.Helper()
	c := dimse.ServerConfig{Handler: a, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"}
	if a.commit != nil {
		c.Commitment = a
	}
	s, err := dimse.NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return l.Addr().String()
}

// P4 over TLS: all of it was sent and the answer was lost; the duplicate is our own.
func TestDuplicateAfterALostAnswerOverTLSIsOurOwn(t *testing.T) {
	cert, key, pool := papers(t)
	theirs, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, "vna")
	b.receive(small()[0])
	var calls atomic.Int32
	d := cstore(serveTLS(t, &archive{store: func(dimse.StoreRequest, []byte) dimse.Status {
		if calls.Add(1) == 1 {
			panic("the archive crashes when it has the object")
		}
		return dimse.StatusDuplicateInstance
	}}, theirs))
	d.c.TLS = &tls.Config{RootCAs: pool}
	b.run(func() bool { s := b.stats(); return s.Backlog["vna"].Quarantined == 1 || s.Archived > 0 }, d)
	if s := b.stats(); s.Archived != 1 {
		t.Errorf("%+v", s)
	}
}

// The last fragment is seen when all of it has left, however it is cut into writes.
func TestTheLastFragmentIsSeenInPieces(t *testing.T) {
	pdu := func(kind, control byte, n int) []byte {
		b := binary.BigEndian.AppendUint32([]byte{kind, 0}, uint32(6+n))
		b = binary.BigEndian.AppendUint32(b, uint32(2+n))
		return append(append(b, 1, control), make([]byte, n)...)
	}
	before := append(append(pdu(4, 3, 50), pdu(4, 0, 20_000)...), pdu(5, 2, 0)[:6+4]...)
	binary.BigEndian.PutUint32(before[len(before)-8:], 4) // A-RELEASE-RQ: 4 reserved bytes
	last := pdu(4, 2, 100)
	for piece := 1; piece < 40; piece++ {
		w := &watched{Conn: discard{}}
		w.begin()
		write := func(b []byte) {
			for len(b) > 0 {
				n := min(piece, len(b))
				if _, err := w.Write(b[:n]); err != nil {
					t.Fatal(err)
				}
				b = b[n:]
			}
		}
		write(before)
		write(last[:len(last)-1])
		if w.sentAll() {
			t.Errorf("in pieces of %d: seen too early", piece)
		}
		if write(last[len(last)-1:]); !w.sentAll() {
			t.Errorf("in pieces of %d: not seen", piece)
		}
	}
}

type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return io.Discard.Write(b) }
