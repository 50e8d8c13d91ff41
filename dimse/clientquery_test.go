package dimse

import (
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

// Our client asks; the archive is a script, in virtual time.

// queryArchive plays answer against a client with a context for every service.
func queryArchive(t *testing.T, answer func(s *script), f func(t *testing.T, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		cfg := clientConfig("0", Proposal{findContext, StudyRootFind, []string{ImplicitVRLE}}, Proposal{moveContext, StudyRootMove, []string{ImplicitVRLE}},
			Proposal{getContext, StudyRootGet, []string{ImplicitVRLE}}, Proposal{9, ctImage, []string{ExplicitVRLE}},
			Proposal{11, StorageCommitmentPush, []string{ImplicitVRLE}})
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		story := make(chan struct{})
		go func() {
			defer close(story)
			s := &script{t, theirs}
			rq, err := parseAssociateRQ(s.expect(typeRQ))
			if err != nil {
				t.Error(err)
			}
			ac, _ := Negotiate(rq, Peer{}, Policy{ImplementationClassUID: "2.25.8", Accepts: func(Peer, string) bool { return true }})
			answer(s.send(ac.append(nil)))
			theirs.Close()
		}()
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Error(err)
			ours.Close()
		} else {
			f(t, c)
			c.Abort()
		}
		<-story
	})
}

// question reads a request with its identifier.
func (s *script) question(field uint16) uint16 {
	s.t.Helper()
	c, err := parseCommand(s.expect(typeData)[pdvHeader:])
	if err != nil || c.uint16(tagCommandField) != field || !c.carriesData() {
		s.t.Errorf("got %v, %v, want %04X", c, err, field)
	}
	s.expect(typeData)
	return c.uint16(tagMessageID)
}

// expectCancel reads a C-CANCEL of the message.
func (s *script) expectCancel(id uint16) {
	s.t.Helper()
	c, err := parseCommand(s.expect(typeData)[pdvHeader:])
	if err != nil || c.uint16(tagCommandField) != cCancelRQ || c.uint16(tagRespondedTo) != id || c.carriesData() {
		s.t.Errorf("got %v, %v, want C-CANCEL-RQ", c, err)
	}
}

// says is a response with an identifier, if there is one.
func says(context byte, field, id uint16, status Status, counts SubOperations, identifier []byte) []byte {
	var c command
	c.setUint16(tagCommandField, field|responseBit)
	c.setUint16(tagRespondedTo, id)
	c.setUint16(tagStatus, uint16(status))
	c.setUint16(tagRemaining, uint16(counts.Remaining))
	c.setUint16(tagCompleted, uint16(counts.Completed))
	c.setDataSet(identifier != nil)
	b := pdata(pdv(context, isCommand|isLast, c.append(nil)))
	for len(identifier) > 60<<10 {
		b = append(b, pdata(pdv(context, 0, identifier[:60<<10]))...)
		identifier = identifier[60<<10:]
	}
	if identifier != nil {
		b = append(b, pdata(pdv(context, isLast, identifier))...)
	}
	return b
}

func match(id uint16, identifier []byte) []byte {
	return says(findContext, cFindRQ, id, StatusPending, SubOperations{}, identifier)
}

// TestStoppedQueryIsReadToItsEnd: matches that were under way when we cancelled
// are read past; the last response counts, whatever it says.
func TestStoppedQueryIsReadToItsEnd(t *testing.T) {
	for _, last := range []Status{StatusCancel, StatusSuccess, StatusOutOfResources} {
		queryArchive(t, func(s *script) {
			id := s.question(cFindRQ)
			s.send(match(id, []byte("a"))).expectCancel(id)
			s.send(match(id, []byte("b")), match(id, []byte("c")), says(findContext, cFindRQ, id, last, SubOperations{}, nil))
			s.expect(typeAbort)
		}, func(t *testing.T, c *Client) {
			var got []string
			rsp, err := c.Find(t.Context(), studyQuery(t, ImplicitVRLE), func(d DataSet) error {
				got = append(got, string(d.Bytes))
				return ErrStop
			})
			if err != nil || rsp.Status != last || !slices.Equal(got, []string{"a"}) {
				t.Errorf("got %v, %v, %q", rsp, err, got)
			}
		})
	}
}

