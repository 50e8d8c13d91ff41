package dimse

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/dimse/dataset"
)

// Conversations around C-CANCEL, in virtual time: the peer is a script.

const (
	findContext = 1
	moveContext = 5
	getContext  = 7
)

func queryRQ(roles ...Role) []byte {
	return (&AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "WS1", ApplicationContext: ApplicationContext,
		Contexts: []Proposal{
			{findContext, StudyRootFind, []string{ImplicitVRLE}}, {3, Verification, []string{ImplicitVRLE}}, {moveContext, StudyRootMove, []string{ImplicitVRLE}},
			{getContext, StudyRootGet, []string{ImplicitVRLE}}, {9, ctImage, []string{ExplicitVRLE}},
		},
		User: UserInfo{MaxPDU: 16384, ImplementationClassUID: "2.25.3", Roles: roles}}).append(nil)
}

func queryCommand(field, id uint16, class string) []byte {
	return Query{SOPClassUID: class, Destination: "WS2"}.withData(field, id).append(nil)
}

func (q Query) withData(field, id uint16) command {
	c := q.command(field, id)
	c.setDataSet(true)
	return c
}

func findMessage(t testing.TB, id uint16) []byte {
	return pdata(pdv(findContext, isCommand|isLast, queryCommand(cFindRQ, id, StudyRootFind)), pdv(findContext, isLast, studyQuery(t, ImplicitVRLE).Identifier.Bytes))
}

func cancelMessage(context byte, id uint16) []byte {
	var c command
	c.setUint16(tagCommandField, cCancelRQ)
	c.setUint16(tagRespondedTo, id)
	c.setUint16(tagDataSetType, noDataSet)
	return pdata(pdv(context, isCommand|isLast, c.append(nil)))
}

func echoMessage(id uint16) []byte { return pdata(pdv(3, isCommand|isLast, echoCommand(id))) }

// expectMatch reads a pending response with its identifier.
func (s *script) expectMatch(id uint16, want Status) dataset.Set {
	s.t.Helper()
	body := s.expect(typeData)
	c, err := parseCommand(body[pdvHeader:])
	if err != nil || c.uint16(tagCommandField) != cFindRQ|responseBit || c.uint16(tagRespondedTo) != id || Status(c.uint16(tagStatus)) != want || !c.carriesData() {
		s.t.Fatalf("got %v, %v, want a match with %v", c, err, want)
	}
	set, err := dataset.Parse(s.expect(typeData)[pdvHeader:], ImplicitVRLE)
	if err != nil {
		s.t.Fatal(err)
	}
	return set
}

// slow gives a match every second, n in all.
func (s *shelf) slow(n int) *shelf {
	match := identifier(s.t, ExplicitVRLE, map[dataset.Tag]string{patientName: "TEST", studyUID: "2.25.7"})
	s.find = func(_ context.Context, _ Query, found func(DataSet) error) Answer {
		for range n {
			time.Sleep(time.Second)
			if err := found(match); err != nil {
				return Answer{Status: StatusCannotUnderstand, Comment: "cancelled, so nobody hears this"}
			}
		}
		return Answer{}
	}
	return s
}

func conversation(t *testing.T, scp *shelf, f func(s *script)) {
	t.Helper()
	bubble(t, ServerConfig{Handler: &keeper{}, Query: scp}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l)
		scp.t = t
		s.send(queryRQ()).expect(typeAC)
		f(s)
	})
}

// TestCancelEndsTheQuery: between two matches, with FE00, and the association
// goes on; a cancel that comes after the end is not heard (PS3.7 §9.3.2.3).
func TestCancelEndsTheQuery(t *testing.T) {
	conversation(t, (&shelf{t: t}).slow(1000), func(s *script) {
		s.send(findMessage(t, 5)).expectMatch(5, StatusPending)
		s.expectMatch(5, StatusPending)
		s.send(cancelMessage(findContext, 5)).expectResponse(cFindRQ|responseBit, 5, StatusCancel)
		s.send(cancelMessage(findContext, 5))
		s.send(echoMessage(6)).expectResponse(cEchoRQ|responseBit, 6, StatusSuccess)
		s.release()
	})
}

