package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
)

// sender is a modality that stores objects on several associations and marks
// each Success it has read. What was refused or cut off is sent again.
type sender struct {
	address      string
	associations int
	objects      []object
	mark         func(object int)
	marked       func(n int) // after the n-th Success, on the association's goroutine; may be nil

	next    atomic.Int64
	done    atomic.Int64
	refused atomic.Int64 // answers that were no Success, and associations that were rejected
	last    atomic.Value // a string: the last refusal
}

// sendWithin bounds the sending of all objects.
const sendWithin = 30 * time.Second

func (s *sender) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	var all sync.WaitGroup
	for range s.associations {
		all.Go(func() { s.associate(ctx) })
	}
	all.Wait()
	if n := s.done.Load(); n != int64(len(s.objects)) {
		return fmt.Errorf("%d of %d objects were answered with success: %w; last: %v", n, len(s.objects), ctx.Err(), s.last.Load())
	}
	return nil
}

// associate sends until nothing is left.
func (s *sender) associate(ctx context.Context) {
	var c *dimse.Client
	defer func() {
		if c != nil {
			c.Release(ctx)
		}
	}()
	for i := s.next.Add(1) - 1; i < int64(len(s.objects)) && ctx.Err() == nil; i = s.next.Add(1) - 1 {
		c = s.insist(ctx, c, int(i))
	}
}

// insist sends one object until it is stored, and returns the association to go on with.
func (s *sender) insist(ctx context.Context, c *dimse.Client, i int) *dimse.Client {
	for ; ctx.Err() == nil; pause(20) {
		var err error
		if c == nil {
			if c, err = s.dial(ctx); err != nil {
				s.refuse("association: %v", err)
				c = nil
				continue
			}
		}
		status, err := s.objects[i].store(ctx, c)
		if err == nil && status == dimse.StatusSuccess {
			s.mark(i)
			if n := s.done.Add(1); s.marked != nil {
				s.marked(int(n))
			}
			return c
		}
		s.refuse("store: %v %v", status, err)
		if err != nil {
			c.Abort()
			c = nil
		}
	}
	return c
}

func (s *sender) refuse(format string, args ...any) {
	s.refused.Add(1)
	s.last.Store(fmt.Sprintf(format, args...))
}

func (s *sender) dial(ctx context.Context) (*dimse.Client, error) {
	var needs []dimse.Need
	for _, o := range s.objects {
		needs = append(needs, dimse.Need{SOPClassUID: o.SOPClass, TransferSyntaxUID: o.TransferSyntax})
	}
	contexts, _ := dimse.Propose(needs...)
	return dimse.Dial(ctx, dimse.ClientConfig{Address: s.address, Called: "EDGED", Calling: "POWERCUT", Contexts: contexts,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
}
