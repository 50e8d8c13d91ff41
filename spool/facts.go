package spool

// facts is what the journal knows about one object. Recovery replays ops into
// it and the running spool applies the same ops to it, by the same function.
type facts struct {
	id          ID
	state       State // Received, AtHub or Archived
	wasAtHub    bool  // counted once, also when it was offered again
	held        bool
	quarantined bool
	damaged     bool
	torn        bool // damaged by a power cut before anybody was told of it
	reason      string
	atHubAt     int64
	archivedAt  int64
	archivedAge int64
	hub         voucher // of the last receipt
	archive     voucher // of the confirmation
}

// apply changes f as o says. It is idempotent, and Archived is never undone.
func (f *facts) apply(o op) {
	switch o.kind {
	case opAtHub:
		f.wasAtHub, f.hub = true, o.from.or(f.hub)
		if f.atHubAt == 0 {
			f.atHubAt = o.at
		}
		if f.state != Archived {
			f.state = AtHub
		}
		f.quarantined, f.reason = f.damaged, f.keepReason() // a receipt ends what was parked
	case opArchived:
		if f.state != Archived {
			f.archivedAt, f.archivedAge, f.archive = o.at, o.age, o.from
		}
		f.state, f.wasAtHub, f.held = Archived, true, false
		f.quarantined, f.reason = f.damaged, f.keepReason()
	case opHeld:
		f.held = true
	case opReleased:
		f.held = false
		f.quarantined, f.reason = f.damaged, f.keepReason() // damage is not talked away
	case opQuarantined:
		f.quarantined, f.reason = true, o.reason
		f.damaged, f.torn = f.damaged || o.damaged, f.torn || o.torn
	case opReoffer, opReofferOne:
		if f.state == AtHub {
			f.state = Received
		}
	case opWasAtHub:
		f.wasAtHub, f.hub = true, o.from.or(f.hub)
	}
}

// vouched says whether a receipt of that source is here.
func (f *facts) vouched(from voucher) bool { return f.wasAtHub && f.hub != 0 && f.hub == from }

func (f *facts) keepReason() string {
	if f.damaged {
		return f.reason
	}
	return ""
}

// shown is the state that callers see.
func (f *facts) shown(leased bool) State {
	switch {
	case f.state == Archived:
		return Archived
	case f.quarantined:
		return Quarantined
	case f.state == AtHub && f.held:
		return Held
	case f.state == AtHub:
		return AtHub
	case leased:
		return Sending
	}
	return Received
}

// ops returns the obligations that, replayed, give f again.
func (f *facts) ops(seq uint64) []op {
	var out []op
	add := func(when bool, o op) {
		if when {
			o.seq, o.id = seq, f.id
			out = append(out, o)
		}
	}
	add(f.wasAtHub && f.state == Received, op{kind: opWasAtHub, from: f.hub})
	add(f.state == AtHub || f.state == Archived && f.atHubAt != 0, op{kind: opAtHub, at: f.atHubAt, from: f.hub})
	add(f.state == Archived, op{kind: opArchived, at: f.archivedAt, age: f.archivedAge, from: f.archive})
	add(f.held, op{kind: opHeld})
	add(f.quarantined, op{kind: opQuarantined, reason: f.reason, damaged: f.damaged, torn: f.torn})
	return out
}

// book is the journal as a whole, replayed: what is known of which object, and
// which ones were forgotten.
type book struct {
	standing standing
	facts    map[uint64]*facts
	tombs    []op // opForgot, oldest first
	groups   map[string]*groupRow
	notes    notes
	scrubbed op
	sealed   uint64 // every object from this number on is encrypted; zero: nothing says so
	played   bool   // there was a journal
	doubted  bool   // it was damaged
}

func newBook() *book {
	return &book{facts: map[uint64]*facts{}, groups: map[string]*groupRow{}, standing: standing{mark: 1, next: 1, counters: map[string]uint64{}}}
}

// play applies ops in their order.
func (b *book) play(ops []op) {
	b.played = true
	for _, o := range ops {
		switch o.kind {
		case opForgot:
			if o.healed {
				b.heal(o)
			}
			if o.discard {
				b.groups[o.group] = b.groups[o.group].after(o)
			}
			delete(b.facts, o.seq)
			b.tombs = append(b.tombs, o)
		case opGroup:
			b.groups[o.group] = o.row.of(o)
		case opGroupTold:
			b.groups[o.group] = b.groups[o.group].after(o)
		case opNote, opNoteGone:
			b.notes.apply(o)
		case opScrubbed:
			b.scrubbed = o
		case opSealedFrom:
			b.sealed = o.seq
		case opReoffer:
			for _, f := range b.facts {
				f.apply(o)
			}
		default:
			f := b.facts[o.seq]
			if f == nil || f.id != o.id {
				f = &facts{id: o.id}
				b.facts[o.seq] = f
			}
			f.apply(o)
		}
	}
}

// heal gives the good copy what is known of the damaged one.
func (b *book) heal(o op) {
	old, seq := b.facts[o.seq], uint64(o.length)
	if old == nil || old.id != o.id {
		return
	}
	f := old.healed()
	if good := b.facts[seq]; good != nil && good.id == o.id {
		for _, o := range good.ops(seq) {
			f.apply(o)
		}
	}
	b.facts[seq] = &f
}

// healed is f when the bytes are here again. An archive's word that no receipt of the
// same source came before was believed only because nothing good was left to lose (early.go): good
// bytes are offered, and the hub says both again if they are true (P2).
func (f *facts) healed() facts {
	out := *f
	out.quarantined, out.damaged, out.torn, out.reason = false, false, false, ""
	if out.state == Archived && (out.atHubAt == 0 || out.hub != out.archive) {
		out.state, out.wasAtHub, out.archivedAt, out.archivedAge, out.archive = Received, false, 0, 0, 0
	}
	return out
}

// doubt takes back what a lost record might have taken back: an object that
// only the hub is known to have is offered again. What was archived stays so:
// nothing but the archive's word ever wrote that.
func (b *book) doubt() {
	b.doubted = true
	b.play([]op{{kind: opReoffer}})
}

// unproved says whether a file of that number may be what a power cut left of an
// object that nobody was told of. Without a whole journal nobody knows.
func (b *book) unproved(seq uint64) bool {
	return b.played && !b.doubted && seq >= b.standing.mark
}
