package receive

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"edged/uplink/wire"
)

// endless is a stream of Puts that counts what was taken of it.
type endless struct {
	frame []byte
	at    int
	taken int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.frame[e.at:])
	e.at, e.taken = (e.at+n)%len(e.frame), e.taken+n
	return n, nil
}

// TestAHubHoldsLessThanOnePutOfAConnection: what it took from the kernel over TCP and
// has not written is lost when it is killed, and goes twice.
func TestAHubHoldsLessThanOnePutOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frame, err := wire.Append(nil, &wire.Put{Number: 1, Body: make([]byte, wire.MaxBody)})
		if err != nil {
			t.Fatal(err)
		}
		from := &endless{frame: frame}
		ctx, cancel := context.WithCancel(t.Context())
		puts, ended := newPieces(), make(chan struct{})
		go func() {
			defer close(ended)
			(&tcpLink{frames: wire.NewReader(from)}).read(ctx, nil, newQueue(nil), puts)
		}()
		written := 0
		for range 100 {
			synctest.Wait()     // one waits
			p, _ := puts.take() // is being written
			synctest.Wait()
			if held := from.taken - written; held >= wire.MaxBody {
				t.Fatalf("%d bytes taken and not written", held)
			}
			written += p.got
		}
		cancel()
		<-ended
	})
}

// TestPiecesAreTheBody: all of it in its order, each with what is left from there on,
// and of a body that is cut what came.
func TestPiecesAreTheBody(t *testing.T) {
	for _, length := range []int{1, pieceSize - 1, pieceSize, pieceSize + 1, wire.MaxBody} {
		for _, lacks := range []int{0, 1, pieceSize} {
			if lacks > length {
				continue
			}
			body := make([]byte, length)
			for i := range body {
				body[i] = byte(i * 7 / 3)
			}
			raw, err := wire.Append(nil, &wire.Put{Number: 5, Offset: 1000, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			f, err := wire.NewReader(&cut{raw[:len(raw)-lacks]}).Next()
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			err = inPieces(f.(*wire.PutFrame), func(p piece) error {
				if p.number != 5 || p.offset != 1000+int64(len(got)) || p.length != length-len(got) {
					t.Errorf("%d: a piece of %d at %d, %d left, after %d bytes", length, p.got, p.offset, p.length, len(got))
				}
				got = append(got, p.body[:p.got]...)
				return nil
			})
			if string(got) != string(body[:length-lacks]) || (err == nil) != (lacks == 0) {
				t.Errorf("%d without %d: %d bytes, %v", length, lacks, len(got), err)
			}
		}
	}
}

// cut ends in the middle.
type cut struct{ b []byte }

func (c *cut) Read(b []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, c.b)
	c.b = c.b[n:]
	return n, nil
}
