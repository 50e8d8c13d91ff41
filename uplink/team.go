package uplink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// team is the lanes to one node of the hub, as its pilot wants them. run owns it;
// lanes tell it by events.
type team struct {
	u       *Uplink
	addr    string
	pilot   *pilot
	tries   map[string]*nodes // back-off of each carrier's dials
	members []*member
	events  chan event
	epoch   epoch
	silence map[string]*silence
	lasts   map[string]error // why the last lane of each carrier ended
	lively  time.Time        // a lane came: until then it is looked at often
	ended   chan struct{}    // closed when run does not listen any more
	wg      sync.WaitGroup
}

// member is one lane from its dial to its end.
type member struct {
	carrier string
	cancel  context.CancelCauseFunc
	lane    *lane     // once the hub has welcomed it
	leaving time.Time // when it was sent home; zero: it is wanted
	silence silence
}

// event is what became of a member: welcomed, or over.
type event struct {
	m    *member
	lane *lane
	over bool
	err  error
}

// errSurplus ends a lane that is not wanted any more.
var errSurplus = errors.New("this lane is not needed any more")

// errDeaf ends a lane that hears nothing while its neighbours do.
var errDeaf = errors.New("nothing comes back on this lane, though the others work")

var carriers = []string{carrierQUIC, carrierTCP}

func newTeam(u *Uplink, addr string) *team {
	t := &team{
		u: u, addr: addr,
		pilot:   newPilot(u.c.Transport, u.c.LanesMin, u.c.LanesMax, time.Now()),
		tries:   map[string]*nodes{},
		lasts:   map[string]error{},
		events:  make(chan event),
		silence: map[string]*silence{},
		ended:   make(chan struct{}),
	}
	for _, c := range carriers {
		t.tries[c] = newNodes([]string{addr}, u.c.RetryMin, u.c.RetryMax)
		t.silence[c] = &silence{}
	}
	return t
}

// run works until ctx ends or the node is not to be used any more: nothing gets
// through to it, or it is not believed. All lanes have ended when it returns.
func (t *team) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer t.wg.Wait()
	defer cancel()
	defer close(t.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t.steer(ctx, time.Now())
		if len(t.members) == 0 {
			return t.why()
		}
		timer.Reset(t.pace())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-t.events:
			if err := t.hear(e, time.Now()); err != nil {
				return err
			}
		case <-timer.C:
			t.look(time.Now())
		}
	}
}

// How often the team looks at its lanes: while something is on its way, and else.
const busyPace, idlePace = 100 * time.Millisecond, time.Second

func (t *team) pace() time.Duration {
	if t.pilot.carrier == "" || time.Now().Before(t.lively) {
		return busyPace
	}
	for _, m := range t.members {
		if m.lane == nil || !m.leaving.IsZero() || m.lane.inFlight() > 0 {
			return busyPace
		}
	}
	return idlePace
}

// steer makes the lanes what the pilot wishes.
func (t *team) steer(ctx context.Context, now time.Time) {
	wish := t.pilot.wish(now)
	if t.doubtful() {
		wish[other(t.pilot.carrier)] = max(1, wish[other(t.pilot.carrier)])
	}
	for _, c := range carriers {
		staying := t.staying(c)
		for n := len(staying); n < wish[c] && t.mayDial(c, now); n++ {
			t.spawn(ctx, c)
		}
		for _, m := range staying[min(wish[c], len(staying)):] {
			t.sendHome(m, now)
		}
	}
	t.park()
	t.u.note(t)
}

// why says why nothing is left, for both carriers: the one may only be closed here,
// and the other know the reason.
func (t *team) why() error {
	quic, tcp := t.lasts[carrierQUIC], t.lasts[carrierTCP]
	if quic != nil && tcp != nil {
		return fmt.Errorf("QUIC: %w; TCP: %w", quic, tcp)
	}
	return cmp.Or(quic, tcp)
}

// mayDial bounds attempts: each carrier has a back-off, and as long as nothing at
// all is connected it is tried once. After that the node has failed, and Run's
// back-off says when to come back.
func (t *team) mayDial(carrier string, now time.Time) bool {
	n := &t.tries[carrier].list[0]
	if t.up(carrier)+t.up(other(carrier)) == 0 {
		return n.failures == 0
	}
	return n.wait(now) == 0
}

