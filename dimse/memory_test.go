package dimse

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// loopConn gives the same bytes again and again.
type loopConn struct {
	byteConn
	b  []byte
	at int
}

func (c *loopConn) Read(p []byte) (int, error) {
	n := copy(p, c.b[c.at:])
	c.at = (c.at + n) % len(c.b)
	return n, nil
}

func readingUpper(conn net.Conn) *upper {
	u := newUpper(newWire(conn, time.Minute, time.Minute), false, 30*time.Second, 1<<16)
	u.state = sta6
	u.established(128 << 10)
	return u
}

// TestNoAllocationPerFragment: receiving costs no garbage, however small the
// fragments are.
func TestNoAllocationPerFragment(t *testing.T) {
	for _, size := range []int{100, 16 << 10, 128 << 10} {
		conn := &loopConn{b: pdata(pdv(3, 0, make([]byte, size)), pdv(3, 0, make([]byte, 50)))}
		u := readingUpper(conn)
		var d dataSet
		d.reset(&u.data, 3)
		p := make([]byte, 4096)
		allocs := testing.AllocsPerRun(2000, func() {
			if _, err := d.Read(p); err != nil {
				t.Fatal(err)
			}
			if _, err := d.writeSomeOf(io.Discard); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("fragments of %d bytes: %v allocations each", size, allocs)
		}
	}
}

// writeSomeOf is one turn of WriteTo.
func (d *dataSet) writeSomeOf(w io.Writer) (int, error) {
	if err := d.advance(); err != nil {
		return 0, err
	}
	return d.writeSome(w)
}

// TestDeclaredLengthAllocatesNothing: 4 GiB announced, a few bytes sent: what
// is allocated stays below what arrived and 64 KiB (P9), wherever the length
// stands.
func TestDeclaredLengthAllocatesNothing(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff}
	cases := map[string][]byte{
		"request":          slices.Concat([]byte{typeRQ, 0}, huge, make([]byte, 200)),
		"longest request":  slices.Concat([]byte{typeRQ, 0, 0, 4, 0, 0}, make([]byte, 200)),
		"P-DATA-TF":        slices.Concat(scriptRQ(), []byte{typeData, 0}, huge, make([]byte, 200)),
		"fragment":         slices.Concat(scriptRQ(), []byte{typeData, 0, 2, 0, 0, 0}, huge, []byte{3, 3}, make([]byte, 200)),
		"longest fragment": slices.Concat(scriptRQ(), []byte{typeData, 0, 2, 0, 0, 4, 2, 0, 0, 0, 3, 3}, make([]byte, 200)),
		"command element":  slices.Concat(scriptRQ(), pdata(pdv(3, isCommand|isLast, slices.Concat([]byte{0, 0, 2, 0}, huge)))),
	}
	for name, b := range cases {
		s := newTestServer(t, ServerConfig{Handler: sink, ReadBuffer: 4096})
		got := allocated(func() {
			for range 10 {
				s.run(s.admitConnection(newByteConn(b)))
			}
		}) / 10
		if got > 64<<10 {
			t.Errorf("%s: %d bytes allocated for %d received", name, got, len(b))
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// zeros is n zero bytes, made as they are read.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n)
	z.n -= n
	return int(n), nil
}

// TestDisaster18MoreThanFourGiBOverTCP: lengths are 64 bits everywhere, and an object of any
// size passes in the memory of a small one.
func TestDisaster18MoreThanFourGiBOverTCP(t *testing.T) {
	if raceEnabled {
		t.Skip("four gigabytes take too long under the race detector; the plain run has it")
	}
	const size = 1<<32 + 12345
	var got int64
	count := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
		n, err := io.Copy(io.Discard, data)
		if got = n; err != nil {
			return StatusProcessingFailure
		}
		return StatusSuccess
	})
	_, port := serveTCP(t, ServerConfig{Handler: count})
	c := testDial(t, port, ctProposal)
	used := allocated(func() {
		if rsp, err := c.Store(t.Context(), ctStore, &zeros{size}); err != nil || rsp.Status != StatusSuccess {
			t.Errorf("store: %v, %v", rsp, err)
		}
	})
	if got != size || c.Counts().Bytes != size {
		t.Errorf("%d bytes arrived, %d were counted, want %d", got, c.Counts().Bytes, int64(size))
	}
	if used > 4<<20 {
		t.Errorf("%d bytes allocated on the way", used)
	}
	c.Release(t.Context())
}

