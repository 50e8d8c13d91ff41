package liar

import (
	"cmp"
	"sync"

	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// Verdict is what an appliance must make of a lie.
type Verdict int

const (
	NotBelieved Verdict = iota // the connection ends, the statement is counted, the node is left alone
	Ended                      // the connection ends; the node is tried again
	Unmoved                    // nothing changes and all goes on: the script ends with an honest receipt
)

// Variant is one way to lie to an appliance that has three objects.
type Variant struct {
	Name    string
	Verdict Verdict
	Size    int  // of the objects. If zero, 3000 bytes.
	Lanes   int  // that the lie needs. If zero, one.
	Nodes   int  // of the hub that tell it together. If zero, one.
	Rows    bool // each node names a ledger of its own
	Tell    func(*Story, *Conn)
}

// Story is what the connections of one variant know of each other.
type Story struct {
	mu    sync.Mutex // guards what follows
	conns int
	fair  map[wire.ID]bool
	node  string           // the first one that was called
	meet  chan wire.Object // from one lane to another
}

// NewStory begins one.
func NewStory() *Story { return &Story{fair: map[wire.ID]bool{}, meet: make(chan wire.Object, 1)} }

// Script is what Serve wants: the variant's part of each connection.
func (v Variant) Script(s *Story) func(*Conn) {
	return func(c *Conn) {
		if v.Rows {
			c.WelcomeTo("of " + c.Node)
		} else {
			c.Welcome()
		}
		v.Tell(s, c)
	}
}

// Fair reports whether a receipt for an object was given honestly.
func (s *Story) Fair(id wire.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fair[id]
}

// number counts the connections, from 1.
func (s *Story) number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns++
	return s.conns
}

// begins reports whether c is to the node that was called first.
func (s *Story) begins(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = cmp.Or(s.node, c.Node)
	return s.node == c.Node
}

// honest takes objects and gives one receipt for all of them.
func (s *Story) honest(c *Conn, list ...wire.Object) {
	for _, o := range list {
		if !c.Take(o) {
			return
		}
		s.mu.Lock()
		s.fair[o.ID] = true
		s.mu.Unlock()
	}
	c.Receipt(list...)
}

// flip returns id with one bit changed.
func flip(id wire.ID) wire.ID { id[5] ^= 4; return id }

// foreign is an object that the appliance does not have.
func foreign() wire.Object {
	o, _ := uplinktest.MakeObject(999, 3000, wire.Routine)
	return wire.Object{ID: wire.ID(o.ID), Length: o.Length}
}

// changed is o with another ID or length.
func changed(o wire.Object, id wire.ID, length int64) wire.Object {
	o.ID, o.Length = id, length
	return o
}

// Variants are the lies, each told over either carrier.
func Variants() []Variant {
	var all []Variant
	for _, list := range [][]Variant{receipts(), answers(), confirmations(), lanes(), strange()} {
		all = append(all, list...)
	}
	return all
}

// sent takes the first of three objects and then says a receipt that does not fit it.
func sent(lie func(o []wire.Object) []wire.Object) func(*Story, *Conn) {
	return func(_ *Story, c *Conn) {
		if o := c.Offers(3); len(o) >= 3 && c.Take(o[0]) {
			c.Receipt(lie(o)...)
		}
	}
}

// first waits for the first offer.
func first(f func(*Conn, wire.Object)) func(*Story, *Conn) {
	return func(_ *Story, c *Conn) {
		if o := c.Offers(1); len(o) > 0 {
			f(c, o[0])
		}
	}
}

func one(f func(o wire.Object) wire.Object) func([]wire.Object) []wire.Object {
	return func(o []wire.Object) []wire.Object { return []wire.Object{f(o[0])} }
}