// TestReportDuringAQueryIsTaken: by whom ClientConfig names, as it is while any
// other response is waited for.
func TestReportDuringAQueryIsTaken(t *testing.T) {
	for field, service := range map[uint16]struct {
		context byte
		class   string
		ask     func(ctx context.Context, c *Client, q Query) error
	}{
		cFindRQ: {findContext, StudyRootFind, func(ctx context.Context, c *Client, q Query) error {
			_, err := c.Find(ctx, q, func(DataSet) error { return nil })
			return err
		}},
		cMoveRQ: {moveContext, StudyRootMove, func(ctx context.Context, c *Client, q Query) error {
			_, err := c.Move(ctx, q, nil)
			return err
		}},
		cGetRQ: {getContext, StudyRootGet, func(ctx context.Context, c *Client, q Query) error {
			_, err := c.Get(ctx, q, nil, nil)
			return err
		}},
	} {
		queryArchive(t, func(s *script) {
			id := s.question(field)
			cmd, d, err := commitmentEvent(Context{11, StorageCommitmentPush, ImplicitVRLE}, halfResult)
			if err != nil {
				t.Error(err)
			}
			cmd.setUint16(tagMessageID, 8)
			cmd.setDataSet(true)
			s.send(pdata(pdv(11, isCommand|isLast, cmd.append(nil)), pdv(11, isLast, d.Bytes)))
			rsp, err := parseCommand(s.expect(typeData)[pdvHeader:])
			if err != nil || rsp.uint16(tagCommandField) != nEventReportRQ|responseBit || rsp.uint16(tagRespondedTo) != 8 || Status(rsp.uint16(tagStatus)) != StatusSuccess {
				t.Errorf("%04X: the report is answered %v, %v", field, rsp, err)
			}
			s.send(says(service.context, field, id, StatusSuccess, SubOperations{}, nil))
			s.expect(typeAbort)
		}, func(t *testing.T, c *Client) {
			mine := newOffice()
			c.cfg.CommitmentSCU = mine
			if err := service.ask(t.Context(), c, retrieveQuery(t, service.class)); err != nil {
				t.Errorf("%04X: %v", field, err)
			}
			if _, results := mine.told(); len(results) != 1 {
				t.Errorf("%04X: %d reports taken, want 1", field, len(results))
			}
		})
	}
}

// TestArchiveThatDoesNotStop is not listened to for ever.
func TestArchiveThatDoesNotStop(t *testing.T) {
	queryArchive(t, func(s *script) {
		id := s.question(cFindRQ)
		s.send(match(id, []byte("a"))).expectCancel(id)
		for range 1000 {
			s.send(match(id, []byte("b")))
			time.Sleep(time.Second)
		}
	}, func(t *testing.T, c *Client) {
		start := time.Now()
		_, err := c.Find(t.Context(), studyQuery(t, ImplicitVRLE), func(DataSet) error { return ErrStop })
		if took := time.Since(start); !errors.Is(err, ErrTimeout) || took > c.cfg.Response+2*maxLinger {
			t.Errorf("got %v after %v, want %v soon after %v", err, took, ErrTimeout, c.cfg.Response)
		}
	})
}

// TestIdentifierIsBounded: a match without measure is read past, not kept; the
// query is cancelled and the association lives.
func TestIdentifierIsBounded(t *testing.T) {
	queryArchive(t, func(s *script) {
		id := s.question(cFindRQ)
		s.send(match(id, make([]byte, MaxSmallDataSet+1))).expectCancel(id)
		s.send(says(findContext, cFindRQ, id, StatusCancel, SubOperations{}, nil))
		id = s.question(cFindRQ)
		s.send(match(id, make([]byte, MaxSmallDataSet)), says(findContext, cFindRQ, id, StatusSuccess, SubOperations{}, nil))
		s.expect(typeAbort)
	}, func(t *testing.T, c *Client) {
		n := 0
		found := func(d DataSet) error { n++; return nil }
		if rsp, err := c.Find(t.Context(), studyQuery(t, ImplicitVRLE), found); err == nil || rsp.Status != StatusCancel || n != 0 {
			t.Errorf("got %v, %v, %d matches", rsp, err, n)
		}
		if rsp, err := c.Find(t.Context(), studyQuery(t, ImplicitVRLE), found); err != nil || rsp.Status != StatusSuccess || n != 1 {
			t.Errorf("got %v, %v, %d matches", rsp, err, n)
		}
	})
}

// TestQueryEndsWithItsArchive: every way in which the association ends in the
// middle of a query is an error of its kind, and the client is over.
func TestQueryEndsWithItsArchive(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(s *script, id uint16)
		want error
	}{
		"release":          {func(s *script, _ uint16) { s.send(releaseRQ).expect(typeReleaseRP) }, ErrReleased},
		"abort":            {func(s *script, _ uint16) { s.send(abortPDU) }, ErrAborted},
		"cut":              {func(*script, uint16) {}, ErrLost},
		"silence":          {func(s *script, _ uint16) { s.expect(typeAbort) }, ErrTimeout},
		"another response": {func(s *script, id uint16) { s.send(match(id+1, []byte("a"))).expect(typeAbort) }, ErrAborted},
		"another field": {func(s *script, id uint16) {
			s.send(says(findContext, cMoveRQ, id, 0, SubOperations{}, nil)).expect(typeAbort)
		}, ErrAborted},
		"a context not accepted": {func(s *script, id uint16) { s.send(says(99, cFindRQ, id, 0, SubOperations{}, nil)).expect(typeAbort) }, ErrAborted},
		"only requests": {func(s *script, _ uint16) {
			for range maxStrays {
				s.send(pdata(pdv(findContext, isCommand|isLast, echoCommand(7)))).expect(typeData)
			}
			s.send(pdata(pdv(findContext, isCommand|isLast, echoCommand(7)))).expect(typeAbort)
		}, ErrAborted},
	} {
		t.Run(name, func(t *testing.T) {
			queryArchive(t, func(s *script) {
				id := s.question(cFindRQ)
				s.send(match(id, []byte("a")))
				c.end(s, id)
			}, func(t *testing.T, client *Client) {
				n := 0
				_, err := client.Find(t.Context(), studyQuery(t, ImplicitVRLE), func(DataSet) error { n++; return nil })
				if !errors.Is(err, c.want) || n != 1 {
					t.Errorf("got %v after %d matches, want %v after 1", err, n, c.want)
				}
				if _, again := client.Find(t.Context(), studyQuery(t, ImplicitVRLE), nil); again == nil {
					t.Error("the association is not over")
				}
			})
		})
	}
}

