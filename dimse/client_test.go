package dimse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A scripted archive: the client under test at one end of net.Pipe, a story at
// the other.

var ctProposal = Proposal{ID: 3, AbstractSyntax: ctImage, TransferSyntaxes: []string{ExplicitVRLE}}

func archive(t *testing.T, answer func(s *script, rq *AssociateRQ), f func(t *testing.T, c *Client, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := clientConfig("0", Proposal{ID: 1, AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLE}}, ctProposal)
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		story := make(chan struct{})
		go func() {
			defer close(story)
			s := &script{t, theirs}
			rq, err := parseAssociateRQ(s.expect(typeRQ))
			if err != nil {
				t.Error(err)
			}
			answer(s, rq)
			theirs.Close()
		}()
		c, err := Dial(t.Context(), cfg)
		f(t, c, err)
		if c != nil {
			c.Abort()
		}
		ours.Close()
		<-story
	})
}

func accept(s *script, rq *AssociateRQ, maxPDU uint32) {
	ac, _ := Negotiate(rq, Peer{}, Policy{ImplementationClassUID: "2.25.8", ImplementationVersion: "ARCHIVE", MaxPDU: maxPDU})
	s.send(ac.append(nil))
}

// takeStore reads one C-STORE-RQ with its data set and returns the message ID.
func takeStore(s *script) (id uint16, data []byte, longest int) {
	for commandSet := []byte(nil); ; {
		body := s.expect(typeData)
		longest = max(longest, len(body))
		if body[5]&isCommand != 0 {
			commandSet = append(commandSet, body[6:]...)
		} else {
			data = append(data, body[6:]...)
		}
		if body[5] == isLast {
			c, _ := parseCommand(commandSet)
			return c.uint16(tagMessageID), data, longest
		}
	}
}

func answerStore(id uint16, status Status, comment string) []byte {
	rq := StoreRequest{MessageID: id, SOPClassUID: ctImage, SOPInstanceUID: "2.25.1"}.command()
	rsp := response(rq, status)
	if comment != "" {
		rsp.setText(tagErrorComment, comment)
	}
	return pdata(pdv(3, isCommand|isLast, rsp.append(nil)))
}

var ctStore = StoreRequest{SOPClassUID: ctImage, SOPInstanceUID: "2.25.1", TransferSyntaxUID: ExplicitVRLE}

// TestPeersLimitIsHonoured: no P-DATA-TF is longer than the peer takes, each
// fragment is even, none is empty, and what arrives is what was sent; a peer
// without a limit gets at most MaxSend.
func TestPeersLimitIsHonoured(t *testing.T) {
	for _, c := range []struct {
		max   uint32
		most  int
		bytes int
	}{{4096, 4096, 50000}, {4096, 4096, 4090}, {4096, 4096, 4091}, {4096, 4096, 0}, {4096, 4096, 1}, {33, 32, 1000}, {1, 16, 100}, {0, 1 << 20, 3 << 20}, {1 << 30, 1 << 20, 1<<20 - 6}} {
		data := make([]byte, c.bytes)
		for i := range data {
			data[i] = byte(i ^ i>>8)
		}
		archive(t, func(s *script, rq *AssociateRQ) {
			ac, _ := Negotiate(rq, Peer{}, Policy{ImplementationClassUID: "2.25.8"})
			ac.User.MaxPDU = c.max
			s.send(ac.append(nil))
			id, got, longest := takeStore(s)
			if !bytes.Equal(got, data) || longest > c.most || c.bytes > c.most && longest < c.most-1 {
				t.Errorf("limit %d, %d bytes: %d arrived, longest PDU %d, want at most %d", c.max, c.bytes, len(got), longest, c.most)
			}
			s.send(answerStore(id, StatusSuccess, ""))
			s.expect(typeReleaseRQ)
			s.send(releaseRP)
		}, func(t *testing.T, client *Client, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if rsp, err := client.Store(t.Context(), ctStore, iotestOneByOne(data)); err != nil || rsp.Status != StatusSuccess {
				t.Errorf("store: %v, %v", rsp, err)
			}
			if err := client.Release(t.Context()); err != nil {
				t.Error(err)
			}
			if got := client.Counts(); got != (Counts{1, 0, int64(c.bytes)}) {
				t.Errorf("counts %v", got)
			}
		})
	}
}

// iotestOneByOne is a reader that gives odd pieces.
func iotestOneByOne(b []byte) io.Reader {
	if len(b) < 10 {
		return bytes.NewReader(b)
	}
	return io.MultiReader(bytes.NewReader(b[:1]), bytes.NewReader(b[1:7]), bytes.NewReader(b[7:]))
}

