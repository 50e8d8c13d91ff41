package dimse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"edged/dimse/dataset"
)

// recordConn is a byteConn that keeps what is written.
type recordConn struct {
	*byteConn
	out bytes.Buffer
}

func (c *recordConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Read ends in silence, not with the end of the connection: a slow machine that
// looks for a C-CANCEL in between must not find that the peer has left.
func (c *recordConn) Read(p []byte) (int, error) {
	n, err := c.byteConn.Read(p)
	if err == io.EOF {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// served runs a server with a shelf on the bytes of a peer, and returns the
// command sets that it answered with.
func served(t testing.TB, scp *shelf, in []byte) (answers []command) {
	t.Helper()
	s := newTestServer(t, ServerConfig{Handler: &keeper{}, Query: scp, ReadBuffer: 512})
	conn := &recordConn{byteConn: newByteConn(in)}
	s.run(s.admitConnection(conn))
	if !conn.closed || s.Established() != 0 || len(s.live) != 0 {
		t.Errorf("closed %v, %d established, %d live", conn.closed, s.Established(), len(s.live))
	}
	for b := conn.out.Bytes(); len(b) >= headerSize; {
		n := headerSize + int(binary.BigEndian.Uint32(b[2:]))
		if b[0] == typeData && b[11]&isCommand != 0 {
			c, err := parseCommand(b[headerSize+pdvHeader : n])
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, c.clone())
		}
		b = b[n:]
	}
	return answers
}

// fuzzShelf has two matches, three instances, and a destination that is down.
func fuzzShelf(t testing.TB) *shelf {
	scp := (&shelf{t: t}).fill(2, ExplicitVRLE)
	scp.instances = []Instance{stocked(0, ctImage, ExplicitVRLE, "data"), stocked(1, ctImage, ImplicitVRLE, "no context"), stocked(2, ctImage, ExplicitVRLE, strings.Repeat("more", 9000))}
	down := clientConfig("1")
	down.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("down") }
	scp.peers = map[string]ClientConfig{"WS2": down}
	return scp
}

// fragments cuts a data set into PDUs.
func fragments(context byte, data []byte) (b []byte) {
	for len(data) > 60<<10 {
		b = append(b, pdata(pdv(context, 0, data[:60<<10]))...)
		data = data[60<<10:]
	}
	return append(b, pdata(pdv(context, isLast, data))...)
}

// FuzzQueryIdentifier: whatever the identifier of a C-FIND is, it reaches the
// QuerySCP as it came, in every syntax, and every match goes out, then the end.
func FuzzQueryIdentifier(f *testing.F) {
	for _, ts := range []string{ImplicitVRLE, ExplicitVRLE, ExplicitVRBE} {
		f.Add(studyQuery(f, ts).Identifier.Bytes)
	}
	f.Add([]byte{0x08, 0, 0x52, 0, 'C', 'S', 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, ts := range []string{ImplicitVRLE, ExplicitVRLE, ExplicitVRBE, "1.2.840.10008.1.2.1.99"} {
			scp := fuzzShelf(t)
			rq := (&AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "WS1", ApplicationContext: ApplicationContext,
				Contexts: []Proposal{{findContext, StudyRootFind, []string{ts}}}, User: UserInfo{ImplementationClassUID: "2.25.3"}}).append(nil)
			answers := served(t, scp, slices.Concat(rq, pdata(pdv(findContext, isCommand|isLast, queryCommand(cFindRQ, 7, StudyRootFind))), fragments(findContext, b)))
			heard := scp.heard()
			if len(heard) != 1 || !bytes.Equal(heard[0].Identifier.Bytes, b) || heard[0].Identifier.TransferSyntaxUID != ts {
				t.Fatalf("the QuerySCP heard %+v", heard)
			}
			dataset.Parse(heard[0].Identifier.Bytes, ts)
			for i, c := range answers {
				if pending := Status(c.uint16(tagStatus)).IsPending(); pending != (i < 2) || c.uint16(tagRespondedTo) != 7 {
					t.Errorf("answer %d is %v", i, Status(c.uint16(tagStatus)))
				}
			}
			if len(answers) != 3 || answers[2].uint16(tagStatus) != 0 {
				t.Errorf("%d answers, want two matches and success", len(answers))
			}
		}
	})
}

