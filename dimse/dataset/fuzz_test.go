package dataset

import (
	"errors"
	"testing"
)

// Whatever the bytes are: no panic, an error of ours or a Set, and what was read
// is written and read again as the same.
func FuzzParse(f *testing.F) {
	for i, ts := range syntaxes {
		b, _ := sample().Append(nil, ts)
		f.Add(b, uint8(i))
	}
	f.Add(undefinedSQ(explicitLE, 0x00081115, "UN", mark(implicitLE, tagItem, 0)), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, syntax uint8) {
		ts := syntaxes[int(syntax)%len(syntaxes)]
		Head(b, ts)
		s, err := Parse(b, ts)
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrPixelData) {
				t.Fatalf("a foreign error: %v", err)
			}
			return
		}
		for _, e := range s {
			e.Texts()
			VR(e.Tag)
		}
		written, err := s.Append(nil, ts)
		if errors.Is(err, ErrLimit) { // defined lengths may take a little more room
			return
		}
		again, err2 := Parse(written, ts)
		if err != nil || err2 != nil || !again.Equal(s) {
			t.Fatalf("%s: %v, %v\n got %v\nwant %v", ts, err, err2, again, s)
		}
	})
}
