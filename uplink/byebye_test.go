package uplink

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"edged/uplink/wire"
)

func encoded(t testing.TB, frames ...wire.Frame) (b []byte) {
	t.Helper()
	for _, f := range frames {
		var err error
		if b, err = wire.Append(b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// Frames pass unchanged up to Bye, which is the end whatever follows.
func TestByeEndsWhatIsRead(t *testing.T) {
	before := encoded(t, &wire.Receipt{Receipts: make([]wire.Received, 3000)}, &wire.Again{}, &wire.Put{Number: 1, Body: make([]byte, 70_000)})
	after := encoded(t, &wire.Release{})
	for name, c := range map[string]struct {
		bye  []byte
		want string
	}{
		"with words":      {encoded(t, &wire.Bye{Code: 2, Reason: "no"}), `code 2, "no"`},
		"without":         {encoded(t, &wire.Bye{}), "code 0"},
		"too many words":  {encoded(t, &wire.Bye{Code: 1, Reason: strings.Repeat("w", 4000)}), `w"`},
		"control signs":   {encoded(t, &wire.Bye{Code: 1, Reason: "\x1b[31m"}), `\x1b`},
		"cut in its head": {[]byte{0, 14, 0}, errCut.Error()},
		"cut":             {encoded(t, &wire.Bye{Code: 2, Reason: "no"})[:10], errCut.Error()},
		"no CBOR":         {[]byte{0, 14, 0, 1, 0, 0, 0, 0, 0xff}, wire.ErrMalformed.Error()},
		"a huge header":   {[]byte{0, 14, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, wire.ErrMalformed.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			all := append(append(bytes.Clone(before), c.bye...), after...)
			if strings.HasPrefix(name, "cut") {
				all = all[:len(all)-len(after)]
			}
			r := newByeReader(iotest.HalfReader(bytes.NewReader(all)))
			got, err := io.ReadAll(r)
			if !bytes.Equal(got, before) {
				t.Errorf("%d of %d bytes came through", len(got), len(before))
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 2*maxReason {
				t.Errorf("ends with %v", err)
			}
			if n, again := r.Read(make([]byte, 1)); n != 0 || again != err {
				t.Errorf("then %d, %v", n, again)
			}
		})
	}
	if _, err := io.ReadAll(newByeReader(bytes.NewReader(before))); !errors.Is(err, errCut) {
		t.Errorf("without Bye: %v", err)
	}
}

// Whatever comes, what is passed on is what came, and no more than that is kept.
func FuzzByeReader(f *testing.F) {
	f.Add(encoded(f, &wire.Again{}, &wire.Bye{Code: 3, Reason: "x"}), uint8(3))
	f.Add([]byte{0, 1, 0, 4, 0, 0, 0, 9, 1, 2, 3}, uint8(1))
	f.Add([]byte{0, 14, 0x10, 0, 0, 4, 0, 1}, uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		r, p := newByeReader(bytes.NewReader(b)), make([]byte, int(size)+1)
		var got []byte
		for {
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if err != nil {
				var bye *byeError
				if errors.As(err, &bye) && len(bye.Reason) > maxReason {
					t.Fatalf("%d bytes of words", len(bye.Reason))
				}
				break
			}
		}
		if !bytes.HasPrefix(b, got) {
			t.Fatal("something else came out")
		}
		var head [8]byte
		if n := copy(head[:], b[len(got):]); n == 8 && head[1] != byte(wire.TypeBye) {
			t.Fatalf("stopped before a frame of type %d", head[1])
		}
	})
}
