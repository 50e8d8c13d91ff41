package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// P2, P4, SPOOL-17: duplicates delete nothing. Every object comes many times, from many
// senders at once, before, while and after the hub has it and the archive confirms it,
// over starts and one kill. Of every file that was unlinked a durable row says why, and
// no row is about anything that the archive did not confirm first.
func TestDisaster02DuplicatesDeleteNothing(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	const objects, senders = 12, 4
	confirmed := map[ID]bool{}
	for round := range 4 {
		cfg := memConfig(fs)
		s := open(t, cfg)
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for n := range objects {
					if _, _, err := tryPut(s, called(n, fmt.Sprint("1.2.", n)), sample(n, 500)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for n := range round * objects / 4 { // more are at the hub, and archived, each time
				r := []Receipt{{ID: idOf(testSeed, sample(n, 500)), Length: 500}}
				var unfit *UnfitError // not here yet, or forgotten already
				if err := s.AtHub(ctx, r); err != nil && !errors.As(err, &unfit) {
					t.Error(err)
				}
				if n%2 > 0 {
					continue
				}
				if err := s.archivedOutright(ctx, r); err != nil && !errors.As(err, &unfit) {
					t.Error(err)
				}
				if err := s.Sweep(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		for _, f := range s.Forgotten(1000) {
			if f.Discarded || f.ArchivedAt.IsZero() {
				t.Errorf("object %d went, and nobody confirmed it: %+v", f.Seq, f)
			}
			confirmed[f.ID] = true
		}
		mustHaveRows(t, s, fs)
		for n := range objects {
			id := idOf(testSeed, sample(n, 500))
			if _, err := s.Object(id); err != nil && !confirmed[id] {
				t.Errorf("round %d: object %d: %v", round, n, err)
			} else if err == nil {
				wantContent(t, s, id, sample(n, 500))
			}
		}
		if s.Stats().Conflicts != 0 {
			t.Errorf("%d conflicts among duplicates", s.Stats().Conflicts)
		}
		if round == 1 {
			abandon(s)
			fs = fs.kill()
			continue
		}
		s.Close()
	}
	if len(confirmed) == 0 || len(confirmed) == objects {
		t.Fatalf("%d of %d were forgotten: this proves nothing", len(confirmed), objects)
	}
}

// mustHaveRows wants a row for every object's file that was ever unlinked.
func mustHaveRows(t *testing.T, s *Spool, fs *memFS) {
	t.Helper()
	rows := map[string]bool{}
	for _, f := range s.Forgotten(1000) {
		rows[objectName(f.Seq)] = true
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, line := range fs.log {
		if name, removed := strings.CutPrefix(line, "remove "); removed && strings.HasSuffix(name, ".obj") && !rows[name] {
			t.Errorf("%s was unlinked without a row", name)
		}
	}
}
