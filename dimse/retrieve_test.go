package dimse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// stocked makes an instance that can be sent.
func stocked(n int, class, ts, data string) Instance {
	return Instance{class, fmt.Sprintf("2.25.100.%d", n), ts, func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(data)), nil
	}}
}

func moveProposal() Proposal {
	return Proposal{AbstractSyntax: StudyRootMove, TransferSyntaxes: []string{ExplicitVRLE}}
}

func getProposal() Proposal {
	return Proposal{AbstractSyntax: StudyRootGet, TransferSyntaxes: []string{ImplicitVRLE}}
}

func retrieveQuery(t testing.TB, class string) Query {
	q := studyQuery(t, ExplicitVRLE)
	q.SOPClassUID, q.Destination, q.Priority = class, "WS2", PriorityHigh
	return q
}

// moving moves what is on the shelf to a destination and returns what became of it.
func moving(t *testing.T, scp *shelf, destination ServerConfig) (Retrieved, *Client) {
	t.Helper()
	_, there := serveTCP(t, destination)
	scp.peers = map[string]ClientConfig{"WS2": clientConfig(there)}
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	c := testDial(t, port, moveProposal())
	r, err := c.Move(t.Context(), retrieveQuery(t, StudyRootMove), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	return r, c
}

// TestMoveSendsAsStored: byte for byte, in the transfer syntax that each instance
// is in, and it is said for whom (PS3.7 §9.1.1.1.7; P3).
func TestMoveSendsAsStored(t *testing.T) {
	scp, k := &shelf{t: t}, &keeper{}
	for n, ts := range []string{ExplicitVRLE, jpegLossy, ImplicitVRLE, jpegLossy, "1.2.840.10008.1.2.4.203"} {
		scp.instances = append(scp.instances, stocked(n, ctImage, ts, strings.Repeat(ts, 1+n*1000)))
	}
	r, c := moving(t, scp, ServerConfig{Handler: k})
	if r.Status != StatusSuccess || r.SubOperations != (SubOperations{Completed: 5}) || r.FailedUIDs != nil {
		t.Errorf("got %+v", r)
	}
	got := k.all()
	if len(got) != 5 {
		t.Fatalf("%d instances arrived, want 5", len(got))
	}
	for n, i := range got {
		ts := scp.instances[n].TransferSyntaxUID
		if i.rq.TransferSyntaxUID != ts || i.rq.SOPInstanceUID != scp.instances[n].SOPInstanceUID || string(i.data) != strings.Repeat(ts, 1+n*1000) {
			t.Errorf("instance %d arrived as %+v, %d bytes", n, i.rq, len(i.data))
		}
		if i.rq.MoveOriginator != "CT1" || i.rq.MoveOriginatorID != c.messageID || i.rq.Priority != PriorityHigh {
			t.Errorf("on behalf of %q, message %d, priority %d, want CT1, %d, %d", i.rq.MoveOriginator, i.rq.MoveOriginatorID, i.rq.Priority, c.messageID, PriorityHigh)
		}
	}
}

// broken are instances that cannot be read, from the start or from the middle.
func broken() []Instance {
	opening, reading := stocked(90, ctImage, ExplicitVRLE, ""), stocked(91, ctImage, ExplicitVRLE, "")
	opening.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("gone") }
	reading.Open = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("bad sector")))), nil
	}
	return []Instance{opening, reading}
}

