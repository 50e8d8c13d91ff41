package receive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/hub/receive"
	"edged/uplink/wire"
)

// roll is who is revoked, and how often that was asked.
type roll struct {
	mu      sync.Mutex // guards what follows
	revoked []string
	fail    error
	hangs   bool
	reads   int
}

func (r *roll) Revoked(ctx context.Context) ([]string, error) {
	r.mu.Lock()
	hangs := r.hangs
	r.reads++
	r.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.revoked), r.fail
}

func (r *roll) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// awaitRead waits for the next question.
func (r *roll) awaitRead() {
	count := func() (n int) { r.set(func() { n = r.reads }); return n }
	for before := count(); count() == before; {
		time.Sleep(10 * time.Millisecond)
	}
}

// guest is one connected appliance.
type guest struct {
	*rude
	name  string
	ended chan error
}

// guests are n connected appliances in virtual time, which do not all come at once.
func guests(t *testing.T, n int, r *roll) (server *receive.Server, all []guest) {
	t.Helper()
	ca, server := bubbleServer(t, func(c *receive.Config) { c.Revoked = r.Revoked })
	for i := range n {
		name := fmt.Sprintf("d%d", i)
		rude, ended := join(t, ca, server, name)
		hello(t, rude, "data")
		all = append(all, guest{rude, name, ended})
		time.Sleep(7 * time.Millisecond)
	}
	t.Cleanup(func() {
		for _, g := range all {
			g.hangUp()
		}
	})
	return server, all
}

// sentAway waits until the hub has ended g, and says how long that took.
func (g guest) sentAway(t *testing.T, code uint64) time.Duration {
	t.Helper()
	began := time.Now()
	g.closed(code)
	took := time.Since(began)
	g.hangUp()
	<-g.ended
	return took
}

// TestARevokedApplianceIsSentAway while it is connected, within five seconds whatever
// the moment, and nobody else (P11). Who is approved again may come back at once.
func TestARevokedApplianceIsSentAway(t *testing.T) {
	for _, n := range []int{1, 5} {
		for moment := range 6 {
			synctest.Test(t, func(t *testing.T) {
				r := &roll{}
				server, all := guests(t, n, r)
				time.Sleep(10 * time.Second)
				r.awaitRead() // the worst moment is right behind one
				time.Sleep(time.Duration(moment) * 317 * time.Millisecond)
				r.set(func() { r.revoked = []string{"stranger", all[0].name} })
				if took := all[0].sentAway(t, wire.ByeBusy); took > 5*time.Second {
					t.Errorf("sent away after %s", took)
				}
				time.Sleep(10 * time.Second)
				if left := server.Connections(); len(left) != n-1 {
					t.Errorf("%d of %d are left", len(left), n-1)
				}
			})
		}
	}
}

// TestWhoIsApprovedAgainIsNotJudgedByAnOldAnswer.
func TestWhoIsApprovedAgainIsNotJudgedByAnOldAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &roll{}
		ca, server := bubbleServer(t, func(c *receive.Config) { c.Revoked = r.Revoked })
		for _, revoked := range [][]string{{"d0"}, nil} {
			r.set(func() { r.revoked = revoked })
			conn, ended := join(t, ca, server, "d0")
			g := guest{hello(t, conn, "data"), "d0", ended}
			if revoked != nil {
				g.sentAway(t, wire.ByeBusy)
				continue
			}
			time.Sleep(10 * time.Second)
			if len(server.Connections()) != 1 {
				t.Error("it was sent away")
			}
			g.hangUp()
		}
	})
}

// TestAllConnectionsShareOneQuestion: what the ledger is asked does not grow with the
// appliances.
func TestAllConnectionsShareOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &roll{}
		server, all := guests(t, 60, r)
		r.set(func() { r.reads = 0 })
		time.Sleep(time.Minute)
		r.set(func() {
			if r.reads < 20 || r.reads > 41 {
				t.Errorf("%d reads in a minute for %d connections", r.reads, len(all))
			}
		})
		if n := len(server.Connections()); n != len(all) {
			t.Errorf("%d connections are left", n)
		}
	})
}

// TestALedgerThatDoesNotAnswer: one failure sends nobody away. When nobody knows for
// long who is revoked, nobody stays: this is how long a revoked one could.
func TestALedgerThatDoesNotAnswer(t *testing.T) {
	for name, fail := range map[string]func(*roll){
		"fails": func(r *roll) { r.fail = errors.New("the disk is slow") },
		"hangs": func(r *roll) { r.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &roll{}
				server, all := guests(t, 5, r)
				time.Sleep(10 * time.Second)
				r.set(func() { fail(r) })
				time.Sleep(2 * time.Second)
				r.set(func() { r.fail, r.hangs = nil, false })
				time.Sleep(10 * time.Second)
				if n := len(server.Connections()); n != len(all) {
					t.Fatalf("%d connections are left after a moment", n)
				}
				r.set(func() { fail(r) })
				for _, g := range all {
					if took := g.sentAway(t, wire.ByeLeaving); took > 5*time.Second {
						t.Errorf("sent away after %s", took)
					}
				}
			})
		})
	}
}
