package receive_test

import (
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/hub/receive"
	"edged/uplink/wire"
)

// What the windows of all connections grow by is bounded, comes back when a connection
// has ended, and one that has ended borrows nothing that nobody would give back.
func TestWindowsOfAllAreBoundedAndComeBack(t *testing.T) {
	w := newWorld(t)
	w.start()
	one, two := w.dial("one").quic, w.dial("two").quic
	all := receive.NewWindows(100)
	if !all.Grow(one, 60) || all.Grow(two, 60) || !all.Grow(two, 40) || all.Grow(one, 1) {
		t.Fatal("100 are lent as more, or not")
	}
	one.CloseWithError(0, "")
	all.Ended(one)
	if all.Grow(one, 1) {
		t.Error("one that has ended borrows")
	}
	if !all.Grow(two, 60) || all.Grow(two, 1) {
		t.Error("what came back is not lent again")
	}
}

// Who came first does not have all: from half of it on nobody gets more than is enough.
func TestTheFirstLeaveWindowsForTheOthers(t *testing.T) {
	w := newWorld(t)
	w.start()
	one, two := w.dial("one").quic, w.dial("two").quic
	all := receive.NewWindows(20 << 20)
	if !all.Grow(one, 3<<20) || !all.Grow(one, 6<<20) || all.Grow(one, 2<<20) {
		t.Error("one may have nine of twenty, and has other")
	}
	if !all.Grow(two, 3<<20) || all.Grow(two, 1<<20) {
		t.Error("two may have what is enough, and has other")
	}
}

// P9: of a connection whose bytes are not read, because it waits for its rate, few lie here:
// ten thousand of them are not more than a machine has.
func TestLittleLiesUnreadOfWhoIsHeldUp(t *testing.T) {
	const rate = 128 << 10
	w := newWorld(t)
	w.change = func(c *receive.Config) { c.Rate = rate }
	w.start()
	r := hello(t, w.dial("one"), "data")
	o, data := wireObject(1, 1, 4<<20)
	o.Priority = wire.Routine
	r.say(&wire.Offer{Objects: []wire.Object{o}})
	r.hear()
	stream, err := r.quic.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stream.SetWriteDeadline(began.Add(2 * time.Second))
	taken := put(stream, data)
	// What was written in that time, with the burst of a second, is not unread.
	written := int(rate * (time.Since(began).Seconds() + 1))
	if lies := taken - written; taken < rate || lies > 640<<10 {
		t.Errorf("%d KiB were taken, at most %d KiB of them written: %d KiB lie there", taken>>10, written>>10, lies>>10)
	}
}

// put sends an object in Puts until it cannot, and returns how much of it went.
func put(stream *quic.SendStream, data []byte) (n int) {
	const size = 16 << 10
	for ; n < len(data); n += size {
		if _, err := stream.Write(encoded(&wire.Put{Number: 1, Offset: int64(n), Body: data[n : n+size]})); err != nil {
			return n
		}
	}
	return n
}
