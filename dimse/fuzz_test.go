package dimse

import (
	"bytes"
	"context"
	"io"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"
)

// FuzzAssociateRQ: no input panics, and what was understood is understood the
// same after it was written again.
func FuzzAssociateRQ(f *testing.F) {
	f.Add(fullRequest().append(nil)[headerSize:])
	f.Add(scriptRQ()[headerSize:])
	f.Fuzz(func(t *testing.T, b []byte) {
		rq, err := parseAssociateRQ(b)
		if err != nil {
			return
		}
		again, err := parseAssociateRQ(rq.append(nil)[headerSize:])
		if err != nil || !reflect.DeepEqual(again, rq) {
			t.Errorf("got %+v, %v, want %+v", again, err, rq)
		}
		ac, reject := Negotiate(rq, Peer{}, Policy{ImplementationClassUID: testUID})
		if (ac == nil) == (reject == nil) {
			t.Errorf("got %v and %v, want exactly one", ac, reject)
		}
	})
}

// FuzzAssociateAC: the same for the answer, and joining it with a proposal.
func FuzzAssociateAC(f *testing.F) {
	ac, _ := Negotiate(fullRequest(), Peer{}, Policy{ImplementationClassUID: testUID})
	f.Add(ac.append(nil)[headerSize:])
	f.Fuzz(func(t *testing.T, b []byte) {
		ac, err := parseAssociateAC(b)
		if err != nil {
			return
		}
		for i := range ac.Contexts {
			if c := &ac.Contexts[i]; c.Result != ContextAccepted && c.TransferSyntax != "" {
				t.Errorf("a refused context has a transfer syntax: %+v", c)
			}
		}
		again, err := parseAssociateAC(ac.append(nil)[headerSize:])
		if err != nil || !reflect.DeepEqual(again, ac) {
			t.Errorf("got %+v, %v, want %+v", again, err, ac)
		}
		agreed(fullRequest().Contexts, ac.Contexts)
	})
}

// FuzzUserInfo: the sub-items alone.
func FuzzUserInfo(f *testing.F) {
	u := fullRequest().User
	f.Add(u.append(nil)[4:])
	f.Add([]byte{userRole, 0, 0, 1, 9, userIdentity, 0, 0, 3, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := parseUserInfo(b)
		if err != nil || len(b) > 30000 {
			return
		}
		again, err := parseUserInfo(u.append(nil)[4:])
		if err != nil || !reflect.DeepEqual(again, u) {
			t.Errorf("got %+v, %v, want %+v", again, err, u)
		}
	})
}

// FuzzCommand: no input panics; what was understood survives being written.
func FuzzCommand(f *testing.F) {
	f.Add(storeCommand(1, "2.25.1"))
	f.Add(echoCommand(2))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCommand(b)
		if err != nil {
			return
		}
		storeRequest(c, Context{})
		c.carriesData()
		sorted := c.append(nil)
		again, err := parseCommand(sorted)
		if err != nil || len(again) != len(c) || !bytes.Equal(again.append(nil), sorted) {
			t.Errorf("got %v, %v, want %v", again, err, c)
		}
	})
}

// byteConn is a connection that has received b and then its end, and takes
// what is written.
type byteConn struct {
	bytes.Reader
	closed bool
}

func newByteConn(b []byte) *byteConn {
	c := &byteConn{}
	c.Reset(b)
	return c
}

func (c *byteConn) WriteTo(io.Writer) (int64, error) { panic("not used") }
func (c *byteConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *byteConn) Close() error                     { c.closed = true; return nil }
func (c *byteConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *byteConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *byteConn) SetDeadline(time.Time) error      { return nil }
func (c *byteConn) SetReadDeadline(time.Time) error  { return nil }
func (c *byteConn) SetWriteDeadline(time.Time) error { return nil }

// FuzzServe: whatever a peer sends, the connection ends closed, its slot is
// free, and no handler saw an end of an object that was not the end.
func FuzzServe(f *testing.F) {
	store := pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(3, 0, []byte("half")), pdv(3, isLast, []byte("half")))
	f.Add(slices.Concat(scriptRQ(), store, pdata(pdv(1, isCommand|isLast, echoCommand(8))), releaseRQ))
	f.Add(slices.Concat(scriptRQ(), store[:len(store)-10], abortPDU))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var kept int64
		h := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
			n, err := io.Copy(io.Discard, data)
			if err != nil {
				return StatusProcessingFailure
			}
			kept += n
			return StatusSuccess
		})
		s := newTestServer(t, ServerConfig{Handler: h, ReadBuffer: 512})
		conn := newByteConn(b)
		c := s.admitConnection(conn)
		s.run(c)
		if !conn.closed || s.Established() != 0 || len(s.live) != 0 || len(s.crowd.waiting) != 0 {
			t.Errorf("closed %v, %d established, %d live, %d waiting", conn.closed, s.Established(), len(s.live), len(s.crowd.waiting))
		}
		if kept > int64(len(b)) {
			t.Errorf("%d bytes kept of %d received", kept, len(b))
		}
	})
}

// FuzzClient: whatever an archive answers, a store ends and the connection is closed.
func FuzzClient(f *testing.F) {
	ac, _ := Negotiate(&AssociateRQ{ProtocolVersion: 1, ApplicationContext: ApplicationContext, Contexts: []Proposal{ctProposal}}, Peer{}, Policy{ImplementationClassUID: testUID})
	f.Add(slices.Concat(ac.append(nil), answerStore(1, StatusSuccess, "fine"), releaseRP))
	f.Add(slices.Concat(ac.append(nil), releaseRQ))
	f.Add(shortPDU(typeRJ, 1, 1, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := newByteConn(b)
		cfg := clientConfig("1", ctProposal)
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		c, err := Dial(t.Context(), cfg)
		if err == nil {
			c.Store(t.Context(), ctStore, bytes.NewReader([]byte("data")))
			c.Release(t.Context())
		}
		if !conn.closed {
			t.Error("the connection is open")
		}
	})
}
