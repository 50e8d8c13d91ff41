package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/dimse/dataset"
)

// office is both sides of storage commitment, and keeps what it was told.
type office struct {
	mu       sync.Mutex
	answer   Answer
	requests []CommitmentRequest
	results  []CommitmentResult
	came     chan *Association // holds many: the association's goroutine never waits
}

func newOffice() *office { return &office{came: make(chan *Association, 100)} }

func (o *office) RequestCommitment(_ context.Context, a *Association, rq CommitmentRequest) Answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, rq)
	o.came <- a
	return o.answer
}

func (o *office) CommitmentReported(_ context.Context, _ *Association, r CommitmentResult) Answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.results = append(o.results, r)
	return o.answer
}

func (o *office) told() ([]CommitmentRequest, []CommitmentResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests), slices.Clone(o.results)
}

func commitmentProposal(syntaxes ...string) Proposal {
	return Proposal{AbstractSyntax: StorageCommitmentPush, TransferSyntaxes: syntaxes}
}

var (
	twoRefs    = []Reference{{ctImage, "2.25.101"}, {ctImage, "2.25.102"}}
	askForTwo  = CommitmentRequest{"2.25.7", twoRefs}
	halfResult = CommitmentResult{"2.25.7", twoRefs[:1], []FailedReference{{twoRefs[1], FailureNoSuchInstance}}}
)

// A request and its report go there and back as they are, in both transfer
// syntaxes, on the association of the request, over TCP and TLS; while the
// requestor waits for the report it is woken for nothing else.
func TestCommitmentOnTheSameAssociation(t *testing.T) {
	cert, pool := selfSigned(t)
	for _, syntax := range []string{ImplicitVRLE, ExplicitVRLE} {
		for _, secure := range []bool{false, true} {
			o, mine := newOffice(), newOffice()
			cfg := ServerConfig{Handler: &keeper{}, Commitment: o}
			var client ClientConfig
			if secure {
				client = clientConfig(serveTLS(t, cfg, cert), commitmentProposal(syntax))
				client.TLS = &tls.Config{RootCAs: pool, ServerName: "pacs"}
			} else {
				_, port := serveTCP(t, cfg)
				client = clientConfig(port, commitmentProposal(syntax))
			}
			c, err := Dial(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			rsp, err := c.RequestCommitment(t.Context(), askForTwo)
			if err != nil || rsp.Status != StatusSuccess || rsp.InstanceUID != StorageCommitmentPushInstance {
				t.Fatal(rsp, err)
			}
			a := <-o.came
			reported := make(chan error, 1)
			go func() {
				rsp, err := a.ReportCommitment(t.Context(), halfResult)
				if err == nil && rsp.Status != StatusSuccess {
					err = errors.New(rsp.Status.String())
				}
				reported <- err
			}()
			if err := c.AwaitCommitment(t.Context(), mine); err != nil {
				t.Fatal(err)
			}
			if err := <-reported; err != nil {
				t.Fatal(err)
			}
			if err := c.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			requests, _ := o.told()
			_, results := mine.told()
			if !reflect.DeepEqual(requests, []CommitmentRequest{askForTwo}) || !reflect.DeepEqual(results, []CommitmentResult{halfResult}) {
				t.Errorf("asked %+v, told %+v", requests, results)
			}
		}
	}
}

// The report goes out between two messages, never inside one; what the peer asks
// before it answers is served.
func TestReportGoesBetweenMessages(t *testing.T) {
	o := newOffice()
	bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, _ *Server, l *pipeListener) {
		s, a := askScripted(t, l, o)
		s.send(pdata(pdv(3, isCommand|isLast, storeCommand(8, "2.25.1")), pdv(3, 0, []byte("da")))) // half of an instance
		reported := make(chan error, 1)
		go func() {
			_, err := a.ReportCommitment(t.Context(), halfResult)
			reported <- err
		}()
		time.Sleep(time.Second) // virtual: it is queued now
		s.send(pdata(pdv(3, isLast, []byte("ta")))).expectResponse(0x8001, 8, StatusSuccess)
		rq := s.expectReport()
		s.send(pdata(pdv(1, isCommand|isLast, echoCommand(9)))).expectResponse(0x8030, 9, StatusSuccess)
		s.send(pdata(pdv(7, isCommand|isLast, reportResponse(rq, StatusSuccess))))
		if err := <-reported; err != nil {
			t.Error(err)
		}
		s.release()
	})
}

