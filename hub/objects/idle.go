package objects

import (
	"container/list"
	"time"
)

// maxIdle is how many partial objects of one appliance nobody may be at. Each is a file
// and an entry in memory, however few bytes it has (P9); beyond that the longest unused goes.
const maxIdle = 20_000

// idle are the partial objects that nobody is at, the longest unused in front, so that
// what goes first is found without a look at all others. Store.mu guards it.
type idle struct {
	of  map[string]*list.List // by device directory, of *partial
	all list.List             // of those with a file of their own: only they make room on the disk
}

// add enters p, which has bytes and no claim.
func (i *idle) add(p *partial) {
	if p.idle != nil {
		return
	}
	own := i.of[p.key.device]
	if own == nil {
		own = list.New()
		i.of[p.key.device] = own
	}
	p.idle = own.PushBack(p)
	if !p.sealed {
		p.idleOfAll = i.all.PushBack(p)
	}
}

// remove takes p out, if it is in.
func (i *idle) remove(p *partial) {
	if p.idleOfAll != nil {
		i.all.Remove(p.idleOfAll)
		p.idleOfAll = nil
	}
	if p.idle == nil {
		return
	}
	own := i.of[p.key.device]
	own.Remove(p.idle)
	p.idle = nil
	if own.Len() == 0 {
		delete(i.of, p.key.device)
	}
}

// rest ends the claim on p, and keeps what is there for the next one. p.mu is held.
func (p *partial) rest() {
	p.owner, p.used = nil, time.Now()
	p.close()
	if p.onDisk == 0 {
		p.forget()
		return
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.idle.add(p)
}

// taken is said when p has a claim. p.mu is held.
func (p *partial) taken() {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.idle.remove(p)
}

// fewer drops of a device's idle partial objects what is beyond their number. Nobody's
// mu is held.
func (s *Store) fewer(device string) {
	for s.idleOf(device) > s.maxIdle && s.dropOldest(device, nil) {
	}
}

func (s *Store) idleOf(device string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.idle.of[device]; own != nil {
		return own.Len()
	}
	return 0
}

// dropOldest drops the idle partial object of a device that was longest unused, but not
// this one. It returns false when there is none.
func (s *Store) dropOldest(device string, but *partial) bool {
	oldest := s.oldestOf(device, but)
	if oldest == nil {
		return false
	}
	oldest.mu.Lock()
	defer oldest.mu.Unlock()
	if oldest.owner == nil && !oldest.gone { // else somebody was quicker: look again
		oldest.drop()
	}
	return true
}

func (s *Store) oldestOf(device string, but *partial) *partial {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.idle.of[device]
	if own == nil {
		return nil
	}
	for e := own.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*partial); p != but {
			return p
		}
	}
	return nil
}

// longestUnused lists the first few of all, so that one which is at work stops nobody.
func (s *Store) longestUnused() (few []*partial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.idle.all.Front(); e != nil && len(few) < 16; e = e.Next() {
		few = append(few, e.Value.(*partial))
	}
	return few
}
