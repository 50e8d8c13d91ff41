package receive_test

import (
	"testing"

	"edged/hub/receive"
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
