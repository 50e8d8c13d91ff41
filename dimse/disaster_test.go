package dimse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What broke other projects, and cannot break this one. The numbers are those
// of the list that docs and other rooms use, too.

// TestDisaster11CountsOfWhatWasOffered: a device sends 180 images and the line
// breaks in the middle of the 128th (fo-dicom #1464: 127 had arrived and nobody
// knew). Both ends and the log say how many were offered, and how many of them
// are acknowledged.
func TestDisaster11CountsOfWhatWasOffered(t *testing.T) {
	for name, end := range map[string]func(*script){"abort": func(s *script) { s.send(abortPDU) }, "cut": func(s *script) { s.conn.Close() }} {
		var log bytes.Buffer
		w := &watcher{}
		bubble(t, ServerConfig{Handler: &keeper{}, Observer: w, Log: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, _ *Server, l *pipeListener) {
			s := play(t, l).associate()
			for n := range uint16(127) {
				s.send(pdata(pdv(3, isCommand|isLast, storeCommand(n, "2.25.1")), pdv(3, isLast, []byte("whole")))).expectResponse(0x8001, n, StatusSuccess)
			}
			s.send(pdata(pdv(3, isCommand|isLast, storeCommand(127, "2.25.1")), pdv(3, 0, []byte("half"))))
			end(s)
			synctest.Wait()
			_, _, closed, counts := w.snapshot()
			if len(counts) != 1 || counts[0] != (Counts{Stored: 127, Failed: 1, Bytes: 127*5 + 4}) || closed[0] == nil {
				t.Errorf("%s: observer saw %v, %v", name, counts, closed)
			}
			if !strings.Contains(log.String(), "stored=127 failed=1") {
				t.Errorf("%s: log says %s", name, log.String())
			}
		})
	}
	archive(t, func(s *script, rq *AssociateRQ) { // the same as its SCU
		accept(s, rq, 0)
		for range 3 {
			id, _, _ := takeStore(s)
			s.send(answerStore(id, StatusSuccess, ""))
		}
		takeStore(s) // and no answer
	}, func(t *testing.T, c *Client, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = c.Store(t.Context(), ctStore, strings.NewReader("data"))
		}
		if got := c.Counts(); !errors.Is(err, ErrLost) || got != (Counts{Stored: 3, Failed: 1, Bytes: 16}) {
			t.Errorf("client counted %v, %v", got, err)
		}
	})
}

// TestDisaster14NothingFollowsHalfAMessage: when time runs out in the middle of
// P-DATA, the association is over: what came behind it would be taken for the
// rest (fo-dicom #1359, PS3.8 Annex E). The peer hears A-ABORT and no more.
func TestDisaster14NothingFollowsHalfAMessage(t *testing.T) {
	archive(t, func(s *script, rq *AssociateRQ) {
		accept(s, rq, 4096)
		for range 4 { // command and three fragments of data
			s.expect(typeData)
		}
		s.expect(typeAbort)
		s.expectClosed()
	}, func(t *testing.T, c *Client, err error) {
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		source := io.MultiReader(&zeros{3*4090 + 1}, &asleep{ctx: ctx})
		if _, err := c.Store(ctx, ctStore, source); err == nil {
			t.Error("half a message was a success")
		}
		if _, err := c.Store(t.Context(), ctStore, strings.NewReader("next")); err == nil {
			t.Error("the association was used again")
		}
		if _, err := c.Echo(t.Context()); err == nil {
			t.Error("the association was used again")
		}
	})
}

// asleep is a source that gives nothing until its context ends.
type asleep struct{ ctx context.Context }

func (a *asleep) Read([]byte) (int, error) { <-a.ctx.Done(); return 0, a.ctx.Err() }

// TestDisaster16ExactlyOneLastFragment: around every boundary of the PDU size
// an object has exactly one last fragment, at its end and not empty (fo-dicom
// #792: above 1.2 MB the acceptor waited for a last one that never came). And a
// peer that never sends it is not waited for.
func TestDisaster16ExactlyOneLastFragment(t *testing.T) {
	for _, most := range []uint32{4096, 16384, 16372, 28672, 131072, 1 << 20} {
		fragment := int64(most-pdvHeader) &^ 1
		for _, size := range []int64{1, fragment - 1, fragment, fragment + 1, 2 * fragment, 1_200_000, 1_250_000, 1_200_000 / fragment * fragment} {
			sink := &sinkConn{max: most}
			if rsp, err := sink.store(t, &zeros{size}); err != nil || rsp.Status != StatusSuccess {
				t.Errorf("PDU of %d, object of %d: %v, %v", most, size, rsp, err)
			}
			if sink.bytes != size || sink.lasts != 1 || sink.lastLength == 0 || sink.longest > int64(most) {
				t.Errorf("PDU of %d, object of %d: %d arrived, %d last fragments, the last of %d bytes, longest PDU %d", most, size, sink.bytes, sink.lasts, sink.lastLength, sink.longest)
			}
		}
	}
	w := &watcher{}
	bubble(t, ServerConfig{Handler: &keeper{}, Observer: w}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).associate()
		began := time.Now()
		s.send(pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1"))), pdata(pdv(3, 0, make([]byte, 1_200_000))))
		s.expect(typeAbort)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("aborted after %v", took)
		}
	})
}