// receipts are those for what the hub cannot have.
func receipts() []Variant {
	return []Variant{
		{Name: "receipt before data", Tell: first(func(c *Conn, o wire.Object) { c.Receipt(o) })},
		{Name: "receipt before any offer", Tell: func(_ *Story, c *Conn) { c.Receipt(foreign()) }},
		{Name: "receipt for what was never offered", Tell: first(func(c *Conn, _ wire.Object) { c.Receipt(foreign()) })},
		{Name: "receipt in mid-object", Size: 24 << 20, Tell: first(func(c *Conn, o wire.Object) {
			c.Want(o)
			for c.got[o.Number] == 0 && c.next() {
			}
			c.Receipt(o)
		})},
		{Name: "receipt for another id", Tell: sent(one(func(o wire.Object) wire.Object { return changed(o, flip(o.ID), o.Length) }))},
		{Name: "receipt for no id", Tell: sent(one(func(o wire.Object) wire.Object { return changed(o, wire.ID{}, o.Length) }))},
		{Name: "receipt for another of its objects", Tell: sent(func(o []wire.Object) []wire.Object { return o[1:2] })},
		{Name: "receipt one byte short", Tell: sent(one(func(o wire.Object) wire.Object { return changed(o, o.ID, o.Length-1) }))},
		{Name: "receipt one byte long", Tell: sent(one(func(o wire.Object) wire.Object { return changed(o, o.ID, o.Length+1) }))},
		{Name: "receipt of length zero", Tell: sent(one(func(o wire.Object) wire.Object { return changed(o, o.ID, 0) }))},
		{Name: "receipt of negative length", Tell: sent(one(func(o wire.Object) wire.Object { return changed(o, o.ID, -o.Length) }))},
		{Name: "receipt of 4 GiB more", Tell: sent(one(func(o wire.Object) wire.Object { return changed(o, o.ID, o.Length+1<<32) }))},
		{Name: "receipt for one sent and one not", Tell: sent(func(o []wire.Object) []wire.Object { return o[:2] })},
		{Name: "receipt for one sent and one short", Tell: sent(func(o []wire.Object) []wire.Object {
			return []wire.Object{o[0], changed(o[0], o[0].ID, o[0].Length-1)}
		})},
		{Name: "receipt twice on one page", Tell: sent(func(o []wire.Object) []wire.Object { return []wire.Object{o[0], o[0], o[1]} })},
		{Name: "receipt after a digest mismatch", Tell: first(func(c *Conn, o wire.Object) {
			if c.Take(o) {
				c.Trouble(wire.ProblemDigest, o.ID, 0)
				c.Receipt(o)
			}
		})},
		{Name: "receipt after busy", Tell: first(func(c *Conn, o wire.Object) {
			if c.Take(o) {
				c.Again(wire.AgainBusy, 60_000, o)
				c.Receipt(o)
			}
		})},
		{Name: "receipt after a refusal of the offer", Tell: first(func(c *Conn, o wire.Object) {
			c.Trouble(wire.ProblemOffer, o.ID, 0)
			c.Receipt(o)
		})},
	}
}

