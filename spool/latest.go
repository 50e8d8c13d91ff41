package spool

import (
	"container/list"
	"sort"
)

// latest keeps groups in the order of their newest object, the newest first, so that who
// asks for some of them does not look at all, under the lock that each C-STORE needs.
// It is nil while the spool is being recovered. Guarded by Spool.mu.
type latest struct{ order *list.List } // of *group

// newLatest puts groups in order once, after a start.
func newLatest(groups map[string]*group) *latest {
	all := make([]*group, 0, len(groups))
	for _, g := range groups {
		all = append(all, g)
	}
	sort.Slice(all, func(i, k int) bool { return all[i].last > all[k].last })
	l := &latest{list.New()}
	for _, g := range all {
		g.place = l.order.PushBack(g)
	}
	return l
}

// reached notes the number of an object of g. Numbers come nearly in order: it steps over
// those alone whose commit overtook this one.
func (l *latest) reached(g *group, seq uint64) {
	newer := seq > g.last
	g.last = max(g.last, seq)
	if l == nil || !newer && g.place != nil {
		return
	}
	at := l.order.Front()
	for at != nil && at.Value.(*group).last > g.last {
		at = at.Next()
	}
	switch {
	case at == nil && g.place == nil:
		g.place = l.order.PushBack(g)
	case at == nil:
		l.order.MoveToBack(g.place)
	case g.place == nil:
		g.place = l.order.InsertBefore(g, at)
	default:
		l.order.MoveBefore(g.place, at)
	}
}

// drop lets g go.
func (l *latest) drop(g *group) {
	if l != nil && g.place != nil {
		l.order.Remove(g.place)
		g.place = nil
	}
}

// some are at most so many, the newest first. It looks at no others.
func (l *latest) some(limit int) []*group {
	if l == nil {
		return nil
	}
	out := make([]*group, 0, min(l.order.Len(), max(limit, 0)))
	for at := l.order.Front(); len(out) < cap(out); at = at.Next() {
		out = append(out, at.Value.(*group))
	}
	return out
}