// staying are the members of a carrier that are wanted, welcomed ones first.
func (t *team) staying(carrier string) (up []*member) {
	var coming []*member
	for _, m := range t.members {
		switch {
		case m.carrier != carrier || !m.leaving.IsZero():
		case m.lane == nil:
			coming = append(coming, m)
		default:
			up = append(up, m)
		}
	}
	return append(up, coming...)
}

// up counts the welcomed lanes of a carrier that stay.
func (t *team) up(carrier string) (n int) {
	for _, m := range t.staying(carrier) {
		if m.lane != nil {
			n++
		}
	}
	return n
}

// spawn dials one more lane.
func (t *team) spawn(ctx context.Context, carrier string) {
	ctx, cancel := context.WithCancelCause(ctx)
	m := &member{carrier: carrier, cancel: cancel}
	t.members = append(t.members, m)
	t.wg.Go(func() {
		defer cancel(nil)
		err := t.u.connect(ctx, carrier, t.addr, func(l *lane) { t.tell(event{m: m, lane: l}) })
		t.tell(event{m: m, over: true, err: err})
	})
}

// tell brings an event to run, unless run has ended.
func (t *team) tell(e event) {
	select {
	case t.events <- e:
	case <-t.ended:
	}
}

// sendHome lets what a lane has sent be receipted, within leaveWait, and ends it.
func (t *team) sendHome(m *member, now time.Time) {
	m.leaving = now
	if m.lane == nil {
		m.cancel(errSurplus)
	}
}

// leaveWait is how long a lane that is sent home waits for receipts.
const leaveWait = 2 * time.Second

// park lets the lanes of the carrier in charge work, those of the other when there
// is none. Whoever leaves does so when nothing that it sent is without an answer.
func (t *team) park() {
	works := t.works()
	for _, m := range t.members {
		if m.lane == nil {
			continue
		}
		m.lane.park(m.carrier != works || !m.leaving.IsZero())
		if !m.leaving.IsZero() && (!m.lane.owed() || time.Since(m.leaving) > leaveWait) {
			m.cancel(errSurplus)
		}
	}
}

// works is the carrier whose lanes work now.
func (t *team) works() string {
	if c := t.pilot.carrier; t.up(c) > 0 {
		return c
	}
	return other(t.pilot.carrier)
}

// hear takes an event. An error ends the team.
func (t *team) hear(e event, now time.Time) error {
	if !e.over {
		e.m.lane = e.lane
		t.lively = now.Add(idlePace)
		t.tries[e.m.carrier].list[0].worked()
		t.pilot.arrived(e.m.carrier, now)
		t.u.welcomed(e.m.carrier)
		t.u.c.Logger.Info("uplink connected", "hub", t.addr, "carrier", e.m.carrier)
		return nil
	}
	t.remove(e.m)
	if e.err != nil && !errors.Is(e.err, errSurplus) {
		t.lasts[e.m.carrier] = e.err
	}
	switch {
	case errors.Is(e.err, errNotBelieved) || errors.Is(e.err, errMismatch) || leaving(e.err):
		return e.err
	case errors.Is(e.err, errSurplus) || errors.Is(e.err, errCarried) || !e.m.leaving.IsZero():
		return nil
	}
	t.fell(e.m, e.err, now)
	return nil
}

func (t *team) remove(m *member) {
	for i := range t.members {
		if t.members[i] == m {
			t.members = append(t.members[:i], t.members[i+1:]...)
			return
		}
	}
}

// fell is told of a lane that ended though it was wanted.
func (t *team) fell(m *member, err error, now time.Time) {
	c := m.carrier
	tries := t.tries[c]
	tries.failed(&tries.list[0], now)
	others := t.up(other(c)) > 0
	t.u.failed(c, c == carrierQUIC && m.lane == nil && t.up(c) == 0 && others, err)
	switch {
	case m.lane == nil && t.up(c) == 0:
		t.pilot.failed(c, others, now)
	case m.lane != nil && c == t.pilot.carrier && t.up(c) == 0 && others:
		t.pilot.failed(c, true, now)
	case m.lane != nil && c == t.pilot.carrier && t.up(c) == 0:
		t.pilot.alone(now)
	}
	t.u.c.Logger.Info("lane ended", "hub", t.addr, "carrier", c, "welcomed", m.lane != nil, "error", err)
}