// sinkConn is an archive without a line: it counts what is written, keeps
// nothing, and answers one C-STORE.
type sinkConn struct {
	byteConn
	max                               uint32 // what it receives
	bytes, longest, lasts, lastLength int64  // of the data set
}

func (c *sinkConn) store(t *testing.T, data io.Reader) (Response, error) {
	cfg := clientConfig("1", ctProposal)
	cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return c, nil }
	client, err := Dial(t.Context(), cfg)
	if err != nil {
		return Response{}, err
	}
	rsp, err := client.Store(t.Context(), ctStore, data)
	if err == nil {
		err = client.Release(t.Context())
	}
	return rsp, err
}

// Write takes one PDU, as the client writes them.
func (c *sinkConn) Write(p []byte) (int, error) {
	switch {
	case p[0] == typeRQ:
		rq, err := parseAssociateRQ(p[headerSize:])
		if err != nil {
			return 0, err
		}
		ac, _ := Negotiate(rq, Peer{}, Policy{ImplementationClassUID: "2.25.8", MaxPDU: c.max})
		c.Reset(ac.append(nil))
	case p[0] == typeReleaseRQ:
		c.Reset(releaseRP)
	case p[0] == typeData && p[11]&isCommand == 0:
		n := int64(len(p) - dataHeader)
		c.bytes += n
		c.longest = max(c.longest, int64(len(p)-headerSize))
		if p[11]&isLast != 0 {
			c.lasts, c.lastLength = c.lasts+1, n
			c.Reset(answerStore(1, StatusSuccess, ""))
		}
	}
	return len(p), nil
}

// TestDisaster17HalfAGigabyteInAFewKilobytes: objects of 500 MB, several at
// once, pass in the memory of small ones (pynetdicom #629).
func TestDisaster17HalfAGigabyteInAFewKilobytes(t *testing.T) {
	size := int64(500 << 20)
	if raceEnabled {
		size = 50 << 20 // the plain run has it all
	}
	k := &counter{}
	_, port := serveTCP(t, ServerConfig{Handler: k})
	const senders = 3
	var clients []*Client
	for range senders {
		clients = append(clients, testDial(t, port, ctProposal))
	}
	used := allocated(func() {
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				if rsp, err := c.Store(t.Context(), ctStore, &zeros{size}); err != nil || rsp.Status != StatusSuccess {
					t.Errorf("store: %v, %v", rsp, err)
				}
				c.Release(t.Context())
			})
		}
		wg.Wait()
	})
	t.Logf("%d objects of %d MB at once: %d KiB allocated in all, both ends", senders, size>>20, used>>10)
	if k.bytes != senders*size || used > 2<<20 {
		t.Errorf("%d bytes arrived, %d were allocated", k.bytes, used)
	}
}

// counter is a Handler for several associations that counts bytes.
type counter struct {
	mu    sync.Mutex
	bytes int64
}

func (k *counter) Echo(context.Context, *Association) Status { return StatusSuccess }

func (k *counter) Store(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
	n, err := io.Copy(io.Discard, data)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bytes += n; err != nil {
		return StatusProcessingFailure
	}
	return StatusSuccess
}

