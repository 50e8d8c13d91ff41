package main

import (
	"sync"

	"edged/internal/quality"
	"edged/spool"
)

// What the door tells the cards, and asks them, takes no lock that a page holds: a device
// waits for its answer meanwhile. What it tells lies in a queue until run comes to it;
// where that is full, all that is in the spool is looked through once more.

// maxNews bounds the queue: seconds of the fastest devices.
const maxNews = 4096

// news is of one instance, or without Seq of a study: it is to be looked at again.
type news struct {
	o spool.Object
	m Meta
}

// took is told by the door of each instance that is new here, as soon as it is safe. It
// never waits.
func (c *cards) took(o spool.Object, m Meta) {
	for live := c.live.Load(); live == 0 || o.Seq < live; live = c.live.Load() {
		c.live.CompareAndSwap(live, o.Seq)
	}
	c.queue(&news{o, m})
}

// announced is told of each study of which a device has said how many instances there are:
// the spool has no event for that. It never waits.
func (c *cards) announced(study string) { c.queue(&news{o: spool.Object{Group: study}}) }

func (c *cards) queue(n *news) {
	select {
	case c.news <- n:
	default:
		c.missed.Store(true)
	}
}

// heard takes in one; how far its study is, is asked with the next look.
func (c *cards) heard(n *news, dirty map[string]bool) {
	if n.o.Seq > 0 {
		c.hear(n.o, n.m)
	}
	dirty[n.o.Group] = dirty[n.o.Group] || n.o.Seq == 0
}

// drain takes in what is there now: what is looked at next has heard of it.
func (c *cards) drain(dirty map[string]bool) {
	for range len(c.news) {
		c.heard(<-c.news, dirty)
	}
}

// persons are whom the studies that are here are of. mu is held for a moment only.
type persons struct {
	mu sync.Mutex
	of map[uint64]quality.Patient
}

func (p *persons) met(in *card) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[uint64]quality.Patient{}
	}
	if id := in.field(fieldID); id != "" {
		p.of[in.key] = quality.Patient{ID: id, Issuer: in.field(fieldIssuer)}
	}
}

func (p *persons) forget(key uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, key)
}

// patientOf is whom a study is of, the empty one where that is not known.
func (c *cards) patientOf(group string) quality.Patient {
	key := c.keyOf(group)
	c.persons.mu.Lock()
	defer c.persons.mu.Unlock()
	return c.persons.of[key]
}