// TestQueryEndsWithItsContext, in the middle of a wait.
func TestQueryEndsWithItsContext(t *testing.T) {
	queryArchive(t, func(s *script) {
		s.question(cFindRQ)
		s.expect(typeAbort)
	}, func(t *testing.T, c *Client) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := c.Find(ctx, studyQuery(t, ImplicitVRLE), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// TestMoveHearsProgress, cancels when it has heard enough, and is told what
// became of it.
func TestMoveHearsProgress(t *testing.T) {
	failed, err := uidList(failedUIDList, []string{"2.25.1", "2.25.22"}, ImplicitVRLE)
	if err != nil {
		t.Fatal(err)
	}
	queryArchive(t, func(s *script) {
		id := s.question(cMoveRQ)
		s.send(says(moveContext, cMoveRQ, id, StatusPending, SubOperations{Remaining: 5, Completed: 1}, nil))
		s.send(says(moveContext, cMoveRQ, id, StatusPending, SubOperations{Remaining: 4, Completed: 2}, nil)).expectCancel(id)
		s.send(says(moveContext, cMoveRQ, id, StatusPending, SubOperations{Remaining: 3, Completed: 3}, nil))
		s.send(says(moveContext, cMoveRQ, id, StatusCancel, SubOperations{Remaining: 3, Completed: 3}, failed.Bytes))
		s.expect(typeAbort)
	}, func(t *testing.T, c *Client) {
		var heard []SubOperations
		q := studyQuery(t, ImplicitVRLE)
		q.SOPClassUID, q.Destination = StudyRootMove, "WS2"
		r, err := c.Move(t.Context(), q, func(n SubOperations) error {
			if heard = append(heard, n); n.Completed == 2 {
				return ErrStop
			}
			return nil
		})
		want := SubOperations{Remaining: 3, Completed: 3}
		if err != nil || r.Status != StatusCancel || r.SubOperations != want || !slices.Equal(r.FailedUIDs, []string{"2.25.1", "2.25.22"}) {
			t.Errorf("got %+v, %v", r, err)
		}
		if !slices.Equal(heard, []SubOperations{{Remaining: 5, Completed: 1}, {Remaining: 4, Completed: 2}}) {
			t.Errorf("heard %v", heard)
		}
	})
}

// TestGetServesUntilTheLastResponse: an instance that comes after our cancel is
// taken all the same, one that store leaves unread is not a success, and one that
// is wrong is refused by status.
func TestGetServesUntilTheLastResponse(t *testing.T) {
	store := func(id uint16, uid, data string) []byte {
		return pdata(pdv(9, isCommand|isLast, storeCommand(id, uid)), pdv(9, isLast, []byte(data)))
	}
	queryArchive(t, func(s *script) {
		id := s.question(cGetRQ)
		s.send(store(1, "2.25.1", "one")).expectResponse(cStoreRQ|responseBit, 1, StatusSuccess)
		s.send(store(2, "2.25.2", "unread")).expectResponse(cStoreRQ|responseBit, 2, StatusProcessingFailure)
		s.send(store(3, "", "nameless")).expectResponse(cStoreRQ|responseBit, 3, StatusInvalidInstance)
		s.send(says(getContext, cGetRQ, id, StatusPending, SubOperations{Remaining: 1, Completed: 3}, nil)).expectCancel(id)
		s.send(store(4, "2.25.4", "late")).expectResponse(cStoreRQ|responseBit, 4, StatusSuccess)
		s.send(says(getContext, cGetRQ, id, StatusSuccess, SubOperations{Completed: 4}, nil))
		s.expect(typeAbort)
	}, func(t *testing.T, c *Client) {
		var got []string
		q := studyQuery(t, ImplicitVRLE)
		q.SOPClassUID = StudyRootGet
		r, err := c.Get(t.Context(), q, func(_ context.Context, rq StoreRequest, data io.Reader) Status {
			if rq.SOPInstanceUID == "2.25.2" {
				return StatusSuccess
			}
			b, err := io.ReadAll(data)
			if got = append(got, string(b)); err != nil {
				return StatusProcessingFailure
			}
			return StatusSuccess
		}, func(SubOperations) error { return ErrStop })
		if err != nil || r.Status != StatusSuccess || strings.Join(got, " ") != "one late" {
			t.Errorf("got %+v, %v, %q", r, err, got)
		}
	})
}