// TestCancelOfAnotherMessageIsIgnored: it came too late for that one, and is not
// for this one.
func TestCancelOfAnotherMessageIsIgnored(t *testing.T) {
	conversation(t, (&shelf{t: t}).slow(3), func(s *script) {
		s.send(findMessage(t, 5)).expectMatch(5, StatusPending)
		s.send(cancelMessage(findContext, 4)).expectMatch(5, StatusPending)
		s.expectMatch(5, StatusPending)
		s.expectResponse(cFindRQ|responseBit, 5, StatusSuccess)
		s.release()
	})
}

// TestCancelMayComeByteByByte: looking for it loses nothing of it, however slow
// it comes, and holds the query up only from its first byte to its last.
func TestCancelMayComeByteByByte(t *testing.T) {
	conversation(t, (&shelf{t: t}).slow(1000), func(s *script) {
		s.send(findMessage(t, 5)).expectMatch(5, StatusPending)
		for _, b := range cancelMessage(findContext, 5) {
			s.send([]byte{b})
			time.Sleep(200 * time.Millisecond)
		}
		s.expectResponse(cFindRQ|responseBit, 5, StatusCancel)
		s.release()
	})
}

// TestRequestsWaitForTheQuery: a peer that sends ahead is answered in order,
// though the window is one operation (PS3.7 §D.3.3.3).
func TestRequestsWaitForTheQuery(t *testing.T) {
	conversation(t, (&shelf{t: t}).slow(3), func(s *script) {
		s.send(findMessage(t, 5)).expectMatch(5, StatusPending)
		s.send(pdata(pdv(3, isCommand|isLast, echoCommand(6)), pdv(findContext, isCommand|isLast, queryCommand(cFindRQ, 7, StudyRootFind)),
			pdv(findContext, isLast, studyQuery(t, ImplicitVRLE).Identifier.Bytes)))
		s.expectMatch(5, StatusPending)
		s.expectMatch(5, StatusPending)
		s.expectResponse(cFindRQ|responseBit, 5, StatusSuccess)
		s.expectResponse(cEchoRQ|responseBit, 6, StatusSuccess)
		s.expectMatch(7, StatusPending)
		s.send(cancelMessage(findContext, 7)).expectResponse(cFindRQ|responseBit, 7, StatusCancel)
		s.release()
	})
}

// TestAnswerToAReportIsTakenDuringAQuery: it belongs to our errand and to nothing
// else, and C-CANCEL is heard behind it.
func TestAnswerToAReportIsTakenDuringAQuery(t *testing.T) {
	o, scp := newOffice(), (&shelf{t: t}).slow(1000)
	bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o, Query: scp}, func(t *testing.T, _ *Server, l *pipeListener) {
		scp.t = t
		s := play(t, l)
		rq := AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext,
			Contexts: []Proposal{{findContext, StudyRootFind, []string{ImplicitVRLE}}, {7, StorageCommitmentPush, []string{ImplicitVRLE}}},
			User:     UserInfo{MaxPDU: 16384, ImplementationClassUID: "2.25.3"}}
		s.send(rq.append(nil)).expect(typeAC)
		cmd, d, err := commitmentAction(Context{7, StorageCommitmentPush, ImplicitVRLE}, askForTwo)
		if err != nil {
			t.Fatal(err)
		}
		s.send(actionPDU(cmd, d)).expectResponse(0x8130, 7, StatusSuccess)
		a, reported := <-o.came, make(chan error, 1)
		go func() {
			_, err := a.ReportCommitment(t.Context(), halfResult)
			reported <- err
		}()
		report := s.expectReport()
		s.send(findMessage(t, 5)).expectMatch(5, StatusPending) // and only then the answer
		s.send(pdata(pdv(7, isCommand|isLast, reportResponse(report, StatusSuccess)))).expectMatch(5, StatusPending)
		if err := <-reported; err != nil {
			t.Error(err)
		}
		s.send(cancelMessage(findContext, 5)).expectResponse(cFindRQ|responseBit, 5, StatusCancel)
		s.release()
	})
}

