package dimse

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// drip sends b at a pace, some bytes each second, until all is out or the other
// side does not take it any more.
func drip(conn net.Conn, b []byte, each int) (sent int) {
	for sent < len(b) {
		time.Sleep(time.Second)
		conn.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := conn.Write(b[sent:min(sent+each, len(b))])
		if sent += n; err != nil {
			break
		}
	}
	return sent
}

// TestOneByteASecondDies: wherever in the conversation a peer begins to drip,
// it is gone about a minute later, half a minute before it has an association.
func TestOneByteASecondDies(t *testing.T) {
	cmd := pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")))
	for name, c := range map[string]struct {
		fast []byte
		want time.Duration
	}{
		"request":          {nil, 30 * time.Second},
		"header":           {scriptRQ(), time.Minute},
		"command":          {slices.Concat(scriptRQ(), cmd[:12]), time.Minute},
		"data set":         {slices.Concat(scriptRQ(), cmd), time.Minute},
		"second message":   {slices.Concat(scriptRQ(), pdata(pdv(1, isCommand|isLast, echoCommand(1)))), time.Minute},
		"behind a release": {slices.Concat(scriptRQ(), releaseRQ), 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, ServerConfig{Handler: &keeper{}}, func(t *testing.T, srv *Server, l *pipeListener) {
				conn := l.dial()
				defer conn.Close()
				go io.Copy(io.Discard, conn)
				conn.Write(c.fast)
				synctest.Wait()
				began := time.Now()
				slow := pdata(pdv(3, isCommand, slices.Repeat([]byte{0}, 300)))
				switch {
				case c.fast == nil:
					slow = scriptRQ()
				case name == "command":
					slow = cmd[12:]
				case name == "data set":
					slow = pdata(pdv(3, isLast, make([]byte, 300)))
				}
				sent := drip(conn, slow, 1)
				took := time.Since(began)
				if sent == len(slow) {
					t.Errorf("all %d bytes were taken in %v", sent, took)
				}
				if took < c.want || took > c.want+5*time.Second {
					t.Errorf("gone after %v and %d bytes, want %v", took, sent, c.want)
				}
				time.Sleep(time.Minute) // what is left of the connection
				synctest.Wait()
				if n := srv.Established(); n != 0 || len(srv.live) != 0 {
					t.Errorf("%d slots, %d connections are left", n, len(srv.live))
				}
			})
		})
	}
}

// TestSlowLineLives: 20 KiB/s is an honest line. An object of 8 MiB comes over
// it in seven minutes, in PDUs of any size; in tiny ones, let it be a smaller one.
func TestSlowLineLives(t *testing.T) {
	for fragment, size := range map[int]int{100: 2 << 20, 16 << 10: 8 << 20, 1 << 20: 8 << 20} {
		k := &counting{}
		bubble(t, ServerConfig{Handler: k}, func(t *testing.T, _ *Server, l *pipeListener) {
			s := play(t, l).associate()
			b := bytes.Repeat(pdata(pdv(3, 0, make([]byte, fragment))), size/fragment)
			s.send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1"))))
			if sent := drip(s.conn, b, 20<<10); sent != len(b) {
				t.Fatalf("fragments of %d: cut off after %d of %d bytes", fragment, sent, len(b))
			}
			s.send(pdata(pdv(3, isLast, nil))).expectResponse(0x8001, 7, StatusSuccess)
			s.release()
		})
		if want := int64(size / fragment * fragment); k.bytes != want {
			t.Errorf("fragments of %d: %d bytes arrived, want %d", fragment, k.bytes, want)
		}
	}
}

// counting is a Handler that counts the bytes of objects.
type counting struct{ bytes int64 }

func (k *counting) Echo(context.Context, *Association) Status { return StatusSuccess }

func (k *counting) Store(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
	n, err := io.Copy(io.Discard, data)
	k.bytes += n
	if err != nil {
		return StatusProcessingFailure
	}
	return StatusSuccess
}

// TestIdleIsNotSlow: between messages a peer may be silent for ten minutes, and
// what it waited before one message does not count against the next.
func TestIdleIsNotSlow(t *testing.T) {
	bubble(t, ServerConfig{Handler: &keeper{}}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).associate()
		echo := pdata(pdv(1, isCommand|isLast, echoCommand(8)))
		for range 20 {
			time.Sleep(9 * time.Minute)
			s.send(echo[:5])
			time.Sleep(50 * time.Second)
			s.send(echo[5:]).expectResponse(0x8030, 8, StatusSuccess)
		}
		s.release()
	})
}