// TestDisaster18LengthsAre64Bits: at the edges of 31 and 32 bits, as acceptor
// and as requestor, every byte is counted (dcm4che #1471).
func TestDisaster18LengthsAre64Bits(t *testing.T) {
	for _, size := range []int64{1<<31 - 1, 1 << 31, 1<<32 - 2, 1<<32 + 1<<31 + 1} {
		k := &counter{}
		w := &watcher{}
		s := newTestServer(t, ServerConfig{Handler: k, Observer: w})
		conn := &scanner{parts: []io.Reader{
			bytes.NewReader(slices.Concat(scriptRQ(), pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1"))))), &stream{left: size}, bytes.NewReader(releaseRQ)}}
		used := allocated(func() { s.run(s.admitConnection(conn)) })
		if _, _, closed, counts := w.snapshot(); k.bytes != size || len(counts) != 1 || counts[0] != (Counts{1, 0, size}) || closed[0] != nil {
			t.Errorf("acceptor of %d bytes: %d arrived, %v, %v", size, k.bytes, counts, closed)
		}
		archive := &sinkConn{}
		if rsp, err := archive.store(t, &zeros{size}); err != nil || rsp.Status != StatusSuccess || archive.bytes != size {
			t.Errorf("requestor of %d bytes: %v, %v, %d arrived", size, rsp, err, archive.bytes)
		}
		if used > 1<<20 {
			t.Errorf("%d bytes: %d allocated", size, used)
		}
	}
}

// scanner is a modality without a line: what it sends is made as it is read.
type scanner struct {
	byteConn
	parts []io.Reader
}

func (c *scanner) Read(p []byte) (int, error) {
	for len(c.parts) > 0 {
		n, err := c.parts[0].Read(p)
		if err == nil || n > 0 {
			return n, nil
		}
		c.parts = c.parts[1:]
	}
	return 0, io.EOF
}

// stream is a data set of left bytes in PDUs of a mebibyte, made as it is read.
type stream struct {
	left int64
	head []byte
	body int64
}

func (s *stream) Read(p []byte) (int, error) {
	switch {
	case len(s.head) > 0:
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	case s.body > 0:
		n := min(int64(len(p)), s.body)
		s.body -= n
		return int(n), nil
	case s.left == 0:
		return 0, io.EOF
	}
	s.body = min(s.left, 1<<20)
	s.left -= s.body
	s.head = binary.BigEndian.AppendUint32([]byte{typeData, 0}, uint32(s.body+pdvHeader))
	s.head = append(binary.BigEndian.AppendUint32(s.head, uint32(s.body+2)), 3, isLast&-bit(s.left == 0))
	return s.Read(p)
}

// TestDisaster19CosmeticsNeverAbort: what is illegal and does not matter is
// taken as it is: the association lives, the object is stored, the handler sees
// the UID as it was sent (pynetdicom #322, #823, #361, #342, #561).
func TestDisaster19CosmeticsNeverAbort(t *testing.T) {
	uids := []string{"1.2.03.4", "1..2", ".1", "1.2.", "1.2.840.A", "not a uid", "../../etc/passwd", "1.2/3", "1\\2", "日本", strings.Repeat("1.", 200) + "1", "2.25.1\n", "0"}
	k := &keeper{}
	bubble(t, ServerConfig{Handler: k}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).associate()
		for i, uid := range uids {
			s.send(pdata(pdv(3, isCommand|isLast, storeCommand(uint16(i), uid)), pdv(3, isLast, []byte("data")))).expectResponse(0x8001, uint16(i), StatusSuccess)
		}
		s.release()
		for i, got := range k.all() {
			if got.rq.SOPInstanceUID != uids[i] {
				t.Errorf("got %q, sent %q", got.rq.SOPInstanceUID, uids[i])
			}
		}
	})
	reserved := scriptRQ()
	reserved[1], reserved[8], reserved[9] = 0xff, 0xff, 0xff
	for i := 42; i < 74; i++ {
		reserved[i] = 0xff
	}
	odd := (&AssociateRQ{ProtocolVersion: 0xffff, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext + "\x00 ",
		Contexts: []Proposal{{1, Verification, []string{""}}, {3, "1.2.03", []string{"1.2.99"}}, {5, "", nil}, {7, ctImage, nil}, {8, ctImage, []string{ExplicitVRLE}}}}).append(nil)
	for name, c := range map[string]struct {
		rq   []byte
		want []ContextResult
	}{
		"reserved bytes": {reserved, []ContextResult{0, 0, 0}},
		"odd contexts":   {odd, []ContextResult{4, 0, 3, 4, 2}},
	} {
		bubble(t, ServerConfig{Handler: k}, func(t *testing.T, _ *Server, l *pipeListener) {
			s := play(t, l).send(c.rq)
			ac, err := parseAssociateAC(s.expect(typeAC))
			var got []ContextResult
			for _, one := range ac.Contexts {
				got = append(got, one.Result)
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: answered %v, %v, want %v", name, got, err, c.want)
			}
			rq := releaseRQ
			rq = slices.Concat(rq[:6], []byte{0xff, 0xff, 0xff, 0xff}) // reserved, too
			s.send(rq).expect(typeReleaseRP)
		})
	}
	w := &watcher{}
	bubble(t, ServerConfig{Handler: k, Observer: w}, func(t *testing.T, _ *Server, l *pipeListener) {
		play(t, l).associate().send(shortPDU(typeAbort, 0, 1, 99)).expectClosed()
		synctest.Wait()
		if _, _, closed, _ := w.snapshot(); len(closed) != 1 || !errors.Is(closed[0], ErrAborted) {
			t.Errorf("an abort with a reserved source: %v", closed)
		}
	})
}

// TestDisaster22ParallelAndQuick: some scanners limit the time of the whole
// transfer and then abort (mercure #45). So an object is answered the moment
// its last byte is here, associations do not wait for each other, and if the
// peer aborts all the same, the log says after how long.
func TestDisaster22ParallelAndQuick(t *testing.T) {
	var log bytes.Buffer
	slow := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
		io.Copy(io.Discard, data)
		time.Sleep(time.Second) // a disk
		return StatusSuccess
	})
	bubble(t, ServerConfig{Handler: slow, Log: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, srv *Server, l *pipeListener) {
		began := time.Now()
		var scanners []*script
		for range 32 {
			scanners = append(scanners, play(t, l).associate())
		}
		message := pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(3, isLast, []byte("data")))
		for range 5 {
			for _, s := range scanners {
				s.send(message)
			}
			for _, s := range scanners {
				s.expectResponse(0x8001, 7, StatusSuccess)
			}
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("five objects on each of 32 associations took %v, want that of five on one", took)
		}
		time.Sleep(295 * time.Second)
		scanners[0].send(abortPDU)
		synctest.Wait()
	})
	if !strings.Contains(log.String(), `ended="peer aborted after 300.0 s"`) {
		t.Errorf("log says %s", log.String())
	}
}

