package line

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A packet is written where the one before ends or at the begin, never over one
// that waits.
func TestRingKeepsPacketsWholeAndInOrder(t *testing.T) {
	r := newRing(4*maxPacket, 64)
	random := rand.New(rand.NewPCG(1, 2))
	var in, out uint32
	for range 20000 {
		if room := r.room(); room != nil && random.IntN(2) == 0 {
			size := 4 + random.IntN(maxPacket-3)
			binary.BigEndian.PutUint32(room, in)
			binary.BigEndian.PutUint32(room[size-4:size], in)
			r.push(size, int64(in))
			in++
		} else if b, due, ok := r.next(); ok {
			if uint32(due) != out || binary.BigEndian.Uint32(b) != out || binary.BigEndian.Uint32(b[len(b)-4:]) != out {
				t.Fatalf("packet %d: due %d, holds %d", out, due, binary.BigEndian.Uint32(b))
			}
			r.pop()
			out++
		}
	}
	if out < 5000 {
		t.Fatalf("only %d packets passed", out)
	}
}

func TestSameSeedMeetsTheSameLuck(t *testing.T) {
	luck := func(seed uint64) (lost []int) {
		l, err := New(Config{Rate: 1e9, Loss: 0.01, Seed: seed}, &Device{}, &Device{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10000 {
			if _, ok := l.way[0].send(1500, int64(i)*int64(time.Millisecond)); !ok {
				lost = append(lost, i)
			}
		}
		return lost
	}
	one, again, other := luck(1), luck(1), luck(2)
	if len(one) < 60 || len(one) > 140 {
		t.Errorf("%d of 10000 lost, want about 100", len(one))
	}
	if !slices.Equal(one, again) || slices.Equal(one, other) {
		t.Error("the seed does not decide the luck")
	}
}

// Serialisation counts Ethernet's bytes, and the queue is bounded by bytes.
func TestPacketsWaitForEachOther(t *testing.T) {
	l, err := New(Config{Rate: 8e6, Delay: time.Millisecond, Queue: 3000}, &Device{}, &Device{})
	if err != nil {
		t.Fatal(err)
	}
	d := &l.way[0]
	for i := range 3 { // a byte takes a microsecond
		due, ok := d.send(1500-Ethernet, 0)
		if want := int64(i+1)*1_500_000 + 1_000_000; !ok || due != want {
			t.Errorf("packet %d: due %d, want %d", i, due, want)
		}
	}
	if _, ok := d.send(1500-Ethernet, 0); ok {
		t.Error("a packet behind 4500 bytes was taken")
	}
}

func TestALineThatTheMemoryDoesNotHoldIsRefused(t *testing.T) {
	if _, err := New(Config{Rate: 40e9, Delay: 50 * time.Millisecond}, &Device{}, &Device{}); err == nil {
		t.Error("500 MB under way were accepted")
	}
}

func FuzzLook(f *testing.F) {
	f.Add(append(make([]byte, headerBytes), 0x45, 0, 0, 28))
	f.Add([]byte{1, 1, 0, 0, 180, 5, 0, 0, 0, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := packet(b).look()
		if !ok || s.segment == 0 || s.segments() > maxSegments {
			return
		}
		total := 0
		for i := range s.segments() {
			total += s.size(i) - s.head
			if n := packet(b).cut(s, i, i+1, make(packet, maxPacket)); n != headerBytes+s.size(i) {
				t.Errorf("segment %d has %d bytes, want %d", i, n, headerBytes+s.size(i))
			}
		}
		if total != s.payload {
			t.Errorf("segments have %d bytes of payload, want %d", total, s.payload)
		}
	})
}
