package dimse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFragmentsAnyhow: commands and data may be cut anywhere, share a PDU, come
// one byte a PDU, or end with an empty fragment (PS3.8 Annex E): the data set
// is the same.
func TestFragmentsAnyhow(t *testing.T) {
	cmd, data := storeCommand(7, "2.25.1"), []byte("the data set of an instance")
	c, last := byte(isCommand), byte(isLast)
	stories := map[string][]byte{
		"one PDU":     pdata(pdv(3, c|last, cmd), pdv(3, last, data)),
		"two PDUs":    slices.Concat(pdata(pdv(3, c|last, cmd)), pdata(pdv(3, last, data))),
		"cut command": slices.Concat(pdata(pdv(3, c, cmd[:5])), pdata(pdv(3, c, cmd[5:20]), pdv(3, c|last, cmd[20:]), pdv(3, 0, data[:4])), pdata(pdv(3, last, data[4:]))),
		"empty last":  pdata(pdv(3, c|last, cmd), pdv(3, 0, data), pdv(3, last, nil)),
		"empty first": pdata(pdv(3, c, nil), pdv(3, c|last, cmd), pdv(3, 0, nil), pdv(3, last, data)),
	}
	bytewise := pdata(pdv(3, c|last, cmd))
	for i, b := range data {
		control := byte(0)
		if i == len(data)-1 {
			control = last
		}
		bytewise = append(bytewise, pdata(pdv(3, control, []byte{b}))...)
	}
	stories["one byte a PDU"] = bytewise
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			k := &keeper{}
			bubble(t, ServerConfig{Handler: k}, func(t *testing.T, _ *Server, l *pipeListener) {
				s := play(t, l).associate()
				rsp := s.send(story).expectResponse(0x8001, 7, StatusSuccess)
				if rsp.uid(tagAffectedClass) != ctImage || rsp.uid(tagAffectedInstance) != "2.25.1" {
					t.Errorf("response names %q, %q", rsp.uid(tagAffectedClass), rsp.uid(tagAffectedInstance))
				}
				s.release()
				got := k.all()
				if len(got) != 1 || got[0].err != nil || !bytes.Equal(got[0].data, data) {
					t.Errorf("handler got %+v", got)
				}
			})
		})
	}
}

// TestStatusInsteadOfHangUp: what the command alone shows to be wrong is
// answered with a status, and the association lives.
func TestStatusInsteadOfHangUp(t *testing.T) {
	change := func(tag, n uint16) []byte {
		c := StoreRequest{MessageID: 4, SOPClassUID: ctImage, SOPInstanceUID: "2.25.1"}.command()
		for i := range c {
			if c[i].tag == tag {
				c[i].value = []byte{byte(n), byte(n >> 8)}
			}
		}
		return c.append(nil)
	}
	noInstance := StoreRequest{MessageID: 4, SOPClassUID: ctImage}.command().append(nil)
	notStored := StoreRequest{MessageID: 4, SOPClassUID: "1.2.840.10008.5.1.4.31", SOPInstanceUID: "2.25.1"}.command().append(nil)
	for _, c := range []struct {
		name    string
		context byte
		cmd     []byte
		data    bool
		field   uint16
		want    Status
	}{
		{"C-STORE without data set", 3, change(tagDataSetType, noDataSet), false, 0x8001, StatusCannotUnderstand},
		{"C-STORE without instance", 3, noInstance, true, 0x8001, StatusInvalidInstance},
		{"C-STORE on Verification", 1, storeCommand(4, "2.25.1"), true, 0x8001, StatusSOPClassNotSupported},
		{"C-STORE of a worklist", 3, notStored, true, 0x8001, StatusSOPClassNotSupported},
		{"C-FIND", 3, change(tagCommandField, 0x0020), true, 0x8020, StatusUnrecognizedOperation},
		{"N-ACTION", 3, change(tagCommandField, 0x0130), true, 0x8130, StatusUnrecognizedOperation},
		{"C-ECHO on storage", 3, echoCommand(4), false, 0x8030, StatusSOPClassNotSupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &keeper{}
			bubble(t, ServerConfig{Handler: k}, func(t *testing.T, _ *Server, l *pipeListener) {
				s := play(t, l).associate()
				pdvs := [][]byte{pdv(c.context, isCommand|isLast, c.cmd)}
				if c.data {
					pdvs = append(pdvs, pdv(c.context, isLast, []byte("data")))
				}
				s.send(pdata(pdvs...)).expectResponse(c.field, 4, c.want)
				s.send(pdata(pdv(1, isCommand|isLast, echoCommand(5)))).expectResponse(0x8030, 5, StatusSuccess)
				s.release()
				if got := k.all(); len(got) != 0 {
					t.Errorf("handler was called: %+v", got)
				}
			})
		})
	}
}

