package spool

// namedTombs are the tombstones of one name: what came under it is remembered for
// as long as they are, so that other contents are told also when the first ones have
// been forgotten (P5).
type namedTombs struct {
	at    []int // places in the ring, oldest first
	told  int   // of those, how many the hub has heard of
	last  ID    // the newest of these
	turns int   // how often one of these has other contents than the one before it
}

// heard says whether the hub may have what o speaks of. What an administrator
// discarded before it left is nowhere, so nothing that comes later can clash with it.
func (o op) heard() bool { return !o.discard || o.outside }

// call notes the tombstone at that place of the ring under its name.
func (t *tombs) call(at int) {
	o := t.ring[at]
	if o.name == (nameSum{}) {
		return
	}
	n := t.names[o.name]
	if n == nil {
		n = &namedTombs{}
		t.names[o.name] = n
	}
	n.at = append(n.at, at)
	if !o.heard() {
		return
	}
	if n.told > 0 && n.last != o.id {
		n.turns++
	}
	n.last = o.id
	n.told++
}

// uncall takes out the tombstone at that place, which is the oldest of all, and so
// of its name.
func (t *tombs) uncall(at int) {
	o := t.ring[at]
	n := t.names[o.name]
	if n == nil {
		return
	}
	n.at = n.at[1:]
	if len(n.at) == 0 {
		delete(t.names, o.name)
		return
	}
	if !o.heard() {
		return
	}
	n.told--
	for _, i := range n.at {
		if next := t.ring[i]; next.heard() {
			if next.id != o.id {
				n.turns--
			}
			return
		}
	}
}

// clashes says whether something of that name that the hub has heard of, and that is
// forgotten here, had other contents than id.
func (t *tombs) clashes(name nameSum, id ID) bool {
	n := t.names[name]
	return n != nil && n.told > 0 && (n.turns > 0 || n.last != id)
}

// named lists the tombstones of a name, oldest first.
func (t *tombs) named(name nameSum) (out []op) {
	if n := t.names[name]; n != nil {
		for _, i := range n.at {
			out = append(out, t.ring[i])
		}
	}
	return out
}
