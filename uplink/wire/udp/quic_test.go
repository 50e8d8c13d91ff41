//go:build linux

package udp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

const alpn = "bytes"

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// The peer is the test itself; what is tried is the socket.
func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}
}

// A lane is one connection with a socket of its own, as the uplink has them.
func lane(ctx context.Context, t testing.TB, pc net.PacketConn, hub net.Addr) (*quic.Conn, func()) {
	t.Helper()
	transport := &quic.Transport{Conn: pc}
	conn, err := transport.Dial(ctx, hub, clientTLS(), windows)
	if err != nil {
		t.Fatal(err)
	}
	return conn, func() { conn.CloseWithError(0, ""); transport.Close() }
}

// windows are those of hub/receive.
var windows = &quic.Config{
	InitialStreamReceiveWindow: 2 << 20, MaxStreamReceiveWindow: 8 << 20,
	InitialConnectionReceiveWindow: 3 << 20, MaxConnectionReceiveWindow: 16 << 20,
	MaxIncomingUniStreams: 6, MaxIdleTimeout: 20 * time.Second,
}

// quic-go takes the socket, sends trains by GSO, is given trains by GRO, finds the
// path's datagram, and every byte arrives, over several lanes to one socket.
func TestQUICOverIt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	hub := listen(t, "udp", "127.0.0.1:0", Options{})
	needGRO(t, hub)
	hub.SetDeadline(time.Time{})
	server := &quic.Transport{Conn: hub}
	listener, err := server.Listen(&tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{alpn}}, windows)
	if err != nil {
		t.Fatal(err)
	}
	const lanes = 3
	data := bytesOf(3, 8<<20)
	sums := make(chan [32]byte, lanes)
	for range lanes {
		pc := listen(t, "udp", ":0", Options{DSCP: 10})
		pc.SetDeadline(time.Time{})
		conn, closeLane := lane(ctx, t, pc, hub.LocalAddr())
		defer closeLane()
		accepted, err := listener.Accept(ctx)
		if err != nil {
			t.Fatal(err)
		}
		go func() { sums <- sumOf(ctx, accepted) }()
		stream, err := conn.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(stream, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		stream.Close()
		if got := <-sums; got != sha256.Sum256(data) {
			t.Fatal("what arrived is not what was sent")
		}
		s := pc.Stats()
		if s.Sent < 4*s.Writes || s.Datagram < 1400 {
			t.Errorf("GSO was not used: %d datagrams in %d writes of %d bytes each", s.Sent, s.Writes, s.Datagram)
		}
	}
	if s := hub.Stats(); s.Received < 2*s.Reads || s.Dropped > 0 {
		t.Errorf("GRO was not used: %d datagrams in %d reads, %d dropped", s.Received, s.Reads, s.Dropped)
	} else {
		t.Logf("%.1f datagrams a read", float64(s.Received)/float64(s.Reads))
	}
	listener.Close()
	server.Close()
	for range 2 { // closing again says so, and nothing hangs
		hub.Close()
	}
}

func sumOf(ctx context.Context, conn *quic.Conn) (sum [32]byte) {
	stream, err := conn.AcceptUniStream(ctx)
	if err != nil {
		return sum
	}
	h := sha256.New()
	if _, err := io.Copy(h, stream); err == nil {
		h.Sum(sum[:0])
	}
	return sum
}