// A peer that releases instead of answering (pynetdicom #820) is answered in
// order, and the report has failed.
func TestReportMeetsRelease(t *testing.T) {
	o := newOffice()
	bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, _ *Server, l *pipeListener) {
		s, a := askScripted(t, l, o)
		reported := make(chan error, 1)
		go func() {
			_, err := a.ReportCommitment(t.Context(), halfResult)
			reported <- err
		}()
		s.expectReport()
		s.release()
		if err := <-reported; err != ErrReleased {
			t.Errorf("got %v, want ErrReleased", err)
		}
		if _, err := a.ReportCommitment(t.Context(), halfResult); err != ErrReleased || !a.Over() {
			t.Errorf("afterwards: %v, over %v", err, a.Over())
		}
	})
}

// A peer that never answers costs the report a minute and nothing else: the
// association lives, a late answer is taken for what it is.
func TestReportIsNeverAnswered(t *testing.T) {
	o := newOffice()
	bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, _ *Server, l *pipeListener) {
		s, a := askScripted(t, l, o)
		reported := make(chan error, 1)
		start := time.Now()
		go func() {
			_, err := a.ReportCommitment(t.Context(), halfResult)
			reported <- err
		}()
		rq := s.expectReport()
		if err := <-reported; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != maxReport {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if _, err := a.ReportCommitment(t.Context(), halfResult); !errors.Is(err, ErrTimeout) {
			t.Errorf("another report got %v, want ErrTimeout at once", err)
		}
		s.send(pdata(pdv(1, isCommand|isLast, echoCommand(9)))).expectResponse(0x8030, 9, StatusSuccess)
		s.send(pdata(pdv(7, isCommand|isLast, reportResponse(rq, StatusSuccess)))) // late
		s.send(pdata(pdv(1, isCommand|isLast, echoCommand(10)))).expectResponse(0x8030, 10, StatusSuccess)
		s.release()
	})
}

// Reports from many goroutines go out one after the other: the window is one
// operation (PS3.7 §D.3.3.3).
func TestReportsWaitForEachOther(t *testing.T) {
	o := newOffice()
	bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, _ *Server, l *pipeListener) {
		s, a := askScripted(t, l, o)
		reported := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := a.ReportCommitment(t.Context(), halfResult)
				reported <- err
			}()
		}
		for range 3 {
			rq := s.expectReport()
			s.expectSilence()
			s.send(pdata(pdv(7, isCommand|isLast, reportResponse(rq, 0x0110))))
			if err := <-reported; err != nil { // a failure status is an answer
				t.Error(err)
			}
		}
		s.release()
	})
}

// The server that ends ends the reports, too.
func TestReportEndsWithTheServer(t *testing.T) {
	o := newOffice()
	bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, server *Server, l *pipeListener) {
		s, a := askScripted(t, l, o)
		reported := make(chan error, 1)
		go func() {
			_, err := a.ReportCommitment(context.Background(), halfResult)
			reported <- err
		}()
		s.expectReport()
		server.Close()
		if err := <-reported; err != ErrServerClosed {
			t.Errorf("got %v, want ErrServerClosed", err)
		}
	})
}

// askScripted associates and asks for two instances on context 7.
func askScripted(t *testing.T, l *pipeListener, o *office) (*script, *Association) {
	t.Helper()
	s := play(t, l)
	rq := AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext,
		Contexts: []Proposal{{1, Verification, []string{ImplicitVRLE}}, {3, ctImage, []string{ExplicitVRLE}}, {7, StorageCommitmentPush, []string{ImplicitVRLE}}},
		User:     UserInfo{MaxPDU: 16384, ImplementationClassUID: "2.25.3"}}
	s.send(rq.append(nil)).expect(typeAC)
	cmd, d, err := commitmentAction(Context{7, StorageCommitmentPush, ImplicitVRLE}, askForTwo)
	if err != nil {
		t.Fatal(err)
	}
	if rsp := s.send(actionPDU(cmd, d)).expectResponse(0x8130, 7, StatusSuccess); rsp.uid(tagAffectedInstance) != StorageCommitmentPushInstance {
		t.Errorf("response %v", rsp)
	}
	return s, <-o.came
}