// TestCancelOfNothing is ignored: C-CANCEL has no response (PS3.7 §9.3.2.3).
func TestCancelOfNothing(t *testing.T) {
	var cancel command
	cancel.setUint16(tagCommandField, cCancelRQ)
	cancel.setUint16(tagRespondedTo, 1)
	cancel.setUint16(tagDataSetType, noDataSet)
	bubble(t, ServerConfig{Handler: &keeper{}}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).associate()
		s.send(pdata(pdv(3, isCommand|isLast, cancel.append(nil))))
		s.send(pdata(pdv(1, isCommand|isLast, echoCommand(5)))).expectResponse(0x8030, 5, StatusSuccess)
		s.release()
	})
}

// TestAffectedClassFromContext: a command without SOP class takes that of its
// context (dimse/COMPAT.md); padding of UIDs is taken off.
func TestAffectedClassFromContext(t *testing.T) {
	var c command
	c.setUint16(tagCommandField, cStoreRQ)
	c.setUint16(tagMessageID, 4)
	c.setUint16(tagDataSetType, 0)
	c.setText(tagAffectedInstance, "2.25.123  ")
	k := &keeper{}
	bubble(t, ServerConfig{Handler: k}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).associate()
		s.send(pdata(pdv(5, isCommand|isLast, c.append(nil)), pdv(5, isLast, []byte("data")))).expectResponse(0x8001, 4, StatusSuccess)
		s.release()
		if rq := k.all()[0].rq; rq.SOPClassUID != ctImage || rq.SOPInstanceUID != "2.25.123" || rq.TransferSyntaxUID != jpegLossy || rq.ContextID != 5 {
			t.Errorf("got %+v", rq)
		}
	})
}

// TestViolationsAbort: what cannot be told apart any more ends with A-ABORT,
// and a handler in the middle of an object gets an error, never io.EOF.
func TestViolationsAbort(t *testing.T) {
	cmd := pdv(3, isCommand|isLast, storeCommand(7, "2.25.1"))
	start := pdata(cmd, pdv(3, 0, []byte("half of an object")))
	for _, c := range []struct {
		name   string
		bytes  []byte
		reason byte
		stored bool // the handler was called
	}{
		{"data before command", pdata(pdv(3, 0, []byte("data"))), abortUnexpectedParam, false},
		{"context not accepted", pdata(pdv(9, isCommand|isLast, storeCommand(7, "2.25.1"))), abortInvalidParameter, false},
		{"command in data", slices.Concat(start, pdata(cmd)), abortUnexpectedParam, true},
		{"other context in data", slices.Concat(start, pdata(pdv(5, isLast, []byte("x")))), abortUnexpectedParam, true},
		{"fragment longer than its PDU", slices.Concat(start, []byte{4, 0, 0, 0, 0, 8, 0, 0, 0, 9, 3, 2, 1, 1}), abortInvalidParameter, true},
		{"fragment of 4 GiB", slices.Concat(start, []byte{4, 0, 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 3, 2, 1, 1}), abortInvalidParameter, true},
		{"fragment without header", slices.Concat(start, []byte{4, 0, 0, 0, 0, 5, 0, 0, 0, 1, 3}), abortInvalidParameter, true},
		{"fragment shorter than its header", slices.Concat(start, []byte{4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 3, 0}), abortInvalidParameter, true},
		{"P-DATA-TF of 4 GiB", slices.Concat(start, []byte{4, 0, 0xff, 0xff, 0xff, 0xff}), abortInvalidParameter, true},
		{"release in data", slices.Concat(start, releaseRQ), abortUnexpectedPDU, true},
		{"second request", slices.Concat(start, scriptRQ()), abortUnexpectedPDU, true},
		{"unknown PDU", slices.Concat(start, []byte{0x55}), abortUnrecognizedPDU, true},
		{"endless command", bytes.Repeat(pdata(pdv(3, isCommand, make([]byte, 16000))), 5), abortInvalidParameter, false},
		{"no command field", pdata(pdv(3, isCommand|isLast, command{}.append(nil))), abortInvalidParameter, false},
		{"broken command", pdata(pdv(3, isCommand|isLast, []byte{1, 2, 3})), abortInvalidParameter, false},
		{"response to nothing", pdata(pdv(1, isCommand|isLast, response(command{}, 0).append(nil))), abortUnexpectedParam, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, w := &keeper{}, &watcher{}
			bubble(t, ServerConfig{Handler: k, Observer: w}, func(t *testing.T, _ *Server, l *pipeListener) {
				s := play(t, l).associate()
				go s.send(c.bytes) // the server may stop reading before all is out
				s.expect(typeAbort, 0, sourceProvider, c.reason)
				if took := s.expectClosed(); took > maxLinger {
					t.Errorf("closed after %v", took)
				}
				synctest.Wait()
				got := k.all()
				if len(got) != bit2int(c.stored) || c.stored && !errors.Is(got[0].err, ErrAborted) {
					t.Errorf("handler got %+v", got)
				}
				if _, _, closed, _ := w.snapshot(); len(closed) != 1 || !errors.Is(closed[0], ErrAborted) {
					t.Errorf("observer saw %v", closed)
				}
			})
		})
	}
}