// answers are those that do not fit an offer.
func answers() []Variant {
	answer := func(change func(o []wire.Object) wire.Answer) func(*Story, *Conn) {
		return func(_ *Story, c *Conn) {
			if o := c.Offers(2); len(o) >= 2 {
				c.Answer(change(o))
				c.Receipt(o[0])
			}
		}
	}
	twice := func(second wire.Answer) func(*Story, *Conn) {
		return first(func(c *Conn, o wire.Object) {
			second.Number, second.ID = o.Number, o.ID
			c.Want(o)
			c.Answer(second)
			c.Receipt(o)
		})
	}
	return []Variant{
		{Name: "have for another id", Tell: answer(func(o []wire.Object) wire.Answer { return wire.Answer{Number: o[0].Number, ID: flip(o[0].ID)} })},
		{Name: "all for another id", Tell: answer(func(o []wire.Object) wire.Answer {
			return wire.Answer{Number: o[0].Number, ID: flip(o[0].ID), All: true}
		})},
		{Name: "all under another number", Tell: answer(func(o []wire.Object) wire.Answer {
			return wire.Answer{Number: o[1].Number, ID: o[0].ID, All: true}
		})},
		{Name: "have under a number that is not there", Tell: answer(func(o []wire.Object) wire.Answer {
			return wire.Answer{Number: o[0].Number + 1<<40, ID: o[0].ID, All: true}
		})},
		{Name: "have beyond the end", Tell: answer(func(o []wire.Object) wire.Answer {
			return wire.Answer{Number: o[0].Number, ID: o[0].ID, Offset: o[0].Length + 1}
		})},
		{Name: "have at a negative offset", Tell: answer(func(o []wire.Object) wire.Answer {
			return wire.Answer{Number: o[0].Number, ID: o[0].ID, Offset: -1}
		})},
		{Name: "have at the far end", Tell: answer(func(o []wire.Object) wire.Answer {
			return wire.Answer{Number: o[0].Number, ID: o[0].ID, Offset: 1 << 62}
		})},
		{Name: "have twice", Tell: twice(wire.Answer{})},
		{Name: "all after have", Tell: twice(wire.Answer{All: true})},
		{Name: "mismatch before data", Tell: first(func(c *Conn, o wire.Object) { c.Trouble(wire.ProblemDigest, o.ID, 0) })},
		{Name: "refusal of what was never offered", Tell: first(func(c *Conn, _ wire.Object) { c.Trouble(wire.ProblemOffer, foreign().ID, 0) })},
		{Name: "refusal of what it asked for", Tell: first(func(c *Conn, o wire.Object) {
			c.Want(o)
			c.Trouble(wire.ProblemOffer, o.ID, 0)
		})},
		{Name: "refusal of what it has", Tell: first(func(c *Conn, o wire.Object) {
			if c.Take(o) {
				c.Trouble(wire.ProblemOffer, o.ID, 0)
			}
		})},
		{Name: "refusal a hundred times", Tell: first(func(c *Conn, o wire.Object) {
			for range 100 {
				c.Trouble(wire.ProblemOffer, o.ID, 0)
			}
		})},
		{Name: "refusal of each offer of two objects", Verdict: Unmoved, Tell: (*Story).refuseTwo},
		{Name: "mismatch of what was never offered", Tell: first(func(c *Conn, _ wire.Object) { c.Trouble(wire.ProblemDigest, foreign().ID, 0) })},
	}
}

// refuseTwo refuses two objects whenever they are offered, three times each before it
// takes the third one honestly.
func (s *Story) refuseTwo(c *Conn) {
	refused := 0
	for n := 0; len(c.Offers(n+1)) > n; n++ {
		if n != 2 {
			c.Trouble(wire.ProblemOffer, c.Offered[n].ID, 0)
			refused++
		}
		if refused == 6 {
			s.honest(c, c.Offered[2])
		}
	}
}

// harmless says what changes nothing, and then takes the last object honestly.
func harmless(f func(c *Conn, o []wire.Object)) func(*Story, *Conn) {
	return func(s *Story, c *Conn) {
		if o := c.Offers(3); len(o) >= 3 {
			f(c, o)
			s.honest(c, o[2])
		}
	}
}