// TestMoveGoesOnAfterFailures: each instance has a fate of its own, and those
// that failed are named (PS3.4 §C.4.2.1.4.2).
func TestMoveGoesOnAfterFailures(t *testing.T) {
	other, mine := "1.2.840.10008.5.1.4.1.1.4", "2.25.999"
	scp := &shelf{t: t, instances: slices.Concat(broken(), []Instance{
		stocked(1, ctImage, ExplicitVRLE, "fine"), stocked(2, other, ExplicitVRLE, "no such class there"),
		stocked(3, ctImage, ExplicitVRLE, "refused"), stocked(4, ctImage, ExplicitVRLE, "with a warning"), stocked(5, mine, jpegLossy, "fine, too"),
	})}
	var kept []string
	h := handlerFunc(func(_ context.Context, _ *Association, rq StoreRequest, data io.Reader) Status {
		b, err := io.ReadAll(data)
		switch {
		case err != nil:
			return StatusProcessingFailure
		case string(b) == "refused":
			return StatusOutOfResources
		}
		kept = append(kept, string(b)) // one association at a time
		if string(b) == "with a warning" {
			return StatusElementsDiscarded
		}
		return StatusSuccess
	})
	r, _ := moving(t, scp, ServerConfig{Handler: h, Accepts: func(_ Peer, class string) bool { return class != other }})
	want := []string{"2.25.100.90", "2.25.100.91", "2.25.100.2", "2.25.100.3"}
	if r.Status != StatusCoercion || r.SubOperations != (SubOperations{Completed: 2, Failed: 4, Warning: 1}) || !slices.Equal(r.FailedUIDs, want) {
		t.Errorf("got %+v, want B000 and %v", r, want)
	}
	if !slices.Equal(kept, []string{"fine", "with a warning", "fine, too"}) {
		t.Errorf("kept %q", kept)
	}
}

// TestMoveOfMoreThan128Contexts takes several associations (PS3.8 §9.3.2.2).
func TestMoveOfMoreThan128Contexts(t *testing.T) {
	scp, k, w := &shelf{t: t}, &keeper{}, &watcher{}
	for n := range 300 {
		scp.instances = append(scp.instances, stocked(n, fmt.Sprintf("2.25.8.%d", n%150), []string{ExplicitVRLE, jpegLossy}[n/150], "x"))
	}
	r, _ := moving(t, scp, ServerConfig{Handler: k, Observer: w})
	waitFor(t, func() bool { _, _, closed, _ := w.snapshot(); return len(closed) == 3 }) // the last release comes after our answer
	if _, opened, _, _ := w.snapshot(); r.Status != StatusSuccess || r.Completed != 300 || len(k.all()) != 300 || opened != 3 {
		t.Errorf("got %+v, %d arrived over %d associations, want 300 over 3", r, len(k.all()), opened)
	}
	if _, _, closed, _ := w.snapshot(); !slices.Equal(closed, []error{nil, nil, nil}) {
		t.Errorf("associations ended with %v, want releases", closed)
	}
}

// TestMoveReconnectsOnce: an association that is lost is opened again, and the
// instance sent again; a destination that loses the next one, too, gets no more.
func TestMoveReconnectsOnce(t *testing.T) {
	for _, faults := range []int{1, 2} {
		scp, k, left := &shelf{t: t}, &keeper{}, faults
		for n := range 5 {
			scp.instances = append(scp.instances, stocked(n, ctImage, ExplicitVRLE, fmt.Sprint(n)))
		}
		h := handlerFunc(func(ctx context.Context, a *Association, rq StoreRequest, data io.Reader) Status {
			if rq.SOPInstanceUID == "2.25.100.2" && left > 0 {
				left--
				panic("the destination falls over")
			}
			return k.Store(ctx, a, rq, data)
		})
		r, _ := moving(t, scp, ServerConfig{Handler: h})
		want := SubOperations{Completed: 5}
		if faults == 2 {
			want = SubOperations{Completed: 2, Failed: 3}
		}
		if r.SubOperations != want || len(r.FailedUIDs) != want.Failed || len(k.all()) != want.Completed {
			t.Errorf("%d faults: got %+v, %d arrived", faults, r, len(k.all()))
		}
	}
}

// TestMoveThatIsLostSaysWhy: a destination that cannot be reached is in the log with
// the reason, and without the UIDs of what did not get there.
func TestMoveThatIsLostSaysWhy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there
	var log bytes.Buffer
	t.Run("", func(t *testing.T) { // the server has ended after it
		scp := &shelf{t: t, instances: []Instance{stocked(1, ctImage, ExplicitVRLE, "x")}, peers: map[string]ClientConfig{"WS2": {
			Address: l.Addr().String(), Called: "WS2", Calling: "EDGED", ImplementationClassUID: testUID, ImplementationVersion: testVersion}}}
		_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp, Log: slog.New(slog.NewTextHandler(&log, nil))})
		c := testDial(t, port, moveProposal())
		r, err := c.Move(t.Context(), retrieveQuery(t, StudyRootMove), nil)
		if err != nil || r.Status != StatusCannotMove || r.Failed != 1 {
			t.Errorf("got %+v, %v, want A702", r, err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if said := log.String(); !strings.Contains(said, "connection refused") || strings.Contains(said, "2.25.100.1") {
		t.Errorf("the log says %s", said)
	}
}

// far is a second server in the same bubble, and how to reach it.
func far(t *testing.T, cfg ServerConfig) ClientConfig {
	s, l := newTestServer(t, cfg), newPipeListener()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	c := clientConfig("0")
	c.Response = 0
	c.DialContext = func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }
	return c
}