// TestResponsesMustBeTaken: a peer that takes our answers one byte a second is
// gone after a minute.
func TestResponsesMustBeTaken(t *testing.T) {
	w := &watcher{}
	bubble(t, ServerConfig{Handler: &keeper{}, Observer: w}, func(t *testing.T, srv *Server, l *pipeListener) {
		s := play(t, l).associate()
		s.send(pdata(pdv(1, isCommand|isLast, echoCommand(8))))
		began := time.Now()
		took := sip(s.conn, 1)
		if took < 55*time.Second || took > 65*time.Second {
			t.Errorf("gone after %v", took)
		}
		if _, _, closed, _ := w.snapshot(); len(closed) != 1 || !errors.Is(closed[0], ErrTimeout) || time.Since(began) > 65*time.Second {
			t.Errorf("observer saw %v", closed)
		}
	})
}

// sip takes some bytes each second until the other side has closed or nothing
// comes any more for a minute.
func sip(conn net.Conn, each int) time.Duration {
	began := time.Now()
	for p := make([]byte, each); ; {
		time.Sleep(time.Second)
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(p); err != nil {
			return time.Since(began)
		}
	}
}

// TestAcceptMustBeTaken: the same for the answer to the request, which counts
// into the half minute.
func TestAcceptMustBeTaken(t *testing.T) {
	bubble(t, ServerConfig{Handler: &keeper{}}, func(t *testing.T, srv *Server, l *pipeListener) {
		s := play(t, l).send(scriptRQ())
		if took := sip(s.conn, 1); took < 29*time.Second || took > 33*time.Second {
			t.Errorf("gone after %v", took)
		}
		if n := srv.Established(); n != 0 {
			t.Errorf("%d slots are taken", n)
		}
	})
}

// TestArchiveMustTake: an archive that takes our objects a byte a second is not
// waited for either; one that takes 20 KiB/s is, for as long as it lasts.
func TestArchiveMustTake(t *testing.T) {
	for each, want := range map[int]error{1: ErrTimeout, 1000: ErrTimeout, 20 << 10: nil} {
		archive(t, func(s *script, rq *AssociateRQ) {
			accept(s, rq, 0)
			sip(s.conn, each)
			if want == nil {
				s.send(answerStore(1, StatusSuccess, "")).expect(typeAbort)
			}
		}, func(t *testing.T, c *Client, err error) {
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			c.up.idle = 2 * time.Minute
			_, err = c.Store(t.Context(), ctStore, bytes.NewReader(make([]byte, 20<<20)))
			if took := time.Since(began); !errors.Is(err, want) || want != nil && took > 65*time.Second {
				t.Errorf("%d bytes a second: %v after %v, want %v", each, err, took, want)
			}
		})
	}
}

// TestHalfAPDUIsFollowedByNothing: when a PDU is out in part, not even A-ABORT
// may come behind it: the peer would take it for data.
func TestHalfAPDUIsFollowedByNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		w := newWire(ours, time.Minute, time.Minute)
		done := make(chan error, 1)
		go func() { _, err := w.Write(releaseRQ); done <- err }()
		theirs.Read(make([]byte, 3))
		if err := <-done; err != ErrTimeout || !w.torn {
			t.Errorf("stalled: %v, torn %v", err, w.torn)
		}
		w.farewell(abortPDU) // would block for a second if it wrote
		ours.Close()
		if n, _ := theirs.Read(make([]byte, 1)); n != 0 {
			t.Error("something follows half a PDU")
		}
	})
}

// TestHandshakeOfTLSCountsIn: the half minute before an association begins with
// the connection. Who drips its ClientHello, sends none, or does not take our
// answer to it, is gone when it is over.
func TestHandshakeOfTLSCountsIn(t *testing.T) {
	cert, pool := selfSigned(t)
	here, there := net.Pipe()
	go tls.Client(here, &tls.Config{RootCAs: pool, ServerName: "pacs"}).Handshake()
	hello := make([]byte, 4096)
	n, err := there.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	here.Close()
	for name, attack := range map[string]func(net.Conn){
		"silent": func(net.Conn) {},
		"drips":  func(c net.Conn) { drip(c, hello[:n], 1) },
		"deaf":   func(c net.Conn) { c.Write(hello[:n]) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, ServerConfig{Handler: &keeper{}})
			ours, theirs := net.Pipe()
			ended := make(chan time.Time, 1)
			began := time.Now()
			go func() {
				s.run(s.admitConnection(tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{cert}})))
				ended <- time.Now()
			}()
			done := make(chan struct{})
			go func() { attack(ours); close(done) }()
			if took := (<-ended).Sub(began); took != 30*time.Second {
				t.Errorf("%s: gone after %v", name, took)
			}
			ours.Close()
			<-done
		})
	}
}