// TestDisaster24EverySyntaxIsAccepted: every transfer syntax of the standard,
// and those that it does not have, for storage classes known and unknown; and
// the log of a debugging engineer has the whole negotiation, accepted or not
// (Conquest #45, #27).
func TestDisaster24EverySyntaxIsAccepted(t *testing.T) {
	syntaxes := []string{"1.2.840.113619.5.2", "1.3.46.670589.33.1.4.1", "2.25.4711"}
	for _, ts := range TransferSyntaxes() {
		syntaxes = append(syntaxes, ts.UID)
	}
	if len(syntaxes) < 40 {
		t.Fatalf("only %d transfer syntaxes", len(syntaxes))
	}
	k, log := &keeper{}, &bytes.Buffer{}
	admit := func(p Peer) *Reject {
		if p.Calling == "STRANGER" {
			return &RejectCalling
		}
		return nil
	}
	cfg := ServerConfig{Handler: k, Admit: admit, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	bubble(t, cfg, func(t *testing.T, _ *Server, l *pipeListener) {
		for _, class := range []string{ctImage, "1.3.12.2.1107.5.9.1"} {
			var proposals []Proposal
			for i, ts := range syntaxes {
				proposals = append(proposals, Proposal{byte(2*i + 1), class, []string{ts}})
			}
			rq := AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext, Contexts: proposals}
			s := play(t, l).send(rq.append(nil))
			ac, err := parseAssociateAC(s.expect(typeAC))
			if err != nil || len(ac.Contexts) != len(syntaxes) {
				t.Fatalf("%d answered, %v", len(ac.Contexts), err)
			}
			for i, c := range ac.Contexts {
				if c.Result != ContextAccepted || c.TransferSyntax != syntaxes[i] {
					t.Errorf("%s in %s: %v %s", class, syntaxes[i], c.Result, c.TransferSyntax)
				}
				s.send(pdata(pdv(c.ID, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(c.ID, isLast, []byte(syntaxes[i])))).expectResponse(0x8001, 7, StatusSuccess)
			}
			s.release()
		}
		rq := AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "STRANGER", ApplicationContext: ApplicationContext, Contexts: []Proposal{{1, "1.2.3.4.5", []string{"1.2.3.4.6"}}}}
		play(t, l).send(rq.append(nil)).expect(typeRJ)
	})
	for i, got := range k.all() {
		if ts := syntaxes[i%len(syntaxes)]; got.rq.TransferSyntaxUID != ts || string(got.data) != ts {
			t.Errorf("stored in %s: %q", got.rq.TransferSyntaxUID, got.data)
		}
	}
	for i, ts := range syntaxes {
		if want := fmt.Sprintf(`negotiation.context_%d="%s in %s: accepted in %s"`, 2*i+1, ctImage, ts, ts); !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %s", want)
		}
	}
	if want := `negotiation.context_1="1.2.3.4.5 in 1.2.3.4.6: association rejected"`; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not have %s", want)
	}
}
