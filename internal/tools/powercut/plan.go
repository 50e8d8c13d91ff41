package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	cutsPerStory    = 200 // at most
	objectsPerStory = 32
	kindsOfStories  = 4
)

// perStory spreads the cuts over every kind of story.
func (o *options) perStory() int {
	kinds := kindsOfStories
	if o.worst {
		kinds = 2
	}
	return min(cutsPerStory, (o.cuts+kinds-1)/kinds)
}

// stories are what the cuts of one file system are made in: one and eight
// associations, with and without a hub that takes everything so that it is
// forgotten, undisturbed and with a kill and a failing write.
func stories(kind fileSystem, o options) (all []story) {
	for n := 0; n*o.perStory() < o.cuts; n++ {
		s := story{kind: kind, associations: 1, objects: objectsPerStory, seed: o.seed + uint64(n)}
		if n%2 == 1 || o.worst {
			s.associations = 8
		}
		s.hub = n%4 == 1 || n%4 == 2
		if n%4 > 1 || o.worst {
			s.kill, s.badWrite = true, true
		}
		all = append(all, s)
	}
	return all
}

// cutAll makes all cuts, the file systems side by side.
func cutAll(ctx context.Context, o options) ([]*tally, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sums := make([]*tally, len(o.fileSystems))
	var all sync.WaitGroup
	for i, name := range o.fileSystems {
		sums[i] = &tally{}
		all.Go(func() {
			if err := cutOn(ctx, fileSystems[name], o, sums[i]); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return sums, nil
}

func cutOn(ctx context.Context, kind fileSystem, o options, sum *tally) error {
	dir, err := os.MkdirTemp("", "powercut-after-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	began := time.Now()
	for i, s := range stories(kind, o) {
		r, err := s.record(ctx, o.bin)
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		if err := r.replay(ctx, min(o.perStory(), o.cuts-i*o.perStory()), dir, sum); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s, after %s: %s\n", s, time.Since(began).Round(time.Second), sum)
		if o.worst && sum.bad() {
			return nil
		}
	}
	return ctx.Err()
}