// confirmations are those of what is not at the hub, or is not what is here.
func confirmations() []Variant {
	wrong := func(change func(o wire.Object) wire.Object) func(*Story, *Conn) {
		return harmless(func(c *Conn, o []wire.Object) { c.Archived(change(o[0])) })
	}
	return []Variant{
		{Name: "archived: unknown", Verdict: Unmoved, Tell: wrong(func(wire.Object) wire.Object { return foreign() })},
		{Name: "archived: no id", Verdict: Unmoved, Tell: wrong(func(o wire.Object) wire.Object { return changed(o, wire.ID{}, o.Length) })},
		{Name: "archived: another id", Verdict: Unmoved, Tell: wrong(func(o wire.Object) wire.Object { return changed(o, flip(o.ID), o.Length) })},
		{Name: "archived: one byte short", Verdict: Unmoved, Tell: wrong(func(o wire.Object) wire.Object { return changed(o, o.ID, o.Length-1) })},
		{Name: "archived: length zero", Verdict: Unmoved, Tell: wrong(func(o wire.Object) wire.Object { return changed(o, o.ID, 0) })},
		{Name: "archived: negative length", Verdict: Unmoved, Tell: wrong(func(o wire.Object) wire.Object { return changed(o, o.ID, -o.Length) })},
		{Name: "archived: of what was never sent", Verdict: Unmoved, Tell: wrong(func(o wire.Object) wire.Object { return o })},
		{Name: "archived: a page of 4096 strangers", Verdict: Unmoved, Tell: harmless(func(c *Conn, _ []wire.Object) {
			page := make([]wire.Object, wire.MaxItems)
			for i := range page {
				page[i] = foreign()
				page[i].ID[0], page[i].ID[1] = byte(i), byte(i>>8)
			}
			c.Archived(page...)
		})},
		{Name: "lost: what was never at the hub", Verdict: Unmoved, Tell: harmless(func(c *Conn, o []wire.Object) {
			c.Trouble(wire.ProblemLost, o[0].ID, 7)
			c.Trouble(wire.ProblemLost, foreign().ID, 8)
		})},
		{Name: "refused by a destination: what was never at the hub", Verdict: Unmoved, Tell: harmless(func(c *Conn, o []wire.Object) {
			c.Trouble(wire.ProblemDestination, o[0].ID, 7)
			c.Trouble(wire.ProblemDestination, foreign().ID, 8)
		})},
		{Name: "lost: everything, a thousand times", Verdict: Unmoved, Tell: harmless(func(c *Conn, _ []wire.Object) {
			for range 1000 {
				c.Again(wire.AgainLost, 0)
			}
		})},
	}
}

// lanes are lies that hold on one connection what happened on another.
func lanes() []Variant {
	return []Variant{
		{Name: "receipt on the next connection", Tell: func(s *Story, c *Conn) {
			o := c.Offers(1)
			if len(o) == 0 {
				return
			}
			if s.number() == 1 {
				c.Take(o[0])
				c.HangUp(wire.ByeInternal)
				return
			}
			c.Receipt(o[0])
		}},
		{Name: "receipt on another lane", Lanes: 2, Tell: (*Story).passOn},
		{Name: "archived: by one node, the receipt by another", Verdict: Unmoved, Nodes: 2, Tell: (*Story).confirmElsewhere},
		{Name: "archived: by a ledger that gave no receipt", Verdict: Unmoved, Nodes: 2, Rows: true, Tell: (*Story).confirmReplaced},
	}
}

// confirmReplaced has one node take two objects honestly and go away, and the one in
// its place, which has other rows and never had them, say archived of both.
func (s *Story) confirmReplaced(c *Conn) {
	if s.begins(c) {
		if s.number() == 1 && len(c.Offers(3)) >= 3 {
			s.honest(c, c.Offered[0], c.Offered[1])
			c.heard()
		}
		c.HangUp(wire.ByeInternal)
		return
	}
	for i, o := range c.Offers(3) {
		if s.Fair(o.ID) {
			c.Archived(o)
			c.heard()
		} else {
			defer s.honest(c, c.Offered[i])
		}
	}
}

// heard waits until the appliance has acknowledged a confirmation that means nothing
// to it, and so has kept what it was told before.
func (c *Conn) heard() {
	c.Archived(foreign())
	for before := c.acked; c.acked == before && c.next(); {
	}
}

// confirmElsewhere has one node say archived of what it never got, and the other one
// take that object honestly. The stranger beside it is acknowledged, which shows that
// the appliance has heard the lie before it turns to the other node.
func (s *Story) confirmElsewhere(c *Conn) {
	o := c.Offers(3)
	if len(o) < 3 {
		return
	}
	if !s.begins(c) {
		s.honest(c, o[0])
		return
	}
	c.Archived(o[0], o[1], o[2], foreign())
	for c.acked == 0 && c.next() {
	}
	c.HangUp(wire.ByeInternal)
}

