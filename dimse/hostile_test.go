package dimse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A hostile peer: what it sends at once, and what it sends again and again. It
// never closes, and it takes everything that we send. It must be gone within a
// bounded time, told why where it can be told, and must have cost no more
// memory than an honest one.
type hostile struct {
	name   string
	first  []byte
	drip   []byte        // a byte a second of it
	again  []byte        // nil: nothing; it stays silent
	every  time.Duration // between two of those
	within time.Duration // the connection is closed
	last   []byte        // what we say last, before we close
}

var (
	userAbort     = abortPDU
	unknownPDU    = shortPDU(typeAbort, 0, sourceProvider, abortUnrecognizedPDU)
	unexpectedPDU = shortPDU(typeAbort, 0, sourceProvider, abortUnexpectedPDU)
	unexpected    = shortPDU(typeAbort, 0, sourceProvider, abortUnexpectedParam)
	invalid       = shortPDU(typeAbort, 0, sourceProvider, abortInvalidParameter)
)

// clientHello is how TLS begins.
var clientHello = append([]byte{0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}, make([]byte, 194)...)

// contexts is a request with n contexts, numbered as far as odd bytes go.
func contexts(n int) []byte {
	rq := AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext}
	for i := range n {
		rq.Contexts = append(rq.Contexts, Proposal{byte(2*i + 1), ctImage, []string{ExplicitVRLE}})
	}
	return rq.append(nil)
}

// requestFor asks for an application context that does not exist.
func requestFor(application string) []byte {
	return (&AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: application}).append(nil)
}

func short(kind byte) []byte { return []byte{kind, 0, 0, 0, 0, 0} }

// lying is a P-DATA-TF of 8 bytes whose one fragment says that it is as long as given.
func lying(length uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{typeData, 0, 0, 0, 0, 8}, length)
	return append(b, 3, 0, 1, 1)
}

