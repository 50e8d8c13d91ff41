package objects

import (
	"container/list"
	"sync"
	"syscall"
)

// OpenFiles is how many partial objects have their file open at the same time, in a
// process that may have limit of them: a peer begins as many objects as it is granted
// offers, and each would hold a descriptor (P9). More are written to all the same; the file that was
// written to longest ago is closed for it, and opened again with its next bytes.
func OpenFiles(limit uint64) int { return int(min(4096, max(16, limit/16))) }

func allowedFiles() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return OpenFiles(1024)
	}
	return OpenFiles(r.Cur)
}

// openFiles are the partial objects with an open file, the one used last in front.
type openFiles struct {
	mu   sync.Mutex // guards what follows; whoever holds a partial's mu may take it, never the other way
	most int
	list list.List // of *partial
}

// used notes that p has its file open and works with it, and closes others that are
// too many. p.mu is held.
func (o *openFiles) used(p *partial) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.place != nil {
		o.list.MoveToFront(p.place)
		return
	}
	p.place = o.list.PushFront(p)
	for e := o.list.Back(); e != p.place && o.list.Len() > o.most; {
		other := e.Value.(*partial)
		e = e.Prev()
		if other.mu.TryLock() { // else somebody works with it at this moment
			other.closeFile()
			o.remove(other)
			other.mu.Unlock()
		}
	}
}

// closed notes that p has its file open no more. p.mu is held.
func (o *openFiles) closed(p *partial) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remove(p)
}

func (o *openFiles) remove(p *partial) {
	if p.place != nil {
		o.list.Remove(p.place)
		p.place = nil
	}
}