func bit2int(b bool) int { return int(bit(b)) }

// TestPeerGoesInMidObject: abort, cut and silence reach the handler as an
// error, each as what it is, so that nothing of the object remains.
func TestPeerGoesInMidObject(t *testing.T) {
	start := pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(3, 0, []byte("half")))
	for _, c := range []struct {
		name string
		end  func(*script)
		want error
		took time.Duration
	}{
		{"abort", func(s *script) { s.send(abortPDU) }, ErrAborted, 0},
		{"cut", func(s *script) { s.conn.Close() }, ErrLost, 0},
		{"cut is an unexpected EOF", func(s *script) { s.conn.Close() }, io.ErrUnexpectedEOF, 0},
		{"cut in a header", func(s *script) { s.send([]byte{4, 0, 0}); s.conn.Close() }, ErrLost, 0},
		{"silence", func(s *script) { s.expect(typeAbort, 0, sourceUser, 0) }, ErrTimeout, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, w := &keeper{}, &watcher{}
			bubble(t, ServerConfig{Handler: k, Observer: w}, func(t *testing.T, _ *Server, l *pipeListener) {
				s := play(t, l).associate().send(start)
				began := time.Now()
				c.end(s)
				synctest.Wait()
				got := k.all()
				if len(got) != 1 || !errors.Is(got[0].err, c.want) || string(got[0].data) != "half" {
					t.Errorf("handler got %+v, want %v", got, c.want)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if _, _, closed, counts := w.snapshot(); len(closed) != 1 || counts[0] != (Counts{0, 1, 4}) {
					t.Errorf("observer saw %v %v", closed, counts)
				}
			})
		})
	}
}

// TestProgressNotTotal: a sender that keeps the least pace is never cut off, and
// the handler's own time does not count.
func TestProgressNotTotal(t *testing.T) {
	slow := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
		io.Copy(io.Discard, data)
		time.Sleep(time.Hour) // virtual
		return StatusSuccess
	})
	bubble(t, ServerConfig{Handler: slow}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).associate().send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1"))))
		for range 30 {
			time.Sleep(59 * time.Second)
			s.send(pdata(pdv(3, 0, make([]byte, defaultFloor))))
		}
		s.send(pdata(pdv(3, isLast, nil)))
		s.conn.SetReadDeadline(time.Time{})
		time.Sleep(59 * time.Minute)
		s.expectResponse(0x8001, 7, StatusSuccess)
		s.release()
	})
}