func actionPDU(cmd command, d *DataSet) []byte {
	cmd.setUint16(tagMessageID, 7)
	cmd.setDataSet(d != nil)
	pdvs := [][]byte{pdv(7, isCommand|isLast, cmd.append(nil))}
	if d != nil {
		pdvs = append(pdvs, pdv(7, isLast, d.Bytes))
	}
	return pdata(pdvs...)
}

// expectReport reads an N-EVENT-REPORT-RQ with halfResult and returns its command.
func (s *script) expectReport() command {
	s.t.Helper()
	body := s.expect(typeData)
	c, err := parseCommand(body[pdvHeader:])
	if err != nil || body[4] != 7 || c.uint16(tagCommandField) != nEventReportRQ || c.uint16(tagEventType) != eventFailures || c.affectedInstance() != StorageCommitmentPushInstance {
		s.t.Fatal(c, err)
	}
	data := s.expect(typeData)
	r, err := parseCommitmentResult(DataSet{ImplicitVRLE, data[pdvHeader:]})
	if err != nil || !reflect.DeepEqual(r, halfResult) {
		s.t.Fatal(r, err)
	}
	return c
}

func (s *script) expectSilence() {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := s.conn.Read(make([]byte, 1)); n > 0 || err == nil {
		s.t.Fatalf("got %d bytes, %v, want none", n, err)
	}
}

// reportResponse answers a report without Event Type ID, as peers do (fo-dicom #323).
func reportResponse(rq command, status Status) []byte { return response(rq, status).append(nil) }

// What is wrong with a request is said with the statuses of PS3.7 §10.1.4
// and Annex C; the association lives, and the data set is read past.
func TestActionStatuses(t *testing.T) {
	good, data, err := commitmentAction(Context{7, StorageCommitmentPush, ImplicitVRLE}, askForTwo)
	if err != nil {
		t.Fatal(err)
	}
	with := func(tag uint16, value ...byte) command {
		c := good.clone()
		for i := range c {
			if c[i].tag == tag {
				c[i].value = value
			}
		}
		return c
	}
	encoded := func(s dataset.Set) *DataSet {
		d, err := encode(s, Context{TransferSyntax: ImplicitVRLE})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var noTransaction, noRefs, noInstance dataset.Set
	noTransaction.SetItems(tagReferencedSequence, items(twoRefs))
	noRefs.Set(tagTransactionUID, "UI", "2.25.7")
	noInstance.Set(tagTransactionUID, "UI", "2.25.7")
	noInstance.SetItems(tagReferencedSequence, items([]Reference{{SOPClassUID: ctImage}}))
	for _, c := range []struct {
		name string
		cmd  command
		data *DataSet
		want Status
	}{
		{"in order", good, data, StatusSuccess},
		{"another action", with(tagActionType, 2, 0), data, StatusNoSuchAction},
		{"no such instance", with(tagRequestedInst, []byte("2.25.9")...), data, StatusNoSuchInstance},
		{"another class", with(tagRequestedClass, []byte(ctImage)...), data, StatusNoSuchClass},
		{"no data set", good, nil, StatusMistypedArgument},
		{"no data set at all", good, &DataSet{ImplicitVRLE, []byte("not one")}, StatusInvalidArgument},
		{"no transaction", good, encoded(noTransaction), StatusInvalidArgument},
		{"no references", good, encoded(noRefs), StatusInvalidArgument},
		{"no instance", good, encoded(noInstance), StatusInvalidArgument},
		{"N-GET", with(tagCommandField, 0x10, 0x01), nil, StatusUnrecognizedOperation},
		{"N-DELETE", with(tagCommandField, 0x50, 0x01), nil, StatusUnrecognizedOperation},
		{"N-CREATE", with(tagCommandField, 0x40, 0x01), data, StatusUnrecognizedOperation}, // no Steps here
		{"N-EVENT-REPORT", with(tagCommandField, 0x00, 0x01), data, StatusUnrecognizedOperation},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice()
			bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, _ *Server, l *pipeListener) {
				s, _ := askScripted(t, l, o)
				s.send(actionPDU(c.cmd.clone(), c.data)).expectResponse(c.cmd.uint16(tagCommandField)|responseBit, 7, c.want)
				s.send(pdata(pdv(1, isCommand|isLast, echoCommand(5)))).expectResponse(0x8030, 5, StatusSuccess)
				s.release()
			})
		})
	}
}

