package receive

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// Who has brought a thousand things waits behind each other's one, and gets what is
// left; what one has brought keeps its order.
func TestTheCarouselGivesEachATurn(t *testing.T) {
	var c carousel[string]
	for i := range 1000 {
		c.add("hospital", fmt.Sprintf("h%d", i))
	}
	c.add("clinic", "c0")
	c.add("clinic", "c1")
	c.add("doctor", "d0")
	var got []string
	for range 7 {
		item, _ := c.take()
		got = append(got, item)
	}
	if want := "h0 c0 d0 h1 c1 h2 h3"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	c.add("clinic", "c2")
	c.remove("hospital", func(s string) bool { return s != "h999" })
	got = nil
	for item, ok := c.take(); ok; item, ok = c.take() {
		got = append(got, item)
	}
	if slices.Sort(got); strings.Join(got, " ") != "c2 h999" || c.n != 0 || len(c.of) != 0 || len(c.turns) != 0 {
		t.Errorf("left were %v, then %+v", got, c)
	}
}

// Where one may write at a time, and a hospital with 34 connections has much to write, a
// clinic with one connection writes every other piece, and what is urgent the next.
func TestThirtyFourConnectionsStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		if turns.enter(t.Context(), "first", false) != nil {
			t.Fatal("nobody is there, and it waits")
		}
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		write := func(who string, pieces int, urgent bool) {
			wg.Go(func() {
				for range pieces {
					if err := turns.enter(t.Context(), who, urgent); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					order = append(order, who)
					mu.Unlock()
					turns.leave()
				}
			})
			synctest.Wait()
		}
		for range 34 {
			write("hospital", 10, false)
		}
		write("clinic", 10, false)
		write("emergency", 1, true)
		turns.leave() // the first is done
		wg.Wait()
		if order[0] != "emergency" {
			t.Errorf("what is urgent comes behind %v", order[:1])
		}
		last := 0
		for i, who := range order {
			if who == "clinic" {
				last = i
			}
		}
		if len(order) != 351 || last > 80 {
			t.Errorf("the clinic's ten pieces are done after %d of %d", last, len(order))
		}
	})
}

// Who goes while it waits takes no turn with it, also when that comes at the same moment.
func TestATurnIsNotLostWithWhoWaitedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		for range 200 {
			if turns.enter(t.Context(), "a", false) != nil {
				t.Fatal("no turn")
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if turns.enter(ctx, "b", false) == nil {
					turns.leave()
				}
			})
			synctest.Wait()
			wg.Go(cancel)
			turns.leave()
			wg.Wait()
		}
		if turns.free != 1 || turns.waiting[1].n != 0 {
			t.Errorf("%d turns are free, %d wait", turns.free, turns.waiting[1].n)
		}
	})
}

// Control frames of all connections together have bounded room beyond a little of each;
// what is taken is given back, and one frame has always room.
func TestControlFramesOfAllAreBounded(t *testing.T) {
	common := newBudget(1 << 20)
	queues := make([]*line[frame], 100)
	held, frames, f := 0, 0, came(t, offers(500))
	for i := range queues {
		queues[i] = newQueue(common)
		for ; queues[i].put(f); frames++ {
			held += weight(f)
		}
	}
	if most := 1<<20 + len(queues)*(fewControl+weight(f)); held > most || frames < len(queues) {
		t.Errorf("%d frames of %d bytes wait, at most %d may", frames, held, most)
	}
	for _, q := range queues {
		q.drop()
	}
	if left := common.left.Load(); left != 1<<20 {
		t.Errorf("%d of %d are given back", left, 1<<20)
	}
}

// When all large pieces are in use, more of a body come as small ones, whole.
func TestPiecesBecomeSmallWhenMuchWaits(t *testing.T) {
	before := pieces.left.Load()
	var held []piece
	for range maxPieces + 10 {
		var p piece
		p.body, p.large = newBody(pieceSize)
		held = append(held, p)
	}
	if n := len(held[len(held)-1].body); n != smallPiece {
		t.Errorf("a piece beyond the bound has %d bytes", n)
	}
	for i := range held {
		held[i].free()
	}
	if left := pieces.left.Load(); left != before {
		t.Errorf("%d pieces are left, %d were", left, before)
	}
}