func hostilePeers() []hostile {
	rq := scriptRQ()
	cmd := pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")))
	half := slices.Concat(rq, cmd, pdata(pdv(3, 0, []byte("half of an object"))))
	second := time.Second
	echo := pdata(pdv(1, isCommand|isLast, echoCommand(8)))
	peers := []hostile{
		{name: "silent", within: 30 * second},
		{name: "silent after half a request", first: rq[:90], within: 30 * second},
		{name: "silent behind the association", first: rq, within: 10 * time.Minute, last: userAbort},
		{name: "silent in a command", first: slices.Concat(rq, cmd[:30]), within: time.Minute, last: userAbort},
		{name: "silent in a data set", first: half, within: time.Minute, last: userAbort},
		{name: "a byte a second of a request", drip: rq, within: 30 * second},
		{name: "a byte a second of a PDU header", first: rq, drip: echo, within: time.Minute, last: userAbort},
		{name: "a byte a second of a command", first: slices.Concat(rq, cmd[:20]), drip: cmd[20:], within: time.Minute, last: userAbort},
		{name: "a byte a second of a data set", first: slices.Concat(rq, cmd), drip: pdata(pdv(3, 0, make([]byte, 1000))), within: time.Minute, last: userAbort},
		{name: "a byte a PDU a second", first: slices.Concat(rq, cmd), again: pdata(pdv(3, 0, []byte{0})), every: second, within: time.Minute, last: userAbort},
		{name: "a byte a second after a release", first: slices.Concat(rq, releaseRQ), drip: bytes.Repeat(releaseRQ, 10), within: 30 * second},
		{name: "a byte a second after a rejection", first: requestFor("1.2.3"), drip: bytes.Repeat(releaseRQ, 10), within: 30 * second},
		{name: "request of 4 GiB", first: []byte{typeRQ, 0, 0xff, 0xff, 0xff, 0xff}, again: make([]byte, 1<<16), last: userAbort},
		{name: "request of 200 contexts", first: contexts(200), last: userAbort},
		{name: "request of contexts for ever", first: contexts(128)[:6], again: []byte{itemContextRQ, 0, 0, 4, 1, 0, 0, 0}, last: userAbort},
		{name: "request again and again", first: rq, again: rq, last: unexpectedPDU},
		{name: "P-DATA-TF of 4 GiB", first: slices.Concat(rq, []byte{typeData, 0, 0xff, 0xff, 0xff, 0xff}), again: make([]byte, 1<<16), last: invalid},
		{name: "fragment of length 0", first: slices.Concat(half, lying(0)), last: invalid},
		{name: "fragment of length 1", first: slices.Concat(half, lying(1)), last: invalid},
		{name: "fragment of length 2^32-1", first: slices.Concat(half, lying(1<<32-1)), again: make([]byte, 1<<16), last: invalid},
		{name: "fragment longer than its PDU", first: slices.Concat(half, lying(5)), last: invalid},
		{name: "fragment shorter than its PDU", first: slices.Concat(half, lying(3)), last: invalid},
		{name: "two messages, interleaved", first: slices.Concat(half, cmd), last: unexpected},
		{name: "two contexts, interleaved", first: slices.Concat(half, pdata(pdv(5, 0, []byte("x")))), last: unexpected},
		{name: "two commands, interleaved", first: slices.Concat(rq, pdata(pdv(3, isCommand, make([]byte, 8)), pdv(1, isCommand, make([]byte, 8)))), last: unexpected},
		{name: "data set without last fragment, then a command", first: slices.Concat(half, echo), last: unexpected},
		{name: "data set without last fragment, then a release", first: slices.Concat(half, releaseRQ), last: unexpectedPDU},
		{name: "release response without a release", first: slices.Concat(rq, releaseRP), within: 2 * second, last: unexpectedPDU},
		{name: "data after a release", first: slices.Concat(rq, releaseRQ), again: slices.Concat(cmd, pdata(pdv(3, isLast, []byte("late")))), every: second, within: 30 * second},
		{name: "data after a release, as fast as it goes", first: slices.Concat(rq, releaseRQ), again: pdata(pdv(3, 0, make([]byte, 1<<16)))},
		{name: "releases after a release", first: slices.Concat(rq, releaseRQ), again: releaseRQ, every: 10 * time.Millisecond, within: 30 * second},
		{name: "requests after a release", first: slices.Concat(rq, releaseRQ), again: rq, every: second, within: 30 * second, last: unexpectedPDU},
		{name: "HTTP", first: []byte("GET / HTTP/1.1\r\nHost: pacs\r\n\r\n"), last: userAbort},
		{name: "TLS on the plain port", first: clientHello, last: userAbort},
		{name: "command without end", first: rq, again: pdata(pdv(3, isCommand, make([]byte, 4000))), last: invalid},
		{name: "command without end, a byte a PDU", first: rq, again: pdata(pdv(3, isCommand, []byte{0})), last: invalid},
		{name: "command of empty fragments", first: rq, again: pdata(pdv(3, isCommand, nil)), last: invalid},
		{name: "data set of empty fragments", first: slices.Concat(rq, cmd), again: pdata(pdv(3, 0, nil)), last: invalid},
		{name: "data set of empty fragments in one PDU", first: slices.Concat(rq, cmd), again: pdata(slices.Repeat([][]byte{pdv(3, 0, nil)}, 1000)...), last: invalid},
		{name: "command elements of nothing", first: slices.Concat(rq, pdata(pdv(3, isCommand|isLast, make([]byte, 60000)))), last: invalid},
		{name: "responses to nothing", first: rq, again: answerStore(7, StatusSuccess, ""), last: unexpected},
		{name: "noise after the association", first: rq, again: bytes.Repeat([]byte{0xa5}, 4096), last: unknownPDU},
	}
	for _, kind := range []byte{0, 8, 255} {
		name := fmt.Sprintf("PDU type %02XH ", kind)
		pdu := []byte{kind, 0, 0xff, 0xff, 0xff, 0xff}
		peers = append(peers,
			hostile{name: name + "before the association", first: pdu, again: pdu, last: userAbort},
			hostile{name: name + "on the association", first: slices.Concat(rq, pdu), again: pdu, last: unknownPDU},
			hostile{name: name + "in a data set", first: slices.Concat(half, pdu), again: pdu, last: unknownPDU},
			hostile{name: name + "after a release", first: slices.Concat(rq, releaseRQ, pdu), again: pdu, last: unknownPDU})
	}
	for kind := byte(typeRQ); kind <= typeAbort; kind++ { // PDUs of 6 bytes and nothing else
		peers = append(peers,
			hostile{name: fmt.Sprintf("PDU type %02XH of 6 bytes, for ever", kind), again: short(kind), last: userAbort},
			hostile{name: fmt.Sprintf("PDU type %02XH of 6 bytes on the association, for ever", kind), first: rq, again: short(kind), last: invalid})
	}
	return peers
}

