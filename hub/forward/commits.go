package forward

import (
	"fmt"
	"sync"

	"edged/hub/ledger"
)

// commits says whether an archive is believed when it reports that it will not commit
// itself, as trust does for what it refuses: one that commits itself to nothing looks for
// the instances in the wrong place, rather than that it took a whole region's objects and
// lost them. Nothing is given up on its word; it is asked again.
type commits struct {
	mu    sync.Mutex // guards what follows
	takes bool       // it has committed itself to something, and not failed to more than maxRefused times since
	row   int        // reports of one instance that is not committed, since
	why   string     // of the last one; names nobody
}

// giveUp is how many instances may be given up on the word of a report that commits the
// archive to so many others.
func (c *commits) giveUp(committed int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case committed > 0:
		return maxRefused
	case c.takes:
		return max(0, maxRefused-c.row)
	}
	return 0
}

// weigh takes what came of a report.
func (c *commits) weigh(s ledger.Settled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := s.Again + s.Refused + s.Doubted
	if c.row += failed; s.Committed+s.Unconfirmed > 0 {
		c.takes, c.row = true, s.Refused
	}
	if c.takes = c.takes && c.row <= maxRefused; failed > 0 {
		c.why = s.Why
	}
}

// status says what a person must look at, "" if nothing.
func (c *commits) status() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.takes || c.row < maxWorn {
		return ""
	}
	return fmt.Sprintf("the archive answers Success to what it is sent, and commits itself to nothing (its last %d reports of an instance: %s); nothing is given up, all is asked for again: does its storage commitment look where it stores?", c.row, c.why)
}