// A data set beyond MaxSmallDataSet is read past and answered 0213 (P9).
func TestSmallDataSetIsBounded(t *testing.T) {
	o := newOffice()
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: o})
	c := testDial(t, port, commitmentProposal(ImplicitVRLE))
	for _, size := range []int{MaxSmallDataSet, MaxSmallDataSet + 1} {
		rsp, err := c.call(t.Context(), StorageCommitmentPush, func(p Context) (command, *DataSet, error) {
			cmd, _, err := commitmentAction(p, askForTwo)
			return cmd, &DataSet{ImplicitVRLE, make([]byte, size)}, err
		})
		want := StatusInvalidArgument
		if size > MaxSmallDataSet {
			want = StatusResourceLimitation
		}
		if err != nil || rsp.Status != want {
			t.Errorf("%d bytes: %v, %v, want %v", size, rsp, err, want)
		}
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// Ten thousand instances in one request are nothing special.
func TestCommitmentOfTenThousand(t *testing.T) {
	rq := CommitmentRequest{TransactionUID: "2.25.7"}
	for i := range 10_000 {
		rq.References = append(rq.References, Reference{ctImage, "2.25." + strings.Repeat("1", 50) + string(rune('0'+i%10)) + string(rune('0'+i/10%10)) + string(rune('0'+i/100%10)) + string(rune('0'+i/1000))})
	}
	o := newOffice()
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: o})
	c := testDial(t, port, commitmentProposal(ExplicitVRLE))
	if rsp, err := c.RequestCommitment(t.Context(), rq); err != nil || rsp.Status != StatusSuccess {
		t.Fatal(rsp, err)
	}
	if got, _ := o.told(); !reflect.DeepEqual(got, []CommitmentRequest{rq}) {
		t.Error("the request arrived altered")
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// A report comes on an association that the archive opens, in the SCP role; it is
// answered whatever happens, failures of ours included (dcm4chee-arc #4263).
func TestReportOnANewAssociation(t *testing.T) {
	mine := newOffice()
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, CommitmentSCU: mine})
	cfg := clientConfig(port, commitmentProposal(ImplicitVRLE, ExplicitVRLE))
	cfg.Roles = []Role{{StorageCommitmentPush, false, true}}
	for _, status := range []Status{StatusSuccess, StatusProcessingFailure} {
		mine.answer.Status = status
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Negotiation().Answer.User.Roles; !reflect.DeepEqual(got, cfg.Roles) {
			t.Errorf("roles answered: %+v", got)
		}
		if rsp, err := c.ReportCommitment(t.Context(), halfResult); err != nil || rsp.Status != status {
			t.Errorf("got %v, %v, want %v", rsp, err, status)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	rq := command{{tagEventType, []byte{2, 0}}}
	if n, ok := answered(rq, Answer{}).number(tagEventType); !ok || n != eventFailures {
		t.Error("a response without event type")
	}
	if _, results := mine.told(); len(results) != 2 || !reflect.DeepEqual(results[1], halfResult) {
		t.Errorf("told %+v", results)
	}
}

// Who takes no reports says so in the roles, and the client does not try; who
// says nothing of roles is tried.
func TestRolesAreHonoured(t *testing.T) {
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: newOffice()})
	cfg := clientConfig(port, commitmentProposal(ImplicitVRLE))
	cfg.Roles = []Role{{StorageCommitmentPush, true, true}}
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReportCommitment(t.Context(), halfResult); !errors.Is(err, ErrNoRole) {
		t.Errorf("got %v, want ErrNoRole", err)
	}
	if rsp, err := c.RequestCommitment(t.Context(), askForTwo); err != nil || rsp.Status != StatusSuccess {
		t.Errorf("the association does not live: %v, %v", rsp, err)
	}
	c.Release(t.Context())

	c = testDial(t, port, commitmentProposal(ImplicitVRLE))
	if rsp, err := c.ReportCommitment(t.Context(), halfResult); err != nil || rsp.Status != StatusUnrecognizedOperation {
		t.Errorf("without roles: %v, %v", rsp, err)
	}
	c.Release(t.Context())
}

