package uplink_test

import (
	"errors"
	"testing"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// rests are the pauses that the hub's refusals led to.
func rests(s *uplinktest.Source) (list []time.Duration) {
	s.With(func(s *uplinktest.Source) {
		for _, err := range s.Returned {
			if busy := (*uplink.BusyError)(nil); errors.As(err, &busy) {
				list = append(list, busy.Retry)
			}
		}
	})
	return list
}

// P6: what does not fit at the hub rests alone, longer each time. The next object
// is offered at once.
func TestWhatDoesNotFitDelaysNothingElse(t *testing.T) {
	ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
	large := source.Add(1, 2000, wire.Routine)
	hub := serveLiar(t, ca, func(l *liar) {
		l.welcome()
		for n := 1; ; n++ {
			o := l.offers(n)
			if len(o) < n {
				return
			}
			if o[n-1].ID == wire.ID(large.ID) {
				l.say(&wire.Again{Reason: wire.AgainBusy, AfterMillis: 100, IDs: []wire.ID{o[n-1].ID}})
				continue
			}
			l.answer(wire.Answer{Number: o[n-1].Number, ID: o[n-1].ID, All: true})
			l.receipt(o[n-1].ID, o[n-1].Length)
		}
	})
	appliance(t, ca, source, hub)
	eventually(t, "three refusals", func() bool { return len(rests(source)) == 3 })
	if r := rests(source); r[0] != 100*time.Millisecond || r[1] != 2*r[0] || r[2] != 4*r[0] {
		t.Errorf("it rested for %v", r)
	}
	for i := range 5 {
		source.Add(uint64(10+i), 1000, wire.Routine)
		eventually(t, "a small one", func() bool { return source.Count(uplinktest.AtHub) == i+1 })
	}
}

// P6: a hub that is full is left alone for the time that it asks for, but for
// urgent objects; what it refused meanwhile comes back as soon as the others do.
func TestAFullHubIsStillOfferedWhatIsUrgent(t *testing.T) {
	const pause = 3 * time.Second
	ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
	source.Add(1, 1000, wire.Routine)
	full, freed := make(chan struct{}), make(chan time.Time, 1)
	hub := serveLiar(t, ca, func(l *liar) {
		l.welcome()
		l.offers(1)
		began := time.Now() // the pause may have begun before both are said
		l.say(&wire.Again{Reason: wire.AgainBusy, AfterMillis: uint32(pause.Milliseconds())})
		l.say(&wire.Again{Reason: wire.AgainBusy, AfterMillis: uint32(pause.Milliseconds()), IDs: []wire.ID{l.seen[0].ID}})
		close(full)
		if o := l.offers(2); len(o) < 2 || o[1].Priority != wire.Urgent {
			t.Errorf("offered to a full hub: %+v", o[1:])
		}
		l.offers(3)
		freed <- began
	})
	appliance(t, ca, source, hub)
	<-full
	eventually(t, "the refusal", func() bool { return len(rests(source)) == 1 })
	source.Add(2, 1000, wire.Routine)
	source.Add(3, 1000, wire.Backfill)
	source.Add(4, 1000, wire.Urgent)
	if took := time.Since(<-freed); took < pause {
		t.Errorf("a full hub was left alone for %s", took)
	}
	if r := rests(source); len(r) != 1 || r[0] != pause {
		t.Errorf("rested for %v", r)
	}
}
