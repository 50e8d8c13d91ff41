//go:build linux

package udp

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

func gro(size byte) []byte { return control(unix.IPPROTO_UDP, unix.UDP_GRO, []byte{size, 0, 0, 0}) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// The size is found wherever it stands, and all the rest is left in its order.
func TestTheSizeOfATrainIsTakenOut(t *testing.T) {
	tos := control(unix.IPPROTO_IP, unix.IP_TOS, []byte{2})
	info := control(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 12))
	for name, c := range map[string]struct {
		oob  []byte
		size int
		rest []byte
		bad  bool
	}{
		"none":       {tos, 0, tos, false},
		"empty":      {nil, 0, nil, false},
		"first":      {join(gro(9), tos, info), 9, join(tos, info), false},
		"middle":     {join(tos, gro(200), info), 200, join(tos, info), false},
		"last":       {join(tos, info, gro(7)), 7, join(tos, info), false},
		"unpadded":   {join(tos, gro(7))[:len(tos)+unix.CmsgLen(4)], 7, tos, false},
		"zero":       {gro(0), 0, nil, true},
		"short":      {control(unix.IPPROTO_UDP, unix.UDP_GRO, []byte{1, 0}), 0, nil, true},
		"cut":        {tos[:10], 0, nil, true},
		"lying long": {append([]byte{255}, tos[1:]...), 0, nil, true},
	} {
		size, rest, err := splitControl(bytes.Clone(c.oob))
		if size != c.size || !bytes.Equal(rest, c.rest) || (err != nil) != c.bad {
			t.Errorf("%s: size %d, rest %x, %v", name, size, rest, err)
		}
	}
}

// FuzzControl: whatever the bytes, nothing panics, nothing grows, what is left is
// parsable, and a train's size is never zero or negative; marking changes no length.
func FuzzControl(f *testing.F) {
	tos := control(unix.IPPROTO_IP, unix.IP_TOS, []byte{2})
	class := control(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, []byte{1, 0, 0, 0})
	for _, seed := range [][]byte{nil, tos, class, gro(9), join(tos, gro(9), class), segments(1452), tos[:7], append([]byte{17}, tos[1:]...)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, oob []byte) {
		segmentSize(oob)
		marked := bytes.Clone(oob)
		markDSCP(marked, 63)
		if len(marked) != len(oob) {
			t.Fatal("marking changed the length")
		}
		before := len(oob)
		size, rest, err := splitControl(oob)
		if err != nil {
			return
		}
		if size < 0 || len(rest) > before {
			t.Fatalf("size %d, %d of %d bytes left", size, len(rest), before)
		}
		if again, _, err := splitControl(rest); err != nil || again != 0 {
			t.Fatalf("what is left says size %d, %v", again, err)
		}
	})
}
