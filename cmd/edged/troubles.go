package main

import (
	"sync"

	"edged/spool"
	"edged/uplink"
)

// troubles remembers what archives said of objects that they refused, for people. It
// is told anew by the hub after a start only if it happens again; that an object is
// held the spool knows.
type troubles struct {
	mu   sync.Mutex // guards said
	said map[spool.ID]trouble
}

type trouble struct{ where, words string }

// maxTroubles bounds how many are remembered: any one falls out.
const maxTroubles = 4096

func (t *troubles) add(x uplink.Trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said == nil {
		t.said = map[spool.ID]trouble{}
	}
	for id := range t.said {
		if len(t.said) < maxTroubles {
			break
		}
		delete(t.said, id)
	}
	t.said[spool.ID(x.ID)] = trouble{clip(x.Destination, 64), clip(x.Words, 256)}
}

func (t *troubles) of(id spool.ID) (trouble, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.said[id]
	return x, ok
}
