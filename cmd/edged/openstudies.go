package main

import (
	"sync"
)

// groups is what a spool is told about associations.
type groups interface {
	OpenGroup(name string)
	CloseGroup(name string)
}

// openStudies remembers which studies each association has sent to, so that none
// of them is called complete while its modality is still connected. It is not
// durable and need not be: an association does not survive the process either.
type openStudies struct {
	mu sync.Mutex // guards by
	by map[uint64]map[openStudy]struct{}
}

// openStudy is a study in the spool that was open then: one that fails is opened
// again as another, which knows of no association before the next instance.
type openStudy struct {
	spool groups
	group string
}

// maxOpenStudies bounds what one association can make this remember (P9). What
// comes beyond is complete by quiet time alone.
const maxOpenStudies = 1024

// begin notes that an association sends to a group. An unreadable header names
// none.
func (o *openStudies) begin(s groups, association uint64, group string) {
	if group == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = make(map[uint64]map[openStudy]struct{})
	}
	mine := o.by[association]
	if mine == nil {
		mine = make(map[openStudy]struct{})
		o.by[association] = mine
	}
	g := openStudy{s, group}
	if _, known := mine[g]; !known && len(mine) < maxOpenStudies {
		mine[g] = struct{}{}
		s.OpenGroup(group)
	}
}

// end closes all groups of an association.
func (o *openStudies) end(association uint64) {
	o.mu.Lock()
	mine := o.by[association]
	delete(o.by, association)
	o.mu.Unlock()
	for g := range mine {
		g.spool.CloseGroup(g.group)
	}
}