// TestGarbageOverTCP: with a real kernel in between, who speaks HTTP sees the
// end, also when it keeps its side open, and when it closes it, and not only when
// ARTIM runs out; TestGarbageIsClosedAtOnce has the second.
func TestGarbageOverTCP(t *testing.T) {
	s, port := serveTCP(t, ServerConfig{Handler: &keeper{}, ARTIM: time.Hour})
	for _, leave := range []bool{false, true} {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("GET / HTTP/1.1\r\nHost: pacs\r\n\r\n"))
		if leave {
			conn.Close()
		}
		began := time.Now()
		conn.SetDeadline(began.Add(time.Minute))
		if got, err := io.ReadAll(conn); !leave && (err != nil || !bytes.Equal(got, abortPDU)) {
			t.Errorf("got % X, %v, want A-ABORT and the end", got, err)
		}
		conn.Close()
	}
	waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.live) == 0 })
}

// heap is what is in use after f, less what was before it.
func heap(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// asking opens an association on which an identifier of n bytes has come but for
// its end.
func asking(t *testing.T, l *pipeListener, n int) *script {
	s := play(t, l)
	s.send(queryRQ()).expect(typeAC)
	s.send(pdata(pdv(findContext, isCommand|isLast, queryCommand(cFindRQ, 5, StudyRootFind))))
	piece := make([]byte, 64<<10)
	for ; n > 0; n -= len(piece) {
		s.send(pdata(pdv(findContext, 0, piece[:min(n, len(piece))])))
	}
	return s
}

// TestSmallDataSetsShareTheirMemory: eight associations in the middle of four
// megabytes each hold what all may hold together and not more, and one that has
// said too much holds nothing of it; an ordinary request is served meanwhile, and
// when they are over a large one, too.
func TestSmallDataSetsShareTheirMemory(t *testing.T) {
	const all, each = 16 << 20, 512 << 10 // each: buffers, command, test
	scp := &shelf{t: t}
	bubble(t, ServerConfig{Handler: &keeper{}, Query: scp, MaxSmallBytes: all}, func(t *testing.T, srv *Server, l *pipeListener) {
		scp.t = t
		open := func(n, size int) (scripts []*script) {
			for range n {
				scripts = append(scripts, asking(t, l, size))
			}
			synctest.Wait()
			return scripts
		}
		var long, whole []*script
		if got := heap(func() { long = open(8, MaxSmallDataSet+1) }); got > 8*each {
			t.Errorf("8 that are too long hold %d KiB", got>>10)
		}
		if got := heap(func() { whole = open(8, MaxSmallDataSet) }); got > all+8*each || got < all/2 {
			t.Errorf("8 of 4 MiB hold %d KiB, want at most %d", got>>10, (all+8*each)>>10)
		}
		ordinary := asking(t, l, 0)
		ordinary.send(pdata(pdv(findContext, isLast, studyQuery(t, ImplicitVRLE).Identifier.Bytes))).expectResponse(cFindRQ|responseBit, 5, StatusSuccess)
		refused := 0
		for _, s := range append(long, whole...) {
			c, _ := parseCommand(s.send(pdata(pdv(findContext, isLast, nil))).expect(typeData)[pdvHeader:])
			switch Status(c.uint16(tagStatus)) {
			case StatusOutOfResources:
				refused++
			case StatusSuccess:
			default:
				t.Errorf("answered %v", Status(c.uint16(tagStatus)))
			}
		}
		if refused < 8+4 || refused > 8+6 {
			t.Errorf("%d refused, want those that are too long and those that 16 MiB have no room for", refused)
		}
		asking(t, l, MaxSmallDataSet).send(pdata(pdv(findContext, isLast, nil))).expectResponse(cFindRQ|responseBit, 5, StatusSuccess)
		asking(t, l, MaxSmallDataSet).conn.Close() // in the middle
		synctest.Wait()
		if left := srv.small.left.Load(); left != all {
			t.Errorf("%d bytes are left, want %d", left, all)
		}
	})
}
