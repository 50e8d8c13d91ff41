package enrol

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// An address may try a code ten times at once and then every three seconds, all
// together twenty times a second. 80 bits are not guessed at that rate, nor at
// any other; what is protected is the hub's work.
const (
	perAddressBurst = 10
	perAddressEvery = 3 * time.Second
	allBurst        = 40
	allPerSecond    = 20
	maxAddresses    = 4096
)

// guesses slows guessing down.
type guesses struct {
	all *rate.Limiter
	mu  sync.Mutex // guards by
	by  map[string]*rate.Limiter
}

func newGuesses() *guesses {
	return &guesses{all: rate.NewLimiter(allPerSecond, allBurst), by: map[string]*rate.Limiter{}}
}

func (g *guesses) allow(address string, now time.Time) bool {
	return g.of(address, now).AllowN(now, 1) && g.all.AllowN(now, 1)
}

// of returns the limiter of an address. When there are too many, those that are
// full again, and say nothing, are forgotten; if none is, all are.
func (g *guesses) of(address string, now time.Time) *rate.Limiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l, ok := g.by[address]; ok {
		return l
	}
	if len(g.by) >= maxAddresses {
		for a, l := range g.by {
			if l.TokensAt(now) >= perAddressBurst {
				delete(g.by, a)
			}
		}
	}
	if len(g.by) >= maxAddresses {
		clear(g.by) // the limit for all holds still
	}
	l := rate.NewLimiter(rate.Every(perAddressEvery), perAddressBurst)
	g.by[address] = l
	return l
}

// forgive forgets an address that had a good code: a hospital's appliances share one.
func (g *guesses) forgive(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.by, address)
}