// TestTimers: ARTIM before the request and after release and rejection, the
// idle limit on an association.
func TestTimers(t *testing.T) {
	refuse := func(p Peer) *Reject {
		if p.Calling == "CT1" {
			return nil
		}
		return &RejectCalling
	}
	cfg := ServerConfig{Handler: &keeper{}, Admit: refuse}
	bubble(t, cfg, func(t *testing.T, _ *Server, l *pipeListener) {
		if took := play(t, l).expectClosed(); took != 30*time.Second {
			t.Errorf("silent connection closed after %v", took)
		}
		s := play(t, l).send([]byte{typeRQ})
		for range 4 { // one byte now and then gains no time
			time.Sleep(5 * time.Second)
			s.send([]byte{0})
		}
		if took := s.expectClosed(); took != 10*time.Second {
			t.Errorf("slow connection closed after 20 s and %v", took)
		}
		other := (&AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "MR1", ApplicationContext: ApplicationContext}).append(nil)
		s = play(t, l).send(other)
		s.expect(typeRJ, 0, 1, 1, 3)
		if took := s.expectClosed(); took != 30*time.Second {
			t.Errorf("rejected connection closed after %v", took)
		}
		s = play(t, l).associate().send(releaseRQ)
		s.expect(typeReleaseRP)
		if took := s.expectClosed(); took != 30*time.Second {
			t.Errorf("released connection closed after %v", took)
		}
		s = play(t, l).associate()
		s.send(pdata(pdv(1, isCommand|isLast, echoCommand(8)))).expectResponse(0x8030, 8, StatusSuccess)
		began := time.Now()
		s.expect(typeAbort, 0, sourceUser, 0)
		if took := time.Since(began); took != 10*time.Minute {
			t.Errorf("idle association aborted after %v", took)
		}
	})
}

// TestGarbageIsClosedAtOnce: HTTP, TLS and noise on the port are answered with
// A-ABORT as soon as the first byte is there, and closed within a second.
func TestGarbageIsClosedAtOnce(t *testing.T) {
	long := append([]byte{typeRQ, 0, 0xff, 0xff, 0xff, 0xff}, make([]byte, 100)...)
	for name, garbage := range map[string][]byte{
		"HTTP": []byte("GET / HTTP/1.1\r\n\r\n"), "TLS": {0x16, 3, 1, 2, 0, 1, 0, 1}, "one byte": {0xff}, "zeros": make([]byte, 1000),
		"release": releaseRQ, "data": pdata(pdv(1, 3, nil)), "request of 4 GiB": long, "request of 3 bytes": {typeRQ, 0, 0, 0, 0, 3},
		"broken request": append(scriptRQ()[:80], bytes.Repeat([]byte{0xff}, 400)...),
	} {
		t.Run(name, func(t *testing.T) {
			w := &watcher{}
			bubble(t, ServerConfig{Handler: &keeper{}, Observer: w}, func(t *testing.T, _ *Server, l *pipeListener) {
				s := play(t, l)
				go s.send(garbage)
				began := time.Now()
				s.expect(typeAbort, 0, sourceUser, 0)
				s.expectClosed()
				if took := time.Since(began); took >= time.Second {
					t.Errorf("closed after %v", took)
				}
				if _, opened, _, _ := w.snapshot(); opened != 0 {
					t.Error("an association was opened")
				}
			})
		})
	}
}

// TestHandlerNeedNotRead: what the handler leaves is read past, its failure
// goes out (A700 for a full disk), and the association lives. Success for an
// object that was not read is not believed.
func TestHandlerNeedNotRead(t *testing.T) {
	for claim, want := range map[Status]Status{StatusOutOfResources: StatusOutOfResources, StatusSuccess: StatusProcessingFailure, StatusCoercion: StatusProcessingFailure} {
		h := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
			io.CopyN(io.Discard, data, 5)
			return claim
		})
		bubble(t, ServerConfig{Handler: h}, func(t *testing.T, _ *Server, l *pipeListener) {
			s := play(t, l).associate()
			s.send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(3, 0, make([]byte, 9000))))
			s.send(pdata(pdv(3, 0, make([]byte, 9000))), pdata(pdv(3, isLast, nil)))
			s.expectResponse(0x8001, 7, want)
			s.send(pdata(pdv(1, isCommand|isLast, echoCommand(8)))).expectResponse(0x8030, 8, StatusSuccess)
			s.release()
		})
	}
}