// TestShutdownLetsAMessageSentAheadFinish: a C-STORE that began to come during a
// query is a message like any other.
func TestShutdownLetsAMessageSentAheadFinish(t *testing.T) {
	k, scp := &keeper{}, (&shelf{t: t}).slow(2)
	bubble(t, ServerConfig{Handler: k, Query: scp}, func(t *testing.T, srv *Server, l *pipeListener) {
		scp.t = t
		s := play(t, l)
		s.send(queryRQ()).expect(typeAC)
		s.send(findMessage(t, 5)).expectMatch(5, StatusPending)
		s.send(pdata(pdv(9, isCommand|isLast, storeCommand(6, "2.25.1")))).expectMatch(5, StatusPending)
		s.expectResponse(cFindRQ|responseBit, 5, StatusSuccess)
		s.send(pdata(pdv(9, 0, make([]byte, 1000))))
		done := make(chan error, 1)
		go func() { done <- srv.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		s.send(pdata(pdv(9, isLast, make([]byte, 1000)))).expectResponse(0x8001, 6, StatusSuccess)
		s.expect(typeAbort) // nothing new begins
		s.conn.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if got := k.all(); len(got) != 1 || len(got[0].data) != 2000 {
		t.Errorf("%d instances arrived, want one, whole", len(got))
	}
}

// TestEndOfTheAssociationEndsTheQuery: release, abort, garbage, silence of the
// transport; the QuerySCP hears it from found.
func TestEndOfTheAssociationEndsTheQuery(t *testing.T) {
	for name, end := range map[string]func(s *script){
		"release": func(s *script) { s.release() },
		"abort":   func(s *script) { s.send(abortPDU).expectClosed() },
		"cut":     func(s *script) { s.conn.Close() },
		"garbage": func(s *script) { s.send([]byte("GET / HTTP/1.1")).expect(typeAbort) },
		"response to nothing": func(s *script) {
			s.send(pdata(pdv(findContext, isCommand|isLast, response(command{}, StatusSuccess).append(nil)))).expect(typeAbort)
		},
		"data": func(s *script) { s.send(pdata(pdv(findContext, isLast, []byte("x")))).expect(typeAbort) },
	} {
		t.Run(name, func(t *testing.T) {
			scp := (&shelf{t: t}).slow(1000)
			find, ended := scp.find, make(chan time.Duration, 1)
			scp.find = func(ctx context.Context, q Query, found func(DataSet) error) Answer {
				start := time.Now()
				answer := find(ctx, q, found)
				if ctx.Err() == nil {
					t.Error("ctx goes on")
				}
				ended <- time.Since(start)
				return answer
			}
			conversation(t, scp, func(s *script) {
				s.send(findMessage(t, 5)).expectMatch(5, StatusPending)
				end(s)
			})
			if took := <-ended; took > 4*time.Second {
				t.Errorf("the query went on for %v", took)
			}
		})
	}
}

// TestFindWarnsOfMissingKeys: FF01 when a key that was asked for is not in the
// match (PS3.4 §C.4.1.1.4).
func TestFindWarnsOfMissingKeys(t *testing.T) {
	scp := &shelf{t: t, matches: []DataSet{
		identifier(t, ImplicitVRLE, map[dataset.Tag]string{patientName: "A", studyUID: "2.25.7", queryRetrieveLevel: "STUDY"}),
		identifier(t, ExplicitVRLE, map[dataset.Tag]string{patientName: "B"}),
	}}
	conversation(t, scp, func(s *script) {
		if got := s.send(findMessage(t, 1)).expectMatch(1, StatusPending).Text(patientName); got != "A" {
			t.Errorf("got %q", got)
		}
		if got := s.expectMatch(1, StatusPendingWarning).Text(patientName); got != "B" {
			t.Errorf("got %q", got)
		}
		s.expectResponse(cFindRQ|responseBit, 1, StatusSuccess)
		s.release()
	})
}

// TestQueriesAreRefusedByStatus: what cannot be asked is answered, and the
// association survives (PS3.4 Tables C.4-1 to C.4-3).
func TestQueriesAreRefusedByStatus(t *testing.T) {
	id := studyQuery(t, ImplicitVRLE).Identifier.Bytes
	without := Query{SOPClassUID: StudyRootFind}.command(cFindRQ, 9)
	without.setDataSet(false)
	long := []byte(strings.Repeat("x", 15<<10))
	tooLong := [][]byte{pdv(findContext, isCommand|isLast, queryCommand(cFindRQ, 9, StudyRootFind))}
	for range MaxSmallDataSet/len(long) + 1 {
		tooLong = append(tooLong, pdv(findContext, 0, long))
	}
	tooLong = append(tooLong, pdv(findContext, isLast, long))
	for name, c := range map[string]struct {
		message []byte
		field   uint16
		want    Status
	}{
		"class of another context":   {pdata(pdv(findContext, isCommand|isLast, queryCommand(cFindRQ, 9, PatientRootFind)), pdv(findContext, isLast, id)), cFindRQ, StatusSOPClassNotSupported},
		"C-FIND for a C-MOVE class":  {pdata(pdv(moveContext, isCommand|isLast, queryCommand(cFindRQ, 9, StudyRootMove)), pdv(moveContext, isLast, id)), cFindRQ, StatusSOPClassNotSupported},
		"C-FIND of a storage class":  {pdata(pdv(9, isCommand|isLast, queryCommand(cFindRQ, 9, ctImage)), pdv(9, isLast, id)), cFindRQ, StatusSOPClassNotSupported},
		"no identifier":              {pdata(pdv(findContext, isCommand|isLast, without.append(nil))), cFindRQ, StatusDataSetDoesNotMatch},
		"too long":                   {slices.Concat(pdata(tooLong[0]), pdatas(tooLong[1:])), cFindRQ, StatusOutOfResources},
		"C-MOVE to nobody":           {pdata(pdv(moveContext, isCommand|isLast, queryCommand(cMoveRQ, 9, StudyRootMove)), pdv(moveContext, isLast, id)), cMoveRQ, StatusUnknownDestination},
		"C-GET for a C-MOVE context": {pdata(pdv(moveContext, isCommand|isLast, queryCommand(cGetRQ, 9, StudyRootGet)), pdv(moveContext, isLast, id)), cGetRQ, StatusSOPClassNotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			scp := &shelf{t: t}
			conversation(t, scp, func(s *script) {
				s.send(c.message).expectResponse(c.field|responseBit, 9, c.want)
				s.send(echoMessage(10)).expectResponse(cEchoRQ|responseBit, 10, StatusSuccess)
				s.release()
			})
			if len(scp.heard()) != 0 {
				t.Error("the QuerySCP was asked")
			}
		})
	}
}

func pdatas(pdvs [][]byte) (b []byte) {
	for _, v := range pdvs {
		b = append(b, pdata(v)...)
	}
	return b
}

// TestQueryIsOfferedOnlyWhereItIs: without a QuerySCP its classes are refused,
// each for itself, and so they are for a peer that may not (DESIGN P11).
func TestQueryIsOfferedOnlyWhereItIs(t *testing.T) {
	notFor := func(p Peer, class string) bool { return class == Verification || p.Calling == "FRIEND" }
	for name, cfg := range map[string]ServerConfig{
		"no QuerySCP": {Handler: &keeper{}},
		"not for it":  {Handler: &keeper{}, Query: &shelf{t: t}, Accepts: notFor},
	} {
		_, port := serveTCP(t, cfg)
		c := testDial(t, port, findProposal(ImplicitVRLE), Proposal{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLE}})
		if _, err := c.Find(t.Context(), studyQuery(t, ImplicitVRLE), nil); err == nil || !strings.Contains(err.Error(), StudyRootFind) {
			t.Errorf("%s: got %v, want no context", name, err)
		}
		if _, err := c.Echo(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Abort()
	}
}

// TestBrokenMatchIsNoAnswer: a match that the QuerySCP made wrong fails the
// query; half of it is never sent.
func TestBrokenMatchIsNoAnswer(t *testing.T) {
	scp := (&shelf{t: t}).fill(1, ImplicitVRLE)
	scp.matches = append(scp.matches, DataSet{ExplicitVRLE, []byte{0x10, 0, 0x10, 0, 'P', 'N', 200, 0, 'A'}})
	conversation(t, scp, func(s *script) {
		s.send(findMessage(t, 1)).expectMatch(1, StatusPending)
		s.expectResponse(cFindRQ|responseBit, 1, StatusCannotUnderstand)
		s.release()
	})
}