func moveMessage(t testing.TB, id uint16) []byte {
	return pdata(pdv(moveContext, isCommand|isLast, queryCommand(cMoveRQ, id, StudyRootMove)), pdv(moveContext, isLast, studyQuery(t, ImplicitVRLE).Identifier.Bytes))
}

// expectCounts reads a response to a retrieve.
func (s *script) expectCounts(field, id uint16, want Status, counts SubOperations) {
	s.t.Helper()
	c, err := parseCommand(s.expect(typeData)[pdvHeader:])
	if err != nil || c.uint16(tagCommandField) != field|responseBit || c.uint16(tagRespondedTo) != id || Status(c.uint16(tagStatus)) != want || countsOf(c) != counts {
		s.t.Fatalf("got %04X to %d: %v %+v, want %v %+v", c.uint16(tagCommandField), c.uint16(tagRespondedTo), Status(c.uint16(tagStatus)), countsOf(c), want, counts)
	}
	if c.carriesData() {
		s.expect(typeData)
	}
	if _, remains := c.number(tagRemaining); remains != (want.IsPending() || want.IsCancel()) {
		s.t.Errorf("%v: the number that remains is told: %v", want, remains)
	}
}

// slowStore takes so long for each instance.
func slowStore(each time.Duration) Handler {
	return handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
		io.Copy(io.Discard, data)
		time.Sleep(each)
		return StatusProcessingFailure
	})
}

// TestMoveTellsHowFarItIs, at once and at most every second; a cancel ends it between two
// instances, and the counts say what was done.
func TestMoveTellsHowFarItIs(t *testing.T) {
	scp := &shelf{t: t}
	for n := range 10 {
		scp.instances = append(scp.instances, stocked(n, ctImage, ExplicitVRLE, "x"))
	}
	conversation(t, scp, func(s *script) {
		scp.peers = map[string]ClientConfig{"WS2": far(s.t, ServerConfig{Handler: slowStore(400 * time.Millisecond)})}
		s.send(moveMessage(t, 3)).expectCounts(cMoveRQ, 3, StatusPending, SubOperations{Remaining: 10})
		s.expectCounts(cMoveRQ, 3, StatusPending, SubOperations{Remaining: 7, Failed: 3})
		s.expectCounts(cMoveRQ, 3, StatusPending, SubOperations{Remaining: 4, Failed: 6})
		s.send(cancelMessage(moveContext, 3)).expectCounts(cMoveRQ, 3, StatusCancel, SubOperations{Remaining: 4, Failed: 6})
		s.release()
	})
}

// TestMoveOfOneLongInstanceIsAlive: while one instance goes out for hours, the
// requestor hears of it every second, and a cancel is heard and obeyed in the middle;
// what was cut off remains, and nothing of it is taken for whole.
func TestMoveOfOneLongInstanceIsAlive(t *testing.T) {
	scp, k := &shelf{t: t, instances: []Instance{stocked(0, ctImage, ExplicitVRLE, "")}}, &keeper{}
	scp.instances[0].Open = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(readerFunc(func(p []byte) (int, error) {
			time.Sleep(100 * time.Millisecond)
			return min(len(p), 4<<10), nil // without end
		})), nil
	}
	conversation(t, scp, func(s *script) {
		scp.peers = map[string]ClientConfig{"WS2": far(s.t, ServerConfig{Handler: k})}
		start := time.Now()
		s.send(moveMessage(t, 3))
		for range 3600 {
			s.expectCounts(cMoveRQ, 3, StatusPending, SubOperations{Remaining: 1})
		}
		if took := time.Since(start); took < 59*time.Minute || took > 70*time.Minute {
			t.Errorf("3600 pending responses came in %v", took)
		}
		start = time.Now()
		s.send(cancelMessage(moveContext, 3)).expectCounts(cMoveRQ, 3, StatusCancel, SubOperations{Remaining: 1})
		if took := time.Since(start); took > 2*progressEvery {
			t.Errorf("cancelled after %v", took)
		}
		s.release()
	})
	if got := k.all(); len(got) != 1 || got[0].err == nil {
		t.Error("half an instance arrived as a whole one")
	}
}