// TestPanicEndsOneAssociation: and no other.
func TestPanicEndsOneAssociation(t *testing.T) {
	h := handlerFunc(func(context.Context, *Association, StoreRequest, io.Reader) Status { panic("a mistake of ours") })
	w := &watcher{}
	admit := func(p Peer) *Reject {
		if p.Calling == "BAD" {
			panic("another mistake")
		}
		return nil
	}
	bubble(t, ServerConfig{Handler: h, Observer: w, Admit: admit}, func(t *testing.T, srv *Server, l *pipeListener) {
		other := play(t, l).associate()
		s := play(t, l).associate()
		s.send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1"))))
		s.expect(typeAbort, 0, sourceUser, 0)
		s.expectClosed()
		bad := play(t, l).send((&AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "BAD", ApplicationContext: ApplicationContext}).append(nil))
		bad.expect(typeAbort, 0, sourceUser, 0)
		bad.expectClosed()
		other.send(pdata(pdv(1, isCommand|isLast, echoCommand(8)))).expectResponse(0x8030, 8, StatusSuccess)
		other.release()
		synctest.Wait()
		if _, _, closed, _ := w.snapshot(); len(closed) != 2 || closed[0] == nil || !strings.Contains(closed[0].Error(), "a mistake of ours") {
			t.Errorf("observer saw %v", closed)
		}
		if n := srv.Established(); n != 0 {
			t.Errorf("%d slots are still taken", n)
		}
	})
}

// TestLimitIsOfAssociations: beyond MaxAssociations the answer is 2/3/2; slots
// come back after release, abort and cut; who only connects takes none.
func TestLimitIsOfAssociations(t *testing.T) {
	w := &watcher{}
	bubble(t, ServerConfig{Handler: &keeper{}, MaxAssociations: 2, MaxWaiting: 3, Observer: w}, func(t *testing.T, srv *Server, l *pipeListener) {
		for round := range 3 {
			silent := []*script{play(t, l), play(t, l), play(t, l)} // take no slot
			a, b := play(t, l).associate(), play(t, l).associate()
			c := play(t, l).send(scriptRQ())
			c.expect(typeRJ, 0, 2, 3, 2)
			c.conn.Close()
			switch round {
			case 0:
				a.release()
			case 1:
				a.send(abortPDU)
			case 2:
				a.conn.Close()
			}
			synctest.Wait()
			if n := srv.Established(); n != 1 {
				t.Errorf("%d slots are taken, want 1", n)
			}
			b.release()
			for _, s := range silent {
				s.conn.Close()
			}
			synctest.Wait()
		}
		if refused, _, _, _ := w.snapshot(); !slices.Equal(refused, []Reject{RejectLocalLimit, RejectLocalLimit, RejectLocalLimit}) {
			t.Errorf("observer saw %v", refused)
		}
	})
}

// TestSilentConnectionsGiveWay: the one that waited longest is closed for a new
// one, so that a crowd of silent connections never keeps a modality out.
func TestSilentConnectionsGiveWay(t *testing.T) {
	bubble(t, ServerConfig{Handler: &keeper{}, MaxWaiting: 4}, func(t *testing.T, _ *Server, l *pipeListener) {
		var crowd []*script
		for range 20 {
			crowd = append(crowd, play(t, l))
			synctest.Wait()
		}
		play(t, l).associate().release()
		if took := crowd[0].expectClosed(); took != 0 {
			t.Errorf("the oldest was closed after %v", took)
		}
	})
}

// TestShutdownFinishesTheMessage: an idle association is aborted at once, one
// inside a message gets its answer first.
func TestShutdownFinishesTheMessage(t *testing.T) {
	k := &keeper{}
	bubble(t, ServerConfig{Handler: k}, func(t *testing.T, srv *Server, l *pipeListener) {
		idle := play(t, l).associate()
		waiting := play(t, l)
		busy := play(t, l).associate().send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(3, 0, []byte("half"))))
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- srv.Shutdown(t.Context()) }()
		began := time.Now()
		idle.expect(typeAbort)
		waiting.expectClosed()
		time.Sleep(10 * time.Second)
		busy.send(pdata(pdv(3, isLast, []byte("half")))).expectResponse(0x8001, 7, StatusSuccess)
		busy.expect(typeAbort)
		if err := <-done; err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(began))
		}
		if err := srv.Serve(newPipeListener()); err != ErrServerClosed {
			t.Errorf("Serve after Shutdown: %v", err)
		}
		if got := k.all(); len(got) != 1 || string(got[0].data) != "halfhalf" {
			t.Errorf("handler got %+v", got)
		}
	})
}