// A report that comes before anybody waits for it is kept, or taken at once by
// who is configured to; AwaitCommitment then has nothing to wait for.
func TestReportOvertakes(t *testing.T) {
	for _, configured := range []bool{false, true} {
		o, mine := newOffice(), newOffice()
		_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: o})
		cfg := clientConfig(port, commitmentProposal(ImplicitVRLE), Proposal{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLE}})
		if configured {
			cfg.CommitmentSCU = mine
		}
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RequestCommitment(t.Context(), askForTwo); err != nil {
			t.Fatal(err)
		}
		a, reported := <-o.came, make(chan error, 1)
		go func() {
			_, err := a.ReportCommitment(t.Context(), halfResult)
			reported <- err
		}()
		for len(reported) == 0 && len(c.reports) == 0 {
			if _, err := c.Echo(t.Context()); err != nil { // reads what has come
				t.Fatal(err)
			}
		}
		if err := c.AwaitCommitment(t.Context(), mine); err != nil {
			t.Error(err)
		}
		if err := <-reported; err != nil {
			t.Error(err)
		}
		if _, results := mine.told(); !reflect.DeepEqual(results, []CommitmentResult{halfResult}) {
			t.Errorf("told %+v", results)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// AwaitCommitment ends with its context, and leaves the association as it was.
func TestAwaitEndsWithItsContext(t *testing.T) {
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: newOffice()})
	c := testDial(t, port, commitmentProposal(ImplicitVRLE))
	if _, err := c.RequestCommitment(t.Context(), askForTwo); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.AwaitCommitment(ctx, newOffice()); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if rsp, err := c.RequestCommitment(t.Context(), askForTwo); err != nil || rsp.Status != StatusSuccess {
		t.Errorf("afterwards: %v, %v", rsp, err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// The event type says whether there are failures, and a sequence without items is
// left out (PS3.4 §J.3.3.1.2).
func TestReportLeavesOutEmptySequences(t *testing.T) {
	failed := []FailedReference{{twoRefs[1], FailureProcessing}}
	for _, c := range []struct {
		r       CommitmentResult
		event   uint16
		without dataset.Tag
	}{
		{CommitmentResult{"2.25.7", twoRefs, nil}, 1, tagFailedSequence},
		{CommitmentResult{"2.25.7", nil, failed}, 2, tagReferencedSequence},
	} {
		cmd, d, err := commitmentEvent(Context{TransferSyntax: ImplicitVRLE}, c.r)
		if err != nil || cmd.uint16(tagEventType) != c.event {
			t.Fatal(cmd, err)
		}
		s, err := dataset.Parse(d.Bytes, ImplicitVRLE)
		if _, there := s.Find(c.without); err != nil || there {
			t.Errorf("%v is there, %v", c.without, err)
		}
	}
}

// FuzzCommitment: whatever stands in an N-ACTION or N-EVENT-REPORT, it is read or
// refused, and what was read can be said again.
func FuzzCommitment(f *testing.F) {
	_, action, _ := commitmentAction(Context{TransferSyntax: ImplicitVRLE}, askForTwo)
	_, event, _ := commitmentEvent(Context{TransferSyntax: ImplicitVRLE}, halfResult)
	f.Add(action.Bytes)
	f.Add(event.Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, syntax := range []string{ImplicitVRLE, ExplicitVRLE} {
			presentation := Context{TransferSyntax: syntax}
			if rq, err := parseCommitmentRequest(DataSet{syntax, b}); err == nil {
				if _, d, err := commitmentAction(presentation, rq); err == nil {
					if again, err := parseCommitmentRequest(*d); err != nil || !reflect.DeepEqual(again, rq) {
						t.Errorf("%+v became %+v, %v", rq, again, err)
					}
				}
			}
			if r, err := parseCommitmentResult(DataSet{syntax, b}); err == nil {
				if _, d, err := commitmentEvent(presentation, r); err == nil {
					if again, err := parseCommitmentResult(*d); err != nil || len(again.Committed) != len(r.Committed) || !reflect.DeepEqual(again.Failed, r.Failed) {
						t.Errorf("%+v became %+v, %v", r, again, err)
					}
				}
			}
		}
	})
}

// A Client says when it is over, and nothing else invokes on its association: a
// handler of reports that answers with one would wait for ever.
func TestClientIsOverAndDoesNoErrands(t *testing.T) {
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: newOffice()})
	c := testDial(t, port, commitmentProposal(ImplicitVRLE))
	if _, err := c.Association.ReportCommitment(t.Context(), halfResult); err != errOwn || c.Over() {
		t.Errorf("an errand for a client: %v, over %v", err, c.Over())
	}
	if _, err := c.CreateStep(t.Context(), "2.25.1", DataSet{}); !errors.Is(err, ErrNoContext) || c.Over() {
		t.Errorf("an operation without context: %v, over %v", err, c.Over())
	}
	if err := c.Release(t.Context()); err != nil || !c.Over() {
		t.Errorf("released: %v, over %v", err, c.Over())
	}
}