// patience bounds what a hostile peer gets rid of before its test fails.
const patience = 64 << 20

// TestHostilePeers: each ends in A-ABORT or close within its bound, in virtual
// time, with its slot free; the log says what each cost.
func TestHostilePeers(t *testing.T) {
	for _, p := range hostilePeers() {
		t.Run(p.name, func(t *testing.T) {
			k := &keeper{}
			bubble(t, ServerConfig{Handler: k}, func(t *testing.T, srv *Server, l *pipeListener) {
				conn := l.dial()
				defer conn.Close()
				began, heard := time.Now(), make(chan []byte, 1)
				var sent, writes int
				var got []byte
				memory := allocated(func() {
					go hear(conn, heard)
					sent, writes = p.attack(conn)
					got = <-heard
				})
				took := time.Since(began)
				synctest.Wait()
				t.Logf("%-60s gone after %8v, got rid of %7d bytes, we allocated %4d KiB", p.name, took, sent, memory>>10)
				if sent >= patience || took > p.within+maxLinger {
					t.Errorf("gone after %v and %d bytes, want %v", took, sent, p.within)
				}
				if !bytes.HasSuffix(got, p.last) || p.last == nil && bytes.HasSuffix(got, userAbort) {
					t.Errorf("the last that was said is % X, want % X", got[max(0, len(got)-12):], p.last)
				}
				if memory > 512<<10+1024*uint64(writes) && !raceEnabled { // the race detector empties pools, net.Pipe makes timers for each deadline
					t.Errorf("%d bytes allocated", memory)
				}
				srv.mu.Lock()
				defer srv.mu.Unlock()
				if srv.crowd.entered != 0 || len(srv.live) != 0 {
					t.Errorf("%d slots, %d connections are left", srv.crowd.entered, len(srv.live))
				}
				for _, one := range k.all() {
					if one.err == nil {
						t.Errorf("an object of %d bytes was taken for whole", len(one.data))
					}
				}
			})
		})
	}
}

// attack sends until nothing is taken any more, and says how much was.
func (p *hostile) attack(conn net.Conn) (sent, writes int) {
	conn.SetWriteDeadline(time.Now().Add(time.Hour))
	sent, err := conn.Write(p.first)
	for _, b := range p.drip {
		time.Sleep(time.Second)
		if _, err = conn.Write([]byte{b}); err != nil {
			break
		}
		sent, writes = sent+1, writes+1
	}
	again := p.again
	if again != nil && p.every == 0 {
		again = bytes.Repeat(again, 1+10000/len(again))
	}
	for err == nil && again != nil && sent < patience {
		time.Sleep(p.every)
		var n int
		n, err = conn.Write(again)
		sent, writes = sent+n, writes+1
	}
	return sent, writes
}

// hear takes what comes until the end, and keeps the last of it.
func hear(conn net.Conn, heard chan<- []byte) {
	var kept []byte
	for p := make([]byte, 512); ; {
		n, err := conn.Read(p)
		kept = append(kept, p[:n]...)
		kept = kept[max(0, len(kept)-64):]
		if err != nil {
			heard <- slices.Clone(kept)
			return
		}
	}
}

// TestAnswersNobodyTakes: a peer that asks and never reads does not make us
// keep answers for it: we stop reading, and after a minute it is gone.
func TestAnswersNobodyTakes(t *testing.T) {
	bubble(t, ServerConfig{Handler: &keeper{}}, func(t *testing.T, srv *Server, l *pipeListener) {
		s := play(t, l).associate()
		echo := pdata(pdv(1, isCommand|isLast, echoCommand(8)))
		p := hostile{first: echo, again: echo}
		var sent int
		began := time.Now()
		memory := allocated(func() { sent, _ = p.attack(s.conn) })
		if took := time.Since(began); took > 62*time.Second || sent > maxLate+256<<10 || memory > 1<<20 && !raceEnabled {
			t.Errorf("gone after %v, %d bytes taken, %d allocated", took, sent, memory)
		}
		synctest.Wait()
		if n := srv.Established(); n != 0 {
			t.Errorf("%d slots are taken", n)
		}
	})
}

