package uplink

import (
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// TestAHubShortOfOffersIsOfferedFewAndNothingRestsLong: a fleet has offered all that the hub
// has room for, and of each connection it takes the few that are always welcome. These keep
// the line full; what is refused comes back within seconds each time, and not all in one moment.
func TestAHubShortOfOffersIsOfferedFewAndNothingRestsLong(t *testing.T) {
	w := &wires{few: fewOffers, carries: map[string]func(int) float64{carrierQUIC: full(5e6, 5e6), carrierTCP: full(5e6, 5e6)}}
	s := newShelf()
	onShelf(t, w, Config{Transport: carrierQUIC, LanesMax: 1}, s, func(*Uplink) {
		var ids []dicom.ID
		for range 500 {
			ids = append(ids, s.add(wire.Routine, 64<<10))
		}
		const line = 500 * (64 << 10) * 8 * time.Second / 5_000_000
		time.Sleep(2 * line)
		missing := 0
		for _, id := range ids {
			if s.took(id) < 0 {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%d of %d objects are not at the hub after twice the time that the line needs", missing, len(ids))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		rests := map[time.Duration]bool{}
		for _, rest := range s.rests {
			rests[rest] = true
			if rest < time.Second || rest > 5*time.Second {
				t.Errorf("an object rests for %s", rest)
				break
			}
		}
		if few := int(line/(5*time.Second)+2) * len(ids); len(s.rests) < fewOffers || len(s.rests) > few || len(rests) < len(s.rests)/2 {
			t.Errorf("%d refusals, %d different pauses; want at most %d", len(s.rests), len(rests), few)
		}
	})
}

// TestUrgentObjectsAreOfferedToAHubThatIsShort.
func TestUrgentObjectsAreOfferedToAHubThatIsShort(t *testing.T) {
	l := lane{u: &Uplink{shape: newShape(Shape{})}}
	l.maxObjects, l.maxBytes, l.limits = 512, 1<<30, limits{512, 1 << 30}
	l.bulk.objects, l.short = fewOffers, time.Now().Add(time.Hour)
	if worst, ok := l.worst(); !ok || worst != wire.Urgent {
		t.Errorf("%d may be leased, %t", worst, ok)
	}
	l.bulk.objects--
	if worst, ok := l.worst(); !ok || worst != wire.Backfill {
		t.Errorf("with room among the few %d may be leased, %t", worst, ok)
	}
}
