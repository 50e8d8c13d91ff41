package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"edged/agent/page"
	"edged/spool"
)

// Nothing that anybody does with the page delays the answer to an image: what the door
// tells the cards, and asks them, is done while a page, or a file, holds all their locks,
// however many images come.
func TestTheDoorDoesNotWaitForThePage(t *testing.T) {
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	c := newCards(k, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	known := aMeta(1)
	c.hear(spool.Object{Group: known.Study, Seq: 1, Received: time.Now()}, known)
	c.scan.Lock() // a page is drawn for ever
	c.mu.Lock()
	done := make(chan string)
	go func() {
		for i := range 2 * maxNews {
			m := aMeta(10 + i)
			c.patientOf(m.Study)
			c.took(spool.Object{Group: m.Study, Seq: uint64(10 + i), Received: time.Now()}, m)
		}
		done <- c.patientOf(known.Study).ID
	}()
	select {
	case id := <-done:
		if id != known.Patient {
			t.Errorf("the study is of %q, want %q", id, known.Patient)
		}
	case <-time.After(patience):
		t.Fatal("an image waits for a page")
	}
	c.mu.Unlock()
	c.scan.Unlock()
	if len(c.news) != maxNews || !c.missed.Load() {
		t.Errorf("%d lie in the queue, and that some had no room is known: %t", len(c.news), c.missed.Load())
	}
	c.drain(map[string]bool{})
	if len(c.all) != maxNews+1 || len(c.news) != 0 {
		t.Errorf("%d cards, %d in the queue", len(c.all), len(c.news))
	}
}

// An image is stored and answered while a page holds the locks of the cards; and what was
// told meanwhile is there afterwards, also what had no room.
func TestAnImageIsStoredWhileThePageStands(t *testing.T) {
	s, f := openFeed(t)
	c := newCards(f.keeper, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	c.news = make(chan *news, 2)
	c.scan.Lock()
	c.mu.Lock()
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		for i := range 9 {
			m := aMeta(i)
			c.patientOf(m.Study)
			c.took(storeAs(t, s, m, m.SOPInstance), m)
		}
	}()
	select {
	case <-stored:
	case <-time.After(patience):
		t.Fatal("an image waits for a page")
	}
	c.mu.Unlock()
	c.scan.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	parts := newGroup(ctx)
	parts.Go(c.run)
	defer parts.Wait()
	defer cancel()
	desk := deskOver(c)
	awaitFor(t, patience, "all to be known", func() bool { return desk.Search(full("famiglia")).Total == 9 })
}

// Devices that only came once do not keep later ones from having a name.
func TestNamesOfStrangersMakeRoom(t *testing.T) {
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	c := newCards(k, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	for i := range maxNames {
		c.names.of(fmt.Sprint("S", i))
	}
	for i := range 3 {
		m := aMeta(i)
		m.Calling = fmt.Sprint("S", 100+i)
		c.hear(spool.Object{Group: m.Study, Seq: uint64(i + 1), Received: time.Now()}, m)
	}
	c.trim()
	m := aMeta(9)
	m.Calling, m.Modality = "NEWCT", "CT"
	c.hear(spool.Object{Group: m.Study, Seq: 9, Received: time.Now()}, m)
	list := deskOver(c).Search(page.StudyQuery{Limit: 9})
	got := ""
	for _, x := range list.Cards {
		got += x.Device + " " + x.Modality + ","
	}
	if want := "NEWCT CT,S102 ,S101 ,S100 ,"; got != want || !slices.Equal(list.Devices, []string{"NEWCT", "S100", "S101", "S102"}) || len(c.names.list) > 9 {
		t.Errorf("%q of %q, want %q", got, list.Devices, want)
	}
}

// A study of any size is summed up without keeping its objects; only a receipt lists them.
func TestNobodyKeepsTheObjectsOfAStudyForAPage(t *testing.T) {
	s, f := openFeed(t)
	m := aMeta(1)
	for i := range 30 {
		m.SOPInstance = fmt.Sprint("2.25.1.", i)
		storeAs(t, s, m, fmt.Sprint("image ", i))
	}
	desk := deskOver(followed(t, f.keeper, t.TempDir()))
	for _, keep := range []bool{false, true} {
		card, _ := desk.cards.byText(keyText(desk.cards.keyOf(m.Study)))
		walk := desk.walkOf(desk.card(card), card.inSpool(s))
		walk.keep = keep
		eachOf(s, card, walk.object)
		if got := len(walk.objects); got != map[bool]int{true: 30}[keep] {
			t.Errorf("%d objects are kept, for a receipt: %t", got, keep)
		}
	}
}
