package dimse

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A scripted peer: bytes in, bytes out, over net.Pipe in a synctest bubble, so
// that a wait of ten minutes takes no time and every duration is exact.

type pipeListener struct {
	conns  chan net.Conn // unbuffered: Accept takes what dial gives
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// bubble runs f with a server on a pipe listener, in virtual time, and checks
// that the server ends.
func bubble(t *testing.T, cfg ServerConfig, f func(t *testing.T, s *Server, l *pipeListener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, l := newTestServer(t, cfg), newPipeListener()
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l) }()
		defer func() { // also after t.Fatal
			s.Close()
			if err := <-ended; err != ErrServerClosed {
				t.Errorf("Serve returned %v", err)
			}
		}()
		f(t, s, l)
	})
}

type script struct {
	t    *testing.T
	conn net.Conn
}

func play(t *testing.T, l *pipeListener) *script {
	s := &script{t, l.dial()}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// send writes; a peer that has closed meanwhile shows when something is expected.
func (s *script) send(parts ...[]byte) *script {
	s.conn.SetWriteDeadline(time.Now().Add(time.Hour))
	s.conn.Write(slices.Concat(parts...))
	return s
}

// expect reads one PDU and checks its type; of short PDUs also what follows.
func (s *script) expect(kind byte, tail ...byte) []byte {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(time.Hour))
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(s.conn, head); err != nil {
		s.t.Fatalf("waiting for PDU type %02X: %v", kind, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[2:]))
	if _, err := io.ReadFull(s.conn, body); err != nil {
		s.t.Fatal(err)
	}
	if head[0] != kind || !bytes.HasSuffix(body, tail) {
		s.t.Fatalf("got PDU type %02X % X, want %02X ending in % X", head[0], body[:min(len(body), 16)], kind, tail)
	}
	return body
}

// expectResponse reads a DIMSE response and checks status, field and message ID.
func (s *script) expectResponse(field uint16, id uint16, want Status) command {
	s.t.Helper()
	body := s.expect(typeData)
	c, err := parseCommand(body[pdvHeader:])
	if err != nil || body[5] != isCommand|isLast {
		s.t.Fatal(c, err)
	}
	if c.uint16(tagCommandField) != field || c.uint16(tagRespondedTo) != id || Status(c.uint16(tagStatus)) != want || c.carriesData() {
		s.t.Fatalf("got %04X to message %d: %v, want %04X to %d: %v", c.uint16(tagCommandField), c.uint16(tagRespondedTo), Status(c.uint16(tagStatus)), field, id, want)
	}
	return c
}

// expectClosed checks that the server closes, and returns after how long.
func (s *script) expectClosed() time.Duration {
	s.t.Helper()
	start := time.Now()
	s.conn.SetReadDeadline(start.Add(time.Hour))
	if n, err := io.ReadFull(s.conn, make([]byte, 1)); err != io.EOF {
		s.t.Fatalf("got %d bytes, %v, want the end", n, err)
	}
	return time.Since(start)
}

func scriptRQ() []byte {
	return (&AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext,
		Contexts: []Proposal{{1, Verification, []string{ImplicitVRLE}}, {3, ctImage, []string{ExplicitVRLE}}, {5, ctImage, []string{jpegLossy}}},
		User:     UserInfo{MaxPDU: 16384, ImplementationClassUID: "2.25.3"}}).append(nil)
}

func pdv(context, control byte, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)+2))
	return append(append(b, context, control), data...)
}

func pdata(pdvs ...[]byte) []byte {
	body := slices.Concat(pdvs...)
	return append(binary.BigEndian.AppendUint32([]byte{typeData, 0}, uint32(len(body))), body...)
}

func echoCommand(id uint16) []byte {
	var c command
	c.setUID(tagAffectedClass, Verification)
	c.setUint16(tagCommandField, cEchoRQ)
	c.setUint16(tagMessageID, id)
	c.setUint16(tagDataSetType, noDataSet)
	return c.append(nil)
}

func storeCommand(id uint16, uid string) []byte {
	return StoreRequest{MessageID: id, SOPClassUID: ctImage, SOPInstanceUID: uid}.command().append(nil)
}

var (
	releaseRQ = shortPDU(typeReleaseRQ, 0, 0, 0)
	releaseRP = shortPDU(typeReleaseRP, 0, 0, 0)
	abortPDU  = shortPDU(typeAbort, 0, 0, 0)
)

func (s *script) associate() *script {
	s.t.Helper()
	s.send(scriptRQ()).expect(typeAC)
	return s
}

func (s *script) release() {
	s.t.Helper()
	s.send(releaseRQ).expect(typeReleaseRP)
	s.conn.Close()
}