// FuzzQueryServe: whatever a peer sends after it has asked for something, the
// association ends, and no message ID gets two last responses of one operation.
func FuzzQueryServe(f *testing.F) {
	get := slices.Concat(storeAnswer(1, StatusSuccess), storeAnswer(2, StatusSuccess), releaseRQ)
	for operation := range byte(3) {
		f.Add(operation, get)
		f.Add(operation, cancelMessage(getContext, 3))
		f.Add(operation, slices.Concat(echoMessage(9), cancelMessage(findContext, 3), get))
	}
	f.Fuzz(func(t *testing.T, operation byte, b []byte) {
		ask := [][]byte{findMessage(t, 3), moveMessage(t, 3), getMessage(t, 3)}[operation%3]
		last := map[uint16]int{}
		for _, c := range served(t, fuzzShelf(t), slices.Concat(queryRQ(Role{ctImage, false, true}), ask, b)) {
			field := c.uint16(tagCommandField)
			if field&responseBit != 0 && !Status(c.uint16(tagStatus)).IsPending() && c.uint16(tagRespondedTo) == 3 {
				last[field]++
			}
		}
		field := []uint16{cFindRQ, cMoveRQ, cGetRQ}[operation%3] | responseBit
		if asked := 1 + bytes.Count(b, []byte{0, 0, 0x10, 1, 2, 0, 0, 0, 3, 0}); last[field] > asked {
			t.Errorf("%d last responses to %d requests", last[field], asked)
		}
	})
}

// FuzzQueryClient: whatever an archive answers, a query, a cancelled one, and a
// C-GET end, and the connection is closed.
func FuzzQueryClient(f *testing.F) {
	store := pdata(pdv(9, isCommand|isLast, storeCommand(1, "2.25.1")), pdv(9, isLast, []byte("data")))
	for operation := range byte(3) {
		f.Add(operation, slices.Concat(match(1, []byte("a")), match(1, []byte("b")), says(findContext, cFindRQ, 1, StatusCancel, SubOperations{}, nil)))
		f.Add(operation, slices.Concat(store, store, says(getContext, cGetRQ, 1, StatusCoercion, SubOperations{Completed: 2}, []byte("x"))))
		f.Add(operation, releaseRQ)
	}
	contexts := []Proposal{{findContext, StudyRootFind, []string{ImplicitVRLE}}, {getContext, StudyRootGet, []string{ImplicitVRLE}}, {9, ctImage, []string{ExplicitVRLE}}}
	ac, _ := Negotiate(&AssociateRQ{ProtocolVersion: 1, ApplicationContext: ApplicationContext, Contexts: contexts}, Peer{},
		Policy{ImplementationClassUID: testUID, Accepts: func(Peer, string) bool { return true }})
	f.Fuzz(func(t *testing.T, operation byte, b []byte) {
		conn := newByteConn(slices.Concat(ac.append(nil), b))
		cfg := clientConfig("1", contexts...)
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		q, most := studyQuery(t, ImplicitVRLE), 1+int(operation%2)*1000000
		switch operation % 3 {
		case 0, 1:
			n := 0
			c.Find(t.Context(), q, func(DataSet) error {
				if n++; n > most {
					t.Error("found was called after it had enough")
				}
				if n == most {
					return ErrStop
				}
				return nil
			})
		case 2:
			q.SOPClassUID = StudyRootGet
			c.Get(t.Context(), q, func(_ context.Context, _ StoreRequest, data io.Reader) Status {
				io.Copy(io.Discard, data)
				return StatusSuccess
			}, nil)
		}
		c.Release(t.Context())
		if !conn.closed {
			t.Error("the connection is open")
		}
	})
}
