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

// What is here of other parts does not stand in for what is to come: the ultrasound
// images of a study do not make its CT complete. Quiet decides all the same.
func TestOthersDoNotStandInForWhatIsExpected(t *testing.T) {
	c := newClock()
	s := open(t, groupConfig(newMemFS(), c))
	for i := range 5 {
		put(t, s, inGroup("study", "ultrasound"), sample(i, 100))
	}
	s.ExpectGroup("study", 3, GroupPart{Name: "ct", Objects: 3})
	c.run(t, s, time.Second)
	wantNoEvent(t, s)
	for i := range 2 {
		put(t, s, inGroup("study", "ct"), sample(10+i, 100))
	}
	c.run(t, s, time.Second)
	wantNoEvent(t, s)
	put(t, s, inGroup("study", "ct"), sample(12, 100))
	c.run(t, s, time.Second)
	wantEvent(t, s, GroupComplete, 1, 8)
	put(t, s, inGroup("study", "ct"), sample(13, 100)) // more than was said
	c.run(t, s, 30*time.Second)
	wantEvent(t, s, GroupComplete, 1, 8)
	c.run(t, s, 30*time.Second)
	wantEvent(t, s, GroupChanged, 2, 9)
	s.ExpectGroup("study", 7, GroupPart{Name: "ct", Objects: 3}, GroupPart{Name: "pet", Objects: 4})
	put(t, s, inGroup("study", "pet"), sample(20, 100)) // what is missing never comes
	c.run(t, s, time.Second)
	wantEvent(t, s, GroupChanged, 2, 9)
	c.run(t, s, 2*time.Minute)
	wantEvent(t, s, GroupChanged, 3, 10)
	for i := range 3 {
		put(t, s, inGroup("study", "pet"), sample(30+i, 100)) // it comes after all
	}
	c.run(t, s, time.Second)
	wantEvent(t, s, GroupChanged, 4, 13)
}

// P9: a group of more parts than are remembered waits for quiet.
func TestExpectedPartsAreBounded(t *testing.T) {
	c := newClock()
	s := open(t, groupConfig(newMemFS(), c))
	s.ExpectGroup("study", 1, make([]GroupPart, maxExpectedParts+1)...)
	put(t, s, inGroup("study", "1"), sample(1, 100))
	c.run(t, s, time.Second)
	wantNoEvent(t, s)
	c.run(t, s, 2*time.Minute)
	wantEvent(t, s, GroupComplete, 1, 1)
}