// TestMoveToAHangingDestinationEnds: not at once, but in minutes, whether it
// hangs before the association stands or after (disaster 8: every call has an end).
func TestMoveToAHangingDestinationEnds(t *testing.T) {
	for name, h := range map[string]Handler{"no association": nil, "no response": slowStore(24 * time.Hour)} {
		t.Run(name, func(t *testing.T) {
			scp := &shelf{t: t}
			for n := range 100 {
				scp.instances = append(scp.instances, stocked(n, ctImage, ExplicitVRLE, "x"))
			}
			conversation(t, scp, func(s *script) {
				deaf := clientConfig("0")
				deaf.DialContext = func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					s.t.Cleanup(func() { theirs.Close() })
					return ours, nil
				}
				if h != nil {
					deaf = far(s.t, ServerConfig{Handler: h})
				}
				scp.peers = map[string]ClientConfig{"WS2": deaf}
				start := time.Now()
				s.send(moveMessage(t, 3)).expectCounts(cMoveRQ, 3, StatusPending, SubOperations{Remaining: 100})
				if h != nil { // before the second attempt
					s.expectCounts(cMoveRQ, 3, StatusPending, SubOperations{Remaining: 100})
				}
				s.expectCounts(cMoveRQ, 3, StatusPending, SubOperations{Remaining: 99, Failed: 1})
				s.expectCounts(cMoveRQ, 3, StatusCannotMove, SubOperations{Failed: 100})
				if took := time.Since(start); took > 2*(subOperation+time.Minute) {
					t.Errorf("it took %v", took)
				}
				s.release()
			})
		})
	}
}

