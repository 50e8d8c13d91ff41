package hubtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"edged/uplink/wire"
)

// page is how many objects one Offer names at most.
const page = 128

// send is one call of Send. Appliance.mu guards it.
type send struct {
	objects []Object
	next    int // of objects, to be offered for the first time
	left    int // without an end
	flying  int // offered and without an end
	bytes   int64
	wants   []want
	again   []int     // to be offered once more
	rests   time.Time // and not before
	refused error
	more    chan struct{} // something changed
}

// want is an object of which the hub wants bytes.
type want struct {
	i      int
	number uint64
	offset int64
}

// Send offers objects, all of one priority, and sends what the hub lacks. It returns when
// each has a receipt or was refused, or the connection has ended. Calls of different
// priorities go on side by side, others one behind the other.
func (a *Appliance) Send(ctx context.Context, objects ...Object) error {
	if len(objects) == 0 {
		return nil
	}
	class := objects[0].Priority
	a.classes[class].Lock()
	defer a.classes[class].Unlock()
	s := &send{objects: objects, left: len(objects), more: make(chan struct{}, 1)}
	defer a.forget(s)
	for {
		offers, wants, wait, left := a.turn(s, class)
		if left == 0 {
			return s.refused
		}
		if err := a.work(s, offers, wants); err != nil {
			return a.because(err)
		}
		if len(offers)+len(wants) > 0 {
			continue
		}
		if err := a.wait(ctx, s, wait); err != nil {
			return err
		}
	}
}

// turn says what is to be done now, or until when nothing is.
func (a *Appliance) turn(s *send, class uint8) (offers []wire.Object, wants []want, wait time.Duration, left int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wants, s.wants = s.wants, nil
	now := time.Now()
	if wait = a.rests.Sub(now); class != wire.Urgent && wait > 0 {
		return nil, wants, wait, s.left
	}
	if wait = s.rests.Sub(now); wait <= 0 {
		wait = time.Hour
		for len(s.again) > 0 && len(offers) < page && a.room(s) {
			offers = append(offers, a.offer(s, s.again[0]))
			s.again = s.again[1:]
		}
	}
	for s.next < len(s.objects) && len(offers) < page && a.room(s) {
		offers = append(offers, a.offer(s, s.next))
		s.next++
	}
	return offers, wants, wait, s.left
}

// room is what Welcome grants.
func (a *Appliance) room(s *send) bool {
	return s.flying == 0 || s.flying < int(a.welcome.MaxObjects) && s.bytes < a.welcome.MaxBytes
}

func (a *Appliance) offer(s *send, i int) wire.Object {
	a.last++
	o := s.objects[i].Object
	o.Number = a.last
	a.offers[o.Number], a.number[o.ID] = offer{s, i}, o.Number
	s.flying++
	s.bytes += o.Length
	return o
}

func (a *Appliance) work(s *send, offers []wire.Object, wants []want) error {
	if len(offers) > 0 {
		if err := a.say(&wire.Offer{Objects: offers}); err != nil {
			return err
		}
	}
	for _, w := range wants {
		if err := a.send(&s.objects[w.i], w); err != nil {
			return err
		}
	}
	return nil
}

// puts are rooms for one Put each.
var puts = sync.Pool{New: func() any { return new([wire.PutHeadroom + putBody]byte) }}

// putBody is smaller than a Put may be, so that thousands send at once.
const putBody = 64 << 10

func (a *Appliance) send(o *Object, w want) error {
	head := o.header()
	room := puts.Get().(*[wire.PutHeadroom + putBody]byte)
	defer puts.Put(room)
	for at := w.offset; at < o.Length; {
		n := int(min(o.Length-at, putBody))
		o.fill(room[wire.PutHeadroom:wire.PutHeadroom+n], head, at)
		from := wire.PutHeader(room[:wire.PutHeadroom], w.number, at, n)
		if err := a.link.put(o.Priority, room[from:wire.PutHeadroom+n]); err != nil {
			return err
		}
		a.Bytes.Add(int64(n))
		if a.c.sent != nil {
			a.c.sent.Add(int64(n))
		}
		at += int64(n)
	}
	return nil
}

func (a *Appliance) wait(ctx context.Context, s *send, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.more:
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.ended:
		return a.because(errors.New("the connection has ended"))
	}
	return nil
}

// because is why the connection ended, where that says more than err.
func (a *Appliance) because(err error) error {
	select {
	case <-a.ended:
		return a.err
	default:
		return err
	}
}

// forget takes what is left of s out.
func (a *Appliance) forget(s *send) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, o := range a.offers {
		if o.s == s {
			delete(a.offers, n)
			delete(a.number, o.s.objects[o.i].ID)
		}
	}
}