// TestDialFails: each way in which an archive does not want us is told apart.
func TestDialFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(s *script, rq *AssociateRQ)
		want  func(error) bool
	}{
		{"rejected", func(s *script, _ *AssociateRQ) { s.send(shortPDU(typeRJ, 2, 3, 1)) }, func(err error) bool {
			var r Reject
			return errors.As(err, &r) && r == RejectCongestion && r.Transient()
		}},
		{"aborted", func(s *script, _ *AssociateRQ) { s.send(abortPDU) }, func(err error) bool { return errors.Is(err, ErrAborted) }},
		{"closed", func(s *script, _ *AssociateRQ) {}, func(err error) bool { return errors.Is(err, ErrLost) }},
		{"not DICOM", func(s *script, _ *AssociateRQ) {
			go s.send([]byte("HTTP/1.1 400 Bad Request\r\n"))
			s.expect(typeAbort)
		}, func(err error) bool { return errors.Is(err, ErrAborted) }},
		{"silent", func(s *script, _ *AssociateRQ) { s.expect(typeAbort) }, func(err error) bool { return errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) }},
		{"malformed", func(s *script, _ *AssociateRQ) {
			s.send([]byte{typeAC, 0, 0, 0, 0, 70}, make([]byte, 68), []byte{1, 2}).expect(typeAbort)
		}, func(err error) bool { return errors.Is(err, ErrAborted) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive(t, c.story, func(t *testing.T, client *Client, err error) {
				if client != nil || !c.want(err) {
					t.Errorf("got %v, %v", client, err)
				}
			})
		})
	}
}

// TestNoContext: what the archive did not accept is told before a byte is sent,
// and the association lives.
func TestNoContext(t *testing.T) {
	archive(t, func(s *script, rq *AssociateRQ) {
		ac, _ := Negotiate(rq, Peer{}, Policy{Accepts: func(_ Peer, uid string) bool { return uid == Verification }, ImplementationClassUID: "1"})
		s.send(ac.append(nil))
		s.expect(typeData)
		s.send(pdata(pdv(1, isCommand|isLast, response(mustParse(echoCommand(1)), StatusSuccess).append(nil))))
		s.expect(typeAbort)
	}, func(t *testing.T, c *Client, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Store(t.Context(), ctStore, strings.NewReader("data")); !errors.Is(err, ErrNoContext) {
			t.Errorf("got %v", err)
		}
		if c.Accepts(Need{ctImage, ExplicitVRLE}) || len(c.Contexts()) != 1 || c.Proposed() != 2 {
			t.Errorf("contexts %v of %d", c.Contexts(), c.Proposed())
		}
		if rsp, err := c.Echo(t.Context()); err != nil || rsp.Status != StatusSuccess {
			t.Errorf("echo: %v, %v", rsp, err)
		}
	})
}

func mustParse(b []byte) command {
	c, err := parseCommand(b)
	if err != nil {
		panic(err)
	}
	return c
}

// TestStoreOutcomes: a failure status is an answer, everything else is an error
// that ends the association.
func TestStoreOutcomes(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(s *script, id uint16)
		status Status
		want   error
	}{
		{"refused", func(s *script, id uint16) { s.send(answerStore(id, StatusOutOfResources, "disk full ")) }, StatusOutOfResources, nil},
		{"another message", func(s *script, id uint16) { s.send(answerStore(id+1, StatusSuccess, "")).expect(typeAbort) }, 0, ErrAborted},
		{"aborted", func(s *script, id uint16) { s.send(abortPDU) }, 0, ErrAborted},
		{"released", func(s *script, id uint16) { s.send(releaseRQ).expect(typeReleaseRP) }, 0, ErrReleased},
		{"lost", func(s *script, id uint16) {}, 0, ErrLost},
		{"silent", func(s *script, id uint16) { s.expect(typeAbort) }, 0, ErrTimeout},
		{"asked first", func(s *script, id uint16) {
			s.send(pdata(pdv(3, isCommand|isLast, storeCommand(99, "2.25.5")), pdv(3, isLast, []byte("data"))))
			s.expectResponse(0x8001, 99, StatusUnrecognizedOperation)
			s.send(answerStore(id, StatusSuccess, ""))
		}, StatusSuccess, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive(t, func(s *script, rq *AssociateRQ) {
				accept(s, rq, 0)
				id, _, _ := takeStore(s)
				c.answer(s, id)
				if c.want == nil {
					s.expect(typeAbort)
				}
			}, func(t *testing.T, client *Client, err error) {
				if err != nil {
					t.Fatal(err)
				}
				rsp, err := client.Store(t.Context(), ctStore, strings.NewReader("data"))
				if !errors.Is(err, c.want) || rsp.Status != c.status {
					t.Errorf("got %v, %v, want %v, %v", rsp, err, c.status, c.want)
				}
				if c.name == "refused" && rsp.Comment != "disk full" {
					t.Errorf("comment %q", rsp.Comment)
				}
				if c.want == nil {
					return
				}
				if _, err := client.Echo(t.Context()); !errors.Is(err, c.want) {
					t.Errorf("afterwards: %v", err)
				}
				if err := client.Release(t.Context()); err != nil {
					t.Errorf("release of what is over: %v", err)
				}
			})
		})
	}
}