// getting dials with contexts for the instances of the shelf.
func getting(t *testing.T, scp *shelf, roles []Role, needs ...Need) *Client {
	t.Helper()
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	proposals, _ := Propose(needs...)
	cfg := clientConfig(port, append([]Proposal{getProposal()}, numbered(proposals)...)...)
	for i := range cfg.Contexts {
		cfg.Contexts[i].ID = 0
	}
	cfg.Roles = roles
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestGetBringsInstances over the association that asks, as stored; what there
// is no context for fails, and is named.
func TestGetBringsInstances(t *testing.T) {
	scp := &shelf{t: t, instances: []Instance{
		stocked(0, ctImage, ExplicitVRLE, strings.Repeat("a", 300<<10)), stocked(1, ctImage, jpegLossy, "b"), stocked(2, ctImage, ImplicitVRLE, "c"),
		stocked(3, "1.2.840.10008.5.1.4.1.1.4", ExplicitVRLE, "d"), stocked(4, ctImage, ExplicitVRLE, ""),
	}}
	c := getting(t, scp, []Role{{SOPClassUID: ctImage, SCP: true}}, Need{ctImage, ExplicitVRLE}, Need{ctImage, jpegLossy}, Need{"1.2.840.10008.5.1.4.1.1.4", ExplicitVRLE})
	got := map[string]string{}
	r, err := c.Get(t.Context(), retrieveQuery(t, StudyRootGet), func(_ context.Context, rq StoreRequest, data io.Reader) Status {
		b, err := io.ReadAll(data)
		if err != nil {
			t.Error(err)
		}
		got[rq.SOPInstanceUID+" "+rq.TransferSyntaxUID] = string(b)
		return StatusSuccess
	}, nil)
	if err != nil || r.Status != StatusCoercion || r.SubOperations != (SubOperations{Completed: 3, Failed: 2}) || !slices.Equal(r.FailedUIDs, []string{"2.25.100.2", "2.25.100.3"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	if len(got) != 3 || len(got["2.25.100.0 "+ExplicitVRLE]) != 300<<10 || got["2.25.100.1 "+jpegLossy] != "b" {
		t.Errorf("%d instances arrived, or altered", len(got))
	}
	if n := c.Counts(); n.Stored != 3 || n.Bytes != 300<<10+1 {
		t.Errorf("counted %+v", n)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestGetNeedsTheRole: without role selection the requestor is an SCU of storage,
// and nothing is sent to it (PS3.7 §D.3.3.4).
func TestGetNeedsTheRole(t *testing.T) {
	scp := &shelf{t: t, instances: []Instance{stocked(0, ctImage, ExplicitVRLE, "a")}}
	for name, roles := range map[string][]Role{"none": nil, "of another class": {{SOPClassUID: StudyRootGet, SCP: true}}, "SCU": {{SOPClassUID: ctImage, SCU: true}}} {
		c := getting(t, scp, roles, Need{ctImage, ExplicitVRLE})
		r, err := c.Get(t.Context(), retrieveQuery(t, StudyRootGet), nil, nil)
		if err != nil || r.Status != StatusCannotMove || !slices.Equal(r.FailedUIDs, []string{"2.25.100.0"}) {
			t.Errorf("role %s: got %+v, %v, want A702", name, r, err)
		}
		c.Abort()
	}
}

// TestGetStreams: the beginning of an instance is at the receiver before its end
// has been read here; no object is whole in memory.
func TestGetStreams(t *testing.T) {
	scp, seen := &shelf{t: t, instances: []Instance{stocked(0, ctImage, ExplicitVRLE, "")}}, make(chan struct{})
	beginning := strings.Repeat("x", 1<<20)
	scp.instances[0].Open = func(ctx context.Context) (io.ReadCloser, error) {
		end := readerFunc(func([]byte) (int, error) {
			select {
			case <-seen:
				return 0, io.EOF
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		return io.NopCloser(io.MultiReader(strings.NewReader(beginning), end)), nil
	}
	c := getting(t, scp, []Role{{SOPClassUID: ctImage, SCP: true}}, Need{ctImage, ExplicitVRLE})
	r, err := c.Get(t.Context(), retrieveQuery(t, StudyRootGet), func(_ context.Context, _ StoreRequest, data io.Reader) Status {
		if _, err := io.ReadFull(data, make([]byte, 512<<10)); err != nil {
			t.Error(err)
		}
		close(seen)
		n, err := io.Copy(io.Discard, data)
		if err != nil || n != 512<<10 {
			t.Errorf("the rest: %d bytes, %v", n, err)
		}
		return StatusElementsDiscarded
	}, nil)
	if err != nil || r.Status != StatusCoercion || r.SubOperations != (SubOperations{Warning: 1}) || len(r.FailedUIDs) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	c.Abort()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func getMessage(t testing.TB, id uint16) []byte {
	return pdata(pdv(getContext, isCommand|isLast, queryCommand(cGetRQ, id, StudyRootGet)), pdv(getContext, isLast, studyQuery(t, ImplicitVRLE).Identifier.Bytes))
}

// expectStore reads a sub-operation and returns its message ID.
func (s *script) expectStore(data string) uint16 {
	s.t.Helper()
	c, err := parseCommand(s.expect(typeData)[pdvHeader:])
	if err != nil || c.uint16(tagCommandField) != cStoreRQ {
		s.t.Fatalf("got %v, %v, want C-STORE-RQ", c, err)
	}
	if body := s.expect(typeData); string(body[pdvHeader:]) != data {
		s.t.Errorf("got %q, want %q", body[pdvHeader:], data)
	}
	return c.uint16(tagMessageID)
}

func storeAnswer(id uint16, status Status) []byte {
	rq := StoreRequest{MessageID: id, SOPClassUID: ctImage, SOPInstanceUID: "2.25.1"}.command()
	return pdata(pdv(9, isCommand|isLast, response(rq, status).append(nil)))
}

func getConversation(t *testing.T, scp *shelf, f func(s *script)) {
	t.Helper()
	for n := range 3 {
		scp.instances = append(scp.instances, stocked(n, ctImage, ExplicitVRLE, fmt.Sprint("instance ", n)))
	}
	bubble(t, ServerConfig{Handler: &keeper{}, Query: scp}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l)
		s.send(queryRQ(Role{ctImage, false, true})).expect(typeAC)
		f(s)
	})
}

// TestGetIsCancelledBetweenInstances: the one under way is finished, also when
// the cancel comes before its response.
func TestGetIsCancelledBetweenInstances(t *testing.T) {
	getConversation(t, &shelf{t: t}, func(s *script) {
		id := s.send(getMessage(t, 3)).expectStore("instance 0")
		s.send(storeAnswer(id, StatusSuccess))
		id = s.expectStore("instance 1")
		s.send(cancelMessage(getContext, 3), storeAnswer(id, StatusSuccess))
		s.expectCounts(cGetRQ, 3, StatusCancel, SubOperations{Remaining: 1, Completed: 2})
		s.release()
	})
}

// TestGetDeclinesWhatCannotWait: requests in between are answered at once, with
// a status that says later; the retrieve goes on (PS3.7 Annex C, §D.3.3.3).
func TestGetDeclinesWhatCannotWait(t *testing.T) {
	getConversation(t, &shelf{t: t}, func(s *script) {
		id := s.send(getMessage(t, 3)).expectStore("instance 0")
		s.send(findMessage(t, 4)).expectResponse(cFindRQ|responseBit, 4, StatusOutOfResources)
		s.send(findMessage(t, 3)).expectResponse(cFindRQ|responseBit, 3, StatusDuplicateInvocation)
		s.send(cancelMessage(getContext, 9))
		s.send(storeAnswer(id, StatusSuccess))
		s.send(storeAnswer(s.expectStore("instance 1"), StatusSuccess))
		s.send(storeAnswer(s.expectStore("instance 2"), StatusSuccess))
		s.expectCounts(cGetRQ, 3, StatusSuccess, SubOperations{Completed: 3})
		s.release()
	})
}

// TestGetEndsWithItsPeer: a response to something else, one without status,
// silence, release and abort in the middle all end the association, in time.
func TestGetEndsWithItsPeer(t *testing.T) {
	for name, f := range map[string]func(s *script, id uint16){
		"another response": func(s *script, id uint16) { s.send(storeAnswer(id+1, StatusSuccess)).expect(typeAbort) },
		"no status": func(s *script, id uint16) {
			var c command
			c.setUint16(tagCommandField, cStoreRQ|responseBit)
			c.setUint16(tagRespondedTo, id)
			c.setUint16(tagDataSetType, noDataSet)
			s.send(pdata(pdv(9, isCommand|isLast, c.append(nil)))).expect(typeAbort)
		},
		"only requests": func(s *script, id uint16) {
			for n := range uint16(maxStrays) {
				s.send(echoMessage(100 + n))
				s.expectResponse(cEchoRQ|responseBit, 100+n, StatusOutOfResources)
			}
			s.expect(typeAbort)
		},
		"release": func(s *script, id uint16) { s.release() },
		"abort":   func(s *script, id uint16) { s.send(abortPDU).expectClosed() },
		"silence": func(s *script, id uint16) {
			start := time.Now()
			s.expect(typeAbort)
			s.expectClosed()
			if took := time.Since(start); took > subOperation+2*maxLinger {
				t.Errorf("it took %v", took)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			getConversation(t, &shelf{t: t}, func(s *script) {
				f(s, s.send(getMessage(t, 3)).expectStore("instance 0"))
			})
		})
	}
}

// TestDisaster14GetAbortsHalfAnInstance: an instance whose source fails when a
// part of it is out cannot be taken back; the association is not used again.
func TestDisaster14GetAbortsHalfAnInstance(t *testing.T) {
	getConversation(t, &shelf{t: t, instances: broken()}, func(s *script) {
		s.send(getMessage(t, 3))
		c, _ := parseCommand(s.expect(typeData)[pdvHeader:])
		if c.uint16(tagCommandField) != cStoreRQ {
			t.Errorf("got %v", c)
		}
		s.expect(typeAbort)
	})
}
