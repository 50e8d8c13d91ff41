package uplink

import (
	"errors"
	"fmt"
	"time"

	"edged/internal/dicom"
)

// RestError is a reason for Source.Return: the object is whole as far as anybody
// knows, and rests before it is offered again, each time for longer. The others go
// on. Why is ErrRefused, ErrMismatch, or what its file could not be read for.
type RestError struct {
	Why   error
	Rest  time.Duration
	Times int // that it happened in a row, this one included
}

// Error implements error.
func (e *RestError) Error() string {
	return fmt.Sprintf("%v, %d times; rests %s", e.Why, e.Times, e.Rest)
}

// Unwrap implements errors.Unwrap.
func (e *RestError) Unwrap() error { return e.Why }

// errElsewhere leaves a node for another one, if that works; it is no reason to be
// without any. errMismatch, of which it is one, sets a node aside.
var errElsewhere = fmt.Errorf("%w: it refuses objects, or finds them damaged, and another one is asked", errMismatch)

// How long objects rest, and of how many different ones a node complains, none
// arriving, before it is the node that is doubted. A refused offer costs a frame, a
// mismatch costs the transfer of the whole object and a reading of it here.
const (
	firstRest       = time.Second
	longestRest     = 5 * time.Minute
	longestMismatch = 30 * time.Minute

	manyDamaged = 3
	manyRefused = 8
)

// complaint is about an object: by a node of the hub, or by the disk here (node "").
type complaint struct {
	node string
	id   dicom.ID
}

// complaints count what went wrong with objects of one kind of trouble. What is about
// one object alone is the object's; what is about many, while none arrives, the
// node's. Uplink.mu guards them.
type complaints struct {
	times  map[complaint]int
	inARow map[string]map[dicom.ID]bool // objects since the last receipt, by node; true: for the first time
}

func newComplaints() complaints {
	return complaints{times: map[complaint]int{}, inARow: map[string]map[dicom.ID]bool{}}
}

// maxComplaints bounds how many are remembered. What is not rests longest: nobody
// counts how often it was tried.
const (
	maxComplaints = 1 << 14
	notCounted    = 16
)

// add counts a complaint and says how often the node has made it now.
func (c *complaints) add(node string, id dicom.ID) (times int) {
	if len(c.inARow[node]) >= maxComplaints || c.inARow[node] == nil {
		c.inARow[node] = map[dicom.ID]bool{}
	}
	times = c.times[complaint{node, id}] + 1
	if times == 1 && len(c.times) >= maxComplaints {
		return notCounted
	}
	c.times[complaint{node, id}] = times
	c.inARow[node][id] = times == 1
	return times
}

// many is of how many objects the node complains in a row that it took no offence at
// before: what is known to be bad condemns nobody again.
func (c *complaints) many(node string) (n int) {
	for _, first := range c.inARow[node] {
		if first {
			n++
		}
	}
	return n
}

// forgive is told of receipts of a node.
func (c *complaints) forgive(node string, hubs []string, receipts []Receipt) {
	delete(c.inARow, node)
	if len(c.times) == 0 {
		return
	}
	for _, r := range receipts {
		delete(c.times, complaint{"", r.ID})
		for _, hub := range hubs {
			delete(c.times, complaint{hub, r.ID})
		}
	}
}

// growing doubles from firstRest to longest.
func growing(times int, longest time.Duration) time.Duration {
	return min(firstRest<<min(times-1, 16), longest)
}

// mismatched is told that node got other bytes than the good ones that are here. why
// is for Return; doubt is not nil when the node is not to be used now.
func (u *Uplink) mismatched(node string, id dicom.ID) (why *RestError, doubt error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := &u.mismatches
	times := c.add(node, id)
	switch {
	case c.many(node) >= manyDamaged:
		delete(c.inARow, node)
		doubt = errMismatch
	case times > 1 && u.elsewhere(c, node, id):
		doubt = errElsewhere
	}
	return &RestError{ErrMismatch, growing(times, longestMismatch), times}, doubt
}

// refused is told that node refuses an offer. Whoever is the only one left to ask
// would be no better for a pause.
func (u *Uplink) refused(node string, id dicom.ID) (why *RestError, doubt error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := &u.refusals
	times := c.add(node, id)
	if (times > 1 || c.many(node) >= manyRefused) && u.elsewhere(c, node, id) {
		doubt = errElsewhere
	}
	return &RestError{ErrRefused, growing(times, longestRest), times}, doubt
}

// unread is told that the disk here did not give an object's bytes, which is no damage.
func (u *Uplink) unread(id dicom.ID, err error) *RestError {
	u.mu.Lock()
	defer u.mu.Unlock()
	times := u.failures.add("", id)
	return &RestError{err, growing(times+1, longestRest), times}
}

// elsewhere reports whether there is a node to be asked that has not complained of the
// object. Each is left for another one once in a while only, and none for one that
// was left itself, or what all refuse would have the appliance run around. u.mu is held.
func (u *Uplink) elsewhere(of *complaints, node string, id dicom.ID) bool {
	now := time.Now()
	if now.Before(u.left[node]) {
		return false
	}
	for _, hub := range u.c.Hubs {
		if hub != node && !now.Before(u.left[hub]) && !now.Before(u.aside[hub]) && of.times[complaint{hub, id}] == 0 {
			return true
		}
	}
	return false
}

// forgive forgets what was wrong with objects that arrived after all, and in a row
// with the node where they did.
func (u *Uplink) forgive(node string, receipts []Receipt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range []*complaints{&u.mismatches, &u.refusals, &u.failures} {
		c.forgive(node, u.c.Hubs, receipts)
	}
	for _, r := range receipts {
		delete(u.tooBig, r.ID)
	}
}

// returned says why a flight of which a piece could not be read ends: damage is for
// the Source to judge, everything else rests.
func (u *Uplink) returned(o Object, err error) error {
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return u.unread(o.ID, err)
}
