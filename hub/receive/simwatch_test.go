package receive_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"edged/hub"
	"edged/internal/dicom"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// simLanes is how many lanes the simulated appliance may have.
const simLanes = 4

// watched is the appliance's store; what the uplink believes is compared with
// what the hub has.
type watched struct {
	*uplinktest.Source
	s *simulation
}

// AtHub implements uplink.Keeper: nothing is confirmed that the hub does not have.
func (w *watched) AtHub(ctx context.Context, receipts []uplink.Receipt) error {
	for _, r := range receipts {
		w.s.proved("receipt", r.ID, r.Length)
	}
	return w.Source.AtHub(ctx, receipts)
}

// Archived implements uplink.Keeper.
func (w *watched) Archived(ctx context.Context, list []uplink.Confirmation) error {
	for _, c := range list {
		w.s.proved("confirmation", c.ID, c.Length)
	}
	return w.Source.Archived(ctx, list)
}

// proved demands a row for an object.
func (s *simulation) proved(what string, id dicom.ID, length int64) {
	s.mu.Lock()
	l := s.ledger
	s.mu.Unlock()
	known, _ := l.Known(context.Background(), "one", []hub.ID{hub.ID(id)})
	if n, ok := known[hub.ID(id)]; !ok || n != length {
		s.t.Errorf("a %s for %s of %d bytes, the hub has %d (%t)", what, id, length, n, ok)
	}
}

// judge looks at everything when all is over.
func (s *simulation) judge(took time.Duration) {
	f := figures{Seed: s.plan.seed, Objects: len(s.plan.objects), Virtual: took}
	wrong := 0
	s.source.Each(func(it *uplinktest.Item) {
		f.Bytes += it.Length
		if err := s.arrived(it); err != nil {
			if wrong++; wrong == 1 {
				s.t.Error(err)
			}
		}
	})
	if wrong > 0 {
		s.t.Errorf("%d of %d objects did not arrive as they are", wrong, f.Objects)
	}
	s.onlyCommitted()
	if err := s.ledger.once(); err != nil {
		s.t.Error(err)
	}
	c := s.sky.Counts()
	f.Wire, f.Connections, f.Streams = c.Up, len(c.Opened), c.Streams
	s.fewConnections(c.Opened, c.Most)
	if !s.t.Failed() {
		fmt.Println(f)
	}
}

// arrived demands that a node has the object, byte for byte.
func (s *simulation) arrived(it *uplinktest.Item) error {
	want := append(dicom.Preface(it.Names), it.Data...)
	for _, n := range s.nodes {
		o, err := n.store.Open(it.ID)
		if err != nil {
			continue
		}
		file, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
		o.Close()
		if err != nil || !bytes.Equal(file, want) {
			return fmt.Errorf("object %s on %s: %d bytes differ from %d sent: %v", it.ID, n.name, len(file), len(want), err)
		}
		return nil
	}
	return fmt.Errorf("no node has object %s", it.ID)
}

// onlyCommitted demands that the rows name the appliance's objects and no others.
func (s *simulation) onlyCommitted() {
	missing, ours := map[hub.ID]bool{}, map[hub.ID]bool{}
	s.source.Each(func(it *uplinktest.Item) { missing[hub.ID(it.ID)], ours[hub.ID(it.ID)] = true, true })
	for _, o := range s.ledger.list() {
		if !ours[o.ID] {
			s.t.Errorf("the hub has %s, which nobody sent", o.ID)
		}
		delete(missing, o.ID)
	}
	if len(missing) > 0 {
		s.t.Errorf("%d of %d objects have no row", len(missing), len(ours))
	}
}

// fewConnections bounds what is open at one time, and what is opened in any minute;
// when a full outage has lasted for three minutes the pauses are long, and each
// carrier, or each lane that there must be at least, is tried no more often than five times
// a minute at each node.
func (s *simulation) fewConnections(opened []time.Time, most int) {
	worst := busiest(opened, time.Minute)
	if limit := 20*s.plan.nodes + 15*s.plan.lanes; most > 2*simLanes+2 || worst > limit {
		s.t.Errorf("%d connections at one time, %d opened in one minute, want %d at most", most, worst, limit)
	}
	for _, o := range s.plan.line.Outages {
		var within []time.Time
		for _, at := range opened {
			if d := at.Sub(s.began); !o.Up && !o.Down && d > max(o.From, busyTime+time.Minute)+3*time.Minute && d < o.To {
				within = append(within, at)
			}
		}
		if n := busiest(within, time.Minute); n > 5*max(2, s.plan.lanes)*s.plan.nodes {
			s.t.Errorf("%d attempts in one minute of an outage that lasts", n)
		}
	}
}

// busiest is how many fall in one span, at most.
func busiest(at []time.Time, span time.Duration) (most int) {
	in := 0
	for i := range at {
		for at[i].Sub(at[in]) > span {
			in++
		}
		most = max(most, i-in+1)
	}
	return most
}

const (
	rateTick  = 10 * time.Millisecond
	rateSpan  = 100 * time.Millisecond
	rateWatch = 2 * time.Minute // of the run: all the caps are in it

	// atOnce is what greetings and acknowledgements, which wait for nothing, may be
	// beside it: several lanes may greet at the same time.
	atOnce = 1 << 10
)

// watchRate counts what the bucket lets out: in no 100 ms more than 105 % of the
// highest cap that was in force in them.
func (s *simulation) watchRate(ctx context.Context) {
	var spent []int64 // by the bucket of this life, one a tick
	life := 0
	for d := time.Duration(0); d < rateWatch && s.at(ctx, d); d += rateTick {
		s.mu.Lock()
		if s.life != life {
			spent, life = nil, s.life
		}
		spent = append(spent, s.uplink.Status().WireBytes)
		s.mu.Unlock()
		n := len(spent) - 1 - int(rateSpan/rateTick)
		if n < 0 {
			continue
		}
		if out, most := spent[len(spent)-1]-spent[n], s.plan.most(d); most > 0 && (out-atOnce)*8 > most*105/1000 {
			s.t.Errorf("%d bytes in the 100 ms before %s, at %d bit/s", out, d, most)
			return
		}
	}
}

// most is the highest cap in force in the 100 ms before d, and a tick more; 0 when it was
// unlimited then.
func (p plan) most(d time.Duration) (bits int64) {
	for at := max(0, d-rateSpan-rateTick); at <= d; at += rateTick {
		one := p.cap(at)
		if one == 0 {
			return 0
		}
		bits = max(bits, one)
	}
	return bits
}