// TestShutdownGivesUp: when its context ends, the rest is closed.
func TestShutdownGivesUp(t *testing.T) {
	k := &keeper{}
	bubble(t, ServerConfig{Handler: k}, func(t *testing.T, srv *Server, l *pipeListener) {
		s := play(t, l).associate().send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(3, 0, []byte("half"))))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		go io.Copy(io.Discard, s.conn)
		if err := srv.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown returned %v", err)
		}
		synctest.Wait()
		if got := k.all(); len(got) != 1 || !errors.Is(got[0].err, ErrServerClosed) {
			t.Errorf("handler got %+v", got)
		}
	})
}

// TestReleaseCollisionAtTheAcceptor: both release at the same time (PS3.8 §7.2,
// Sta10 and Sta12); data under way is read past (Sta7).
func TestReleaseCollisionAtTheAcceptor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		u := newUpper(newWire(theirs, time.Minute, time.Minute), false, 30*time.Second, 1<<16)
		u.state = sta6
		u.established(4096)
		s := &script{t, ours}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := u.release(); err != nil || u.state != sta13 {
				t.Errorf("release: %v, %v", err, u.state)
			}
			u.finish()
		})
		s.expect(typeReleaseRQ)
		s.send(pdata(pdv(3, 0, []byte("late"))), releaseRQ, releaseRP)
		s.expect(typeReleaseRP)
		s.conn.Close()
		wg.Wait()
	})
}

// TestInvalidConfig is refused before anything starts.
func TestInvalidConfig(t *testing.T) {
	for _, cfg := range []ServerConfig{
		{}, {Handler: &keeper{}}, {Handler: &keeper{}, ImplementationClassUID: "1", ImplementationVersion: strings.Repeat("V", 17)},
		{Handler: &keeper{}, ImplementationClassUID: "1", ImplementationVersion: "V", MaxAssociations: -1},
	} {
		if _, err := NewServer(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// TestObserverSeesThePeer: who it is, what it speaks, what was agreed; never
// the secrets it offered.
func TestObserverSeesThePeer(t *testing.T) {
	var opened *Association
	o := &openedOnly{open: func(a *Association) { opened = a }}
	var asked Peer
	admit := func(p Peer) *Reject { asked = p; return nil }
	bubble(t, ServerConfig{Handler: &keeper{}, Observer: o, Admit: admit}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).send(fullRequest().append(nil))
		s.expect(typeAC)
		s.release()
		synctest.Wait()
		if asked.Identity == nil || strings.Contains(asked.Identity.String(), "secret") {
			t.Errorf("Admit got %+v, %v", asked, asked.Identity)
		}
		class, version := opened.Implementation()
		if p := opened.Peer(); p.Calling != "CT1" || p.Called != "EDGED" || p.Addr == nil || p.Identity != nil {
			t.Errorf("peer %+v", p)
		}
		if class != "2.25.7" || version != "SCANNER_1" || opened.MaxPDU() != 16384 || opened.ID() == 0 || opened.Proposed() != 2 {
			t.Errorf("implementation %s %s, limit %d, id %d, proposed %d", class, version, opened.MaxPDU(), opened.ID(), opened.Proposed())
		}
		want := []Context{{1, ctImage, ImplicitVRLE}, {3, Verification, ImplicitVRLE}}
		if !slices.Equal(opened.Contexts(), want) {
			t.Errorf("contexts %v, want %v", opened.Contexts(), want)
		}
	})
}

type openedOnly struct{ open func(*Association) }

func (o *openedOnly) Refused(Peer, Reject, Negotiation) {}
func (o *openedOnly) Opened(a *Association)             { o.open(a) }
func (o *openedOnly) Closed(*Association, error)        {}

// TestAcceptSurvivesShortage: running out of file descriptors passes; another
// error of the listener ends Serve and is returned.
func TestAcceptSurvivesShortage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("listener broken")
		l := &sickListener{pipeListener: newPipeListener(), errs: []error{syscall.EMFILE, syscall.EMFILE, broken}}
		if err := newTestServer(t, ServerConfig{Handler: &keeper{}}).Serve(l); err != broken {
			t.Errorf("Serve returned %v", err)
		}
	})
}

type sickListener struct {
	*pipeListener
	errs []error
}

func (l *sickListener) Accept() (net.Conn, error) {
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}