// TestHostileArchives: the same from the other side: whatever answers us, an
// operation ends in bounded time and memory, and the connection is closed.
func TestHostileArchives(t *testing.T) {
	ok := answerStore(1, StatusSuccess, "")
	request := pdata(pdv(3, isCommand|isLast, storeCommand(99, "2.25.5")), pdv(3, isLast, []byte("data")))
	for _, c := range []struct {
		name   string
		stands bool // it accepts first
		peer   hostile
	}{
		{"silent", false, hostile{within: 10 * time.Second}},
		{"answer of 4 GiB", false, hostile{first: []byte{typeAC, 0, 0xff, 0xff, 0xff, 0xff}, again: make([]byte, 4096)}},
		{"answer a byte a second", false, hostile{drip: contextAnswer(), within: 10 * time.Second}},
		{"data before the answer", false, hostile{first: request}},
		{"release before the answer", false, hostile{first: releaseRQ}},
		{"HTTP", false, hostile{first: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}},
		{"TLS alert", false, hostile{first: []byte{0x15, 3, 1, 0, 2, 2, 70}}},
		{"silent on the association", true, hostile{within: 20 * time.Second}},
		{"response a byte a second", true, hostile{drip: ok, within: 70 * time.Second}},
		{"response in single bytes", true, hostile{again: pdata(pdv(3, isCommand, []byte{0})), every: time.Second, within: 70 * time.Second}},
		{"response without end", true, hostile{again: pdata(pdv(3, isCommand, make([]byte, 4000)))}},
		{"response of empty fragments", true, hostile{again: pdata(pdv(3, isCommand, nil))}},
		{"responses of others", true, hostile{again: answerStore(4711, StatusSuccess, "")}},
		{"requests for ever", true, hostile{again: request}},
		{"PDUs of 6 bytes", true, hostile{again: short(typeData)}},
		{"accepts again", true, hostile{again: contextAnswer()}},
		{"noise", true, hostile{again: bytes.Repeat([]byte{0xa5}, 4096)}},
		{"release, and data behind it", true, hostile{first: releaseRQ, again: ok, every: time.Second, within: 15 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive(t, func(s *script, rq *AssociateRQ) {
				if c.stands {
					accept(s, rq, 0)
					takeStore(s)
				}
				heard := make(chan []byte, 1)
				go hear(s.conn, heard)
				if sent, _ := c.peer.attack(s.conn); sent >= patience {
					t.Errorf("it got rid of %d bytes", sent)
				}
				<-heard
			}, func(t *testing.T, client *Client, err error) {
				began := time.Now()
				memory := allocated(func() {
					if err == nil {
						_, err = client.Store(t.Context(), ctStore, bytes.NewReader([]byte("data")))
					}
				})
				took := time.Since(began)
				if c.stands {
					t.Logf("%-30s ended after %8v, we allocated %4d KiB: %v", c.name, took, memory>>10, err)
				}
				if err == nil && c.name != "release, and data behind it" || took > c.peer.within+5*time.Second || memory > 2<<20 && !raceEnabled {
					t.Errorf("ended after %v with %d bytes allocated: %v", took, memory, err)
				}
			})
		})
	}
}

func contextAnswer() []byte {
	rq := &AssociateRQ{ProtocolVersion: 1, ApplicationContext: ApplicationContext, Contexts: []Proposal{ctProposal}}
	ac, _ := Negotiate(rq, Peer{}, Policy{ImplementationClassUID: "2.25.8"})
	return ac.append(nil)
}