// TestSourceFails: a message cannot be taken back, so the association ends, and
// the error is that of the source.
func TestSourceFails(t *testing.T) {
	broken := errors.New("disk error")
	archive(t, func(s *script, rq *AssociateRQ) {
		accept(s, rq, 0)
		s.expect(typeData)
		s.expect(typeAbort, 0, 0, 0)
	}, func(t *testing.T, c *Client, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Store(t.Context(), ctStore, io.MultiReader(strings.NewReader("half"), errorReader{broken})); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestCancelEndsTheWait: with A-ABORT, at once; a context that ended before
// harms nothing.
func TestCancelEndsTheWait(t *testing.T) {
	archive(t, func(s *script, rq *AssociateRQ) {
		accept(s, rq, 0)
		takeStore(s)
		s.expect(typeAbort)
	}, func(t *testing.T, c *Client, err error) {
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Store(gone, ctStore, strings.NewReader("data")); err != context.Canceled {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Store(ctx, ctStore, strings.NewReader("data")); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 7*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

// TestReleaseCollisionAtTheRequestor: PS3.8 §7.2, Sta9 and Sta11.
func TestReleaseCollisionAtTheRequestor(t *testing.T) {
	archive(t, func(s *script, rq *AssociateRQ) {
		accept(s, rq, 0)
		s.expect(typeReleaseRQ)
		s.send(releaseRQ).expect(typeReleaseRP)
		s.send(releaseRP)
	}, func(t *testing.T, c *Client, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Errorf("release: %v", err)
		}
	})
}

// TestBadClientConfig is refused before anything is connected.
func TestBadClientConfig(t *testing.T) {
	for name, change := range map[string]func(*ClientConfig){
		"no title":   func(c *ClientConfig) { c.Called = "" },
		"long title": func(c *ClientConfig) { c.Calling = strings.Repeat("A", 17) },
		"no class":   func(c *ClientConfig) { c.ImplementationClassUID = "" },
		"no syntax":  func(c *ClientConfig) { c.Contexts = []Proposal{{AbstractSyntax: ctImage}} },
		"empty syntax": func(c *ClientConfig) {
			c.Contexts = []Proposal{{AbstractSyntax: ctImage, TransferSyntaxes: []string{""}}}
		},
		"129 contexts":   func(c *ClientConfig) { c.Contexts = slices.Repeat([]Proposal{ctProposal}, 129) },
		"tiny fragments": func(c *ClientConfig) { c.MaxSend = 3 },
	} {
		cfg := clientConfig("1")
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
			t.Error(name + ": connected")
			return nil, io.EOF
		}
		change(&cfg)
		if _, err := Dial(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestLastWords: an archive that aborts while we are writing is heard, although
// the write fails first; what it said is still in our receive queue.
func TestLastWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		s := &script{t, conn}
		rq := make([]byte, 4096)
		conn.SetDeadline(time.Now().Add(time.Minute))
		n, _ := conn.Read(rq)
		parsed, err := parseAssociateRQ(rq[headerSize:n])
		if err != nil {
			t.Error(err)
			return
		}
		accept(s, parsed, 0)
		io.CopyN(io.Discard, conn, 100<<10)
		s.send(shortPDU(typeAbort, 0, sourceProvider, abortInvalidParameter))
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c := testDial(t, port, ctProposal)
	_, err = c.Store(t.Context(), ctStore, &zeros{1 << 30})
	var abort *AbortError
	if !errors.As(err, &abort) || !abort.ByPeer || abort.Reason != abortInvalidParameter {
		t.Errorf("got %v, want the peer's abort", err)
	}
	<-ended
}