// A request whose report could not be sent, if all of it failed, is refused at
// once with 0213: nobody would ever hear of it. Any other's report can be.
func TestRequestIsRefusedWhenItsReportCannotBeSent(t *testing.T) {
	long := func(i int) string { return fmt.Sprintf("2.25.%059d", i) }
	short := func(i int) string { return fmt.Sprint(1000 + i) }
	for _, c := range []struct {
		name func(int) string
		n    int
		want Status
	}{
		{long, 24_000, StatusSuccess},
		{long, 31_500, StatusResourceLimitation}, // 4 MiB
		{short, 24_998, StatusSuccess},
		{short, 33_000, StatusResourceLimitation}, // 100,000 elements
	} {
		o := newOffice()
		_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: o})
		client := testDial(t, port, commitmentProposal(ImplicitVRLE))
		rq := CommitmentRequest{TransactionUID: "2.25.7"}
		for i := range c.n {
			rq.References = append(rq.References, Reference{ctImage, c.name(i)})
		}
		rsp, err := client.RequestCommitment(t.Context(), rq)
		if err != nil || rsp.Status != c.want {
			t.Errorf("%d instances: %v, %v, want %v", c.n, rsp.Status, err, c.want)
		}
		if taken, _ := o.told(); (len(taken) == 1) != (c.want == StatusSuccess) {
			t.Errorf("%d instances: taken %d", c.n, len(taken))
		}
		if c.want != StatusSuccess {
			continue
		}
		for _, committed := range []int{0, 1, c.n / 2, c.n} {
			r := CommitmentResult{TransactionUID: rq.TransactionUID, Committed: rq.References[:committed]}
			for _, ref := range rq.References[committed:] {
				r.Failed = append(r.Failed, FailedReference{ref, FailureNoSuchInstance})
			}
			if _, _, err := commitmentEvent(Context{TransferSyntax: ExplicitVRLE}, r); err != nil {
				t.Errorf("the report of %d committed of %d: %v", committed, c.n, err)
			}
		}
	}
}