// TestDisaster13SlotsComeBack: thousands of associations that abort, close,
// break off or fall silent, at each phase of their life: every slot comes back,
// and the next modality comes in (fo-dicom #1450).
func TestDisaster13SlotsComeBack(t *testing.T) {
	rq, cmd := scriptRQ(), pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")))
	phases := [][]byte{nil, rq[:40], rq, slices.Concat(rq, cmd[:30]), slices.Concat(rq, cmd), slices.Concat(rq, cmd, pdata(pdv(3, 0, []byte("half")))),
		slices.Concat(rq, cmd, pdata(pdv(3, isLast, []byte("whole")))), slices.Concat(rq, releaseRQ)}
	ends := map[string]func(net.Conn){
		"aborts": func(c net.Conn) { c.Write(abortPDU) },
		"closes": func(c net.Conn) {},
		"noise":  func(c net.Conn) { c.Write([]byte{0xff}) },
		"silent": func(c net.Conn) { time.Sleep(11 * time.Minute) },
	}
	const slots, waves = 8, 16
	bubble(t, ServerConfig{Handler: &keeper{}, MaxAssociations: slots}, func(t *testing.T, srv *Server, l *pipeListener) {
		total := 0
		for range waves {
			for name, end := range ends {
				for i, phase := range phases {
					done := make(chan struct{}, slots)
					for range slots {
						conn := l.dial()
						go io.Copy(io.Discard, conn)
						go func() { conn.Write(phase); end(conn); conn.Close(); done <- struct{}{} }()
					}
					for range slots {
						<-done
					}
					synctest.Wait()
					if total += slots; srv.Established() != 0 {
						t.Fatalf("phase %d, %s: %d slots are taken", i, name, srv.Established())
					}
				}
			}
		}
		var all []*script
		for range slots {
			all = append(all, play(t, l).associate())
		}
		play(t, l).send(rq).expect(typeRJ, 0, 2, 3, 2)
		for _, s := range all {
			s.release()
		}
		t.Logf("%d associations ended badly, %d slots were there for the next", total, slots)
	})
}

// TestCallbacksThatPanicGiveTheirSlotBack, too: wherever they do.
func TestCallbacksThatPanicGiveTheirSlotBack(t *testing.T) {
	for _, where := range []string{"opened", "store", "closed"} {
		h := handlerFunc(func(context.Context, *Association, StoreRequest, io.Reader) Status {
			panics(where == "store")
			return 0
		})
		o := &observerFunc{opened: func() { panics(where == "opened") }, closed: func() { panics(where == "closed") }}
		bubble(t, ServerConfig{Handler: h, Observer: o, MaxAssociations: 1, MaxPerAddress: 1, MaxPerTitle: 1}, func(t *testing.T, srv *Server, l *pipeListener) {
			for range 5 {
				s := play(t, l).send(scriptRQ())
				s.expect(typeAC)
				s.send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1"))), pdata(pdv(3, isLast, []byte("data"))), abortPDU)
				s.conn.Close()
				synctest.Wait()
				if n := srv.Established(); n != 0 || len(srv.crowd.addresses)+len(srv.crowd.names) != 0 {
					t.Errorf("panic in %s: %d slots are taken", where, n)
				}
			}
		})
	}
}

func panics(now bool) {
	if now {
		panic(errors.New("a mistake of ours"))
	}
}

type observerFunc struct{ opened, closed func() }

func (o *observerFunc) Refused(Peer, Reject, Negotiation) {}
func (o *observerFunc) Opened(*Association)               { o.opened() }
func (o *observerFunc) Closed(*Association, error)        { o.closed() }

// TestMemoryOfACrowd: what an association and a connection cost that are there
// and do nothing, by measuring many.
func TestMemoryOfACrowd(t *testing.T) {
	for _, c := range []struct {
		name string
		say  []byte
		most uint64
	}{{"waiting", nil, 24 << 10}, {"waiting with half a request", scriptRQ()[:90], 24 << 10}, {"established", scriptRQ(), 192 << 10}, {"in the middle of an object", append(scriptRQ(), pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")))...), 256 << 10}} {
		const n = 200
		bubble(t, ServerConfig{Handler: sink, MaxAssociations: n}, func(t *testing.T, srv *Server, l *pipeListener) {
			before := liveMemory()
			for range n {
				conn := l.dial()
				defer conn.Close()
				go io.Copy(io.Discard, conn)
				conn.Write(c.say)
			}
			synctest.Wait()
			each := (liveMemory() - before) / n
			t.Logf("%-30s %4d KiB each, both ends of the connection included", c.name, each>>10)
			if each > c.most && !raceEnabled {
				t.Errorf("%s: %d bytes each, want at most %d", c.name, each, c.most)
			}
		})
	}
}

func liveMemory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
