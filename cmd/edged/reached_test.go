package main

import (
	"testing"
	"time"

	"edged/spool"
)

// When studies got where is told after a start as it was before it, on the state's page
// and in the list: what was seen happen is gone, what the objects say is not.
func TestTheListKnowsWhenAStudyGotWhereAfterAStart(t *testing.T) {
	s, f := openFeed(t)
	m := aMeta(7)
	o := storeAs(t, s, m, "image")
	receipt := []spool.Receipt{{ID: o.ID, Length: o.Length}}
	ok(t, s.AtHub(t.Context(), receipt))
	ok(t, s.Archived(t.Context(), receipt))
	want := s.Outline(0, 1)[0]
	desk := deskOver(followed(t, f.keeper, t.TempDir()))
	found := desk.Search(full(""))
	if len(found.Cards) != 1 || !found.Cards[0].AtHubAt.Equal(want.AtHubAt) || !found.Cards[0].ArchivedAt.Equal(want.ArchivedAt) || want.ArchivedAt.IsZero() {
		t.Errorf("the list has %+v, want %v and %v", found.Cards, want.AtHubAt, want.ArchivedAt)
	}
	v := &view{keeper: f.keeper, secret: cardSecret}
	if latest := v.Studies(1); len(latest) != 1 || !latest[0].ArchivedAt.Equal(want.ArchivedAt) {
		t.Errorf("the state's page has %+v", latest)
	}
}

// What was seen happen after the start is later than what the objects say of before it,
// and walking them again is not needed.
func TestWhatHappensIsNotForgottenByRecalling(t *testing.T) {
	s, f := openFeed(t)
	m := aMeta(7)
	o := storeAs(t, s, m, "image")
	ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
	v, soon := &view{keeper: f.keeper, secret: cardSecret}, time.Now().Add(time.Hour)
	v.reached(spool.Event{Group: m.Study, State: spool.AtHub, At: soon})
	g, _ := s.Group(m.Study)
	if got := v.reachedIn(s, g, o.Seq); !got.atHub.Equal(soon) || !got.recalled {
		t.Errorf("%+v, want %v", got, soon)
	}
}