// A response to a report that does not say success or failure is no answer: the
// result is reported again. So is that of a peer that hangs up over a report.
func TestReportWithoutAClearAnswerHasFailed(t *testing.T) {
	responses := map[string]func(s *script, rq command){
		"no status": func(s *script, rq command) {
			var c command
			c.setUint16(tagCommandField, nEventReportRQ|responseBit)
			c.setUint16(tagRespondedTo, rq.uint16(tagMessageID))
			c.setUint16(tagDataSetType, noDataSet)
			s.send(pdata(pdv(7, isCommand|isLast, c.append(nil))))
		},
		"pending": func(s *script, rq command) {
			s.send(pdata(pdv(7, isCommand|isLast, reportResponse(rq, StatusPending))))
		},
		"cancel": func(s *script, rq command) {
			s.send(pdata(pdv(7, isCommand|isLast, reportResponse(rq, StatusCancel))))
		},
		"hangs up": func(s *script, _ command) { s.conn.Close() },
	}
	for name, respond := range responses {
		o := newOffice()
		bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, _ *Server, l *pipeListener) {
			s, a := askScripted(t, l, o)
			reported := make(chan error, 1)
			go func() {
				_, err := a.ReportCommitment(t.Context(), halfResult)
				reported <- err
			}()
			respond(s, s.expectReport())
			if err := <-reported; !errors.Is(err, ErrUnanswered) {
				t.Errorf("%s: %v", name, err)
			}
			if name == "hangs up" {
				if _, err := a.ReportCommitment(t.Context(), halfResult); !errors.Is(err, ErrLost) || errors.Is(err, ErrUnanswered) {
					t.Errorf("afterwards, when nothing went out: %v", err)
				}
				return
			}
			s.send(pdata(pdv(1, isCommand|isLast, echoCommand(9)))).expectResponse(0x8030, 9, StatusSuccess) // it lives
			s.release()
		})
	}
}

// How long AwaitCommitment waits is for its context to say: Response is for
// responses.
func TestAwaitIsBoundedByItsContextAlone(t *testing.T) {
	o, mine := newOffice(), newOffice()
	bubble(t, ServerConfig{Handler: &keeper{}, Commitment: o}, func(t *testing.T, _ *Server, l *pipeListener) {
		cfg := clientConfig("0", commitmentProposal(ImplicitVRLE))
		cfg.Response = 2 * time.Second
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RequestCommitment(t.Context(), askForTwo); err != nil {
			t.Fatal(err)
		}
		reported := make(chan error, 1)
		go func() {
			time.Sleep(time.Minute)
			_, err := (<-o.came).ReportCommitment(context.Background(), halfResult)
			reported <- err
		}()
		if err := c.AwaitCommitment(t.Context(), mine); err != nil {
			t.Error(err)
		}
		c.Abort()
		if err := <-reported; err != nil {
			t.Error(err)
		}
	})
}

// A request that fails leaves the one before it outstanding, if that has not been
// answered meanwhile.
func TestRequestThatFailsLeavesTheOneBeforeOutstanding(t *testing.T) {
	o := newOffice()
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: o})
	c := testDial(t, port, commitmentProposal(ImplicitVRLE))
	if _, err := c.RequestCommitment(t.Context(), askForTwo); err != nil {
		t.Fatal(err)
	}
	tooLong := CommitmentRequest{TransactionUID: "2.25.9", References: make([]Reference, 200_000)}
	if _, err := c.RequestCommitment(t.Context(), tooLong); err == nil || c.Over() {
		t.Fatalf("a request that cannot be written: %v", err)
	}
	nothing := CommitmentRequest{TransactionUID: "2.25.9"}
	if rsp, err := c.RequestCommitment(t.Context(), nothing); err != nil || !rsp.Status.IsFailure() {
		t.Fatalf("a request of nothing: %v, %v", rsp.Status, err)
	}
	a, reported, mine := <-o.came, make(chan error, 1), newOffice()
	go func() {
		_, err := a.ReportCommitment(context.Background(), halfResult)
		reported <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.AwaitCommitment(ctx, mine); err != nil {
		t.Error(err)
	}
	if _, results := mine.told(); len(results) != 1 {
		t.Errorf("told %+v", results)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-reported; err != nil {
		t.Error(err)
	}
}