// passOn has the lane that is offered something first take it, and the other one give
// the receipt.
func (s *Story) passOn(c *Conn) {
	for {
		select {
		case o := <-s.meet:
			c.Receipt(o)
			return
		case f := <-c.in:
			c.took(f)
		case <-c.Done():
			return
		}
		if len(c.Offered) > 0 && s.number() == 1 {
			if c.Take(c.Offered[0]) {
				s.meet <- c.Offered[0]
			}
			return
		}
	}
}

// strange is what no hub says to an appliance, and too much of what it may say.
func strange() []Variant {
	say := func(f wire.Frame) func(*Story, *Conn) { return first(func(c *Conn, _ wire.Object) { c.Say(f) }) }
	bytes := func(b ...byte) func(*Story, *Conn) { return first(func(c *Conn, _ wire.Object) { c.SayBytes(b) }) }
	return []Variant{
		{Name: "an offer", Verdict: Ended, Tell: say(&wire.Offer{})},
		{Name: "a put", Verdict: Ended, Tell: say(&wire.Put{Number: 1, Body: []byte("x")})},
		{Name: "a probe", Verdict: Ended, Tell: say(&wire.Probe{Number: 1, Body: []byte("x")})},
		{Name: "an echo of no probe, then a receipt before data", Verdict: Ended, Tell: first(func(c *Conn, o wire.Object) {
			c.Say(&wire.Echo{Number: 1, Bytes: o.Length})
			c.Receipt(o)
		})},
		{Name: "an acknowledgement", Verdict: Ended, Tell: say(&wire.ArchivedAck{Seqs: []uint64{1}})},
		{Name: "a release", Verdict: Ended, Tell: say(&wire.Release{})},
		{Name: "a study", Verdict: Ended, Tell: say(&wire.Study{UID: "1.2"})},
		{Name: "hello", Verdict: Ended, Tell: say(&wire.Hello{Versions: []uint16{1}, Boot: []byte("b"), DataDir: []byte("d")})},
		{Name: "welcome again", Verdict: Ended, Tell: first(func(c *Conn, _ wire.Object) { c.Welcome() })},
		{Name: "no frame", Verdict: Ended, Tell: bytes([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")...)},
		{Name: "a header of 64 KiB", Verdict: Ended, Tell: bytes(0, 6, 0xff, 0xff, 0, 0, 0, 0)},
		{Name: "a body of 4 GiB", Verdict: Ended, Tell: bytes(0, 6, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xa0)},
		{Name: "a receipt of garbage", Verdict: Ended, Tell: bytes(0, 6, 0, 1, 0, 0, 0, 4, 0xa0, 0x9a, 0xff, 0xff, 0xff)},
		{Name: "a receipt of nested lists", Verdict: Ended, Tell: bytes(0, 6, 0, 1, 0, 0, 0, 8, 0xa0, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x80)},
		{Name: "unknown frames, then a receipt before data", Tell: first(func(c *Conn, o wire.Object) {
			for range 1000 {
				c.SayBytes([]byte{0x7f, 0xff, 0, 1, 0, 0, 0, 3, 0xa0, 1, 2, 3})
			}
			c.Receipt(o)
		})},
		{Name: "empty receipts, then one before data", Tell: first(func(c *Conn, o wire.Object) {
			for range 1000 {
				c.Receipt()
			}
			c.Receipt(o)
		})},
		{Name: "farewells without going", Verdict: Ended, Tell: first(func(c *Conn, _ wire.Object) {
			if c.Carrier == "quic" { // there Bye says nothing: the connection is ended by what no hub says
				for range 1000 {
					c.Say(&wire.Bye{Code: wire.ByeDone})
				}
				c.Say(&wire.Offer{})
				return
			}
			for range 1000 {
				c.Say(&wire.Bye{Code: wire.ByeDone, Reason: "bye"})
			}
		})},
		{Name: "a receipt after the farewell", Verdict: Ended, Tell: first(func(c *Conn, o wire.Object) {
			if c.Take(o) && c.Carrier == "tcp" {
				c.Say(&wire.Bye{Code: wire.ByeReplaced})
				c.Receipt(o)
				return
			}
			c.HangUp(wire.ByeReplaced)
			c.Receipt(o)
		})},
	}
}
