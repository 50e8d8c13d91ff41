package spool

import (
	"fmt"
	"testing"
	"time"
)

// P9: groups of which nothing ever comes do not end the expectations of the others.
func TestExpectationsOfNothingGiveWay(t *testing.T) {
	c := newClock()
	s := open(t, groupConfig(newMemFS(), c))
	for i := range maxExpected + 10 {
		s.ExpectGroup(fmt.Sprint("never ", i), 5)
	}
	s.ExpectGroup("group", 1)
	if _, _, err := tryPut(s, inGroup("group", "1"), sample(1, 100)); err != nil {
		t.Fatal(err)
	}
	c.run(t, s, time.Second)
	wantEvent(t, s, GroupComplete, 1, 1)
	if len(s.expected) > maxExpected {
		t.Fatalf("%d kept", len(s.expected))
	}
	s.ExpectGroup("other", 3)
	s.ExpectGroup("other", 0)
	if _, ok := s.expected["other"]; ok {
		t.Fatal("not taken back")
	}
}
