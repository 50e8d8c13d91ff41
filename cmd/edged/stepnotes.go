package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"edged/dimse/steps"
	"edged/spool"
)

// stepNotes is Modality Performed Procedure Step as this appliance means it: steps
// live as notes in the spool's journal, and what those that have ended say of a
// study is how many instances the spool may expect of it.
type stepNotes struct {
	keeper *keeper
	log    *slog.Logger
	notes  *notebook
	engine *steps.Engine

	mu      sync.Mutex                // guards studies
	studies map[string]map[string]int // instances, by study, by step
}

const (
	stepPrefix = "step/"
	maxCounted = 4096 // studies; beyond, the quiet time alone says when one is complete
)

func newStepNotes(k *keeper, log *slog.Logger) (*stepNotes, error) {
	n := &stepNotes{keeper: k, log: log, notes: newNotebook(k, stepPrefix, log), studies: make(map[string]map[string]int)}
	var err error
	n.engine, err = steps.New(steps.Config{Store: n, Final: n.final, Log: log})
	return n, err
}

var _ steps.Store = (*stepNotes)(nil)

// Put keeps a step (steps.Store). Its UID is text from a stranger: the note is
// named by a sum of it.
func (n *stepNotes) Put(ctx context.Context, uid string, packed []byte) error {
	err := n.notes.put(ctx, noteName(uid), packed)
	if errors.Is(err, errNoRoom) {
		return errors.Join(steps.ErrFull, err)
	}
	return err
}

// Drop forgets a step (steps.Store).
func (n *stepNotes) Drop(ctx context.Context, uid string) error {
	return n.notes.drop(ctx, noteName(uid))
}

// All gives the steps that are there at a start (steps.Store).
func (n *stepNotes) All(ctx context.Context) (out [][]byte, err error) {
	texts, err := n.notes.all(ctx)
	for name, text := range texts {
		if _, err := steps.Parse(text); err != nil {
			n.log.Error("a procedure step cannot be read", "note", name, "err", err)
			continue
		}
		out = append(out, text)
	}
	return out, err
}

// run reads the steps, and tells each spool that is opened what they said.
func (n *stepNotes) run(ctx context.Context) error {
	for !n.load(ctx) {
		if !pause(ctx, reopenPause) {
			return nil
		}
	}
	for {
		s, err := n.keeper.await(ctx)
		if err != nil {
			return nil
		}
		n.expectAll(s)
		for now := s; now == s; now, _ = n.keeper.get() {
			if !pause(ctx, time.Second) {
				return nil
			}
		}
	}
}

func (n *stepNotes) load(ctx context.Context) bool {
	err := n.engine.Load(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Error("procedure steps cannot be read, trying again", "err", err, "in", reopenPause)
	}
	return err == nil
}

// final hears of a step that has ended, also of one that was discontinued: what it
// has made was made. It may hear of it more than once.
func (n *stepNotes) final(f steps.Final) {
	study := clip(f.Study, spool.MaxGroup)
	n.mu.Lock()
	if n.studies[study] == nil {
		n.makeRoom()
		n.studies[study] = make(map[string]int)
	}
	n.studies[study][f.Step] = f.Instances
	total := n.total(study)
	n.mu.Unlock()
	if s, err := n.keeper.get(); err == nil {
		s.ExpectGroup(study, total)
	}
}

// makeRoom forgets any study when there are too many. mu is held.
func (n *stepNotes) makeRoom() {
	for study := range n.studies {
		if len(n.studies) < maxCounted {
			return
		}
		delete(n.studies, study)
	}
}

// total of all steps of a study. mu is held.
func (n *stepNotes) total(study string) (total int64) {
	for _, made := range n.studies[study] {
		total += int64(made)
	}
	return total
}

// expectAll tells a spool that was just opened: it does not remember.
func (n *stepNotes) expectAll(s *spool.Spool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for study := range n.studies {
		s.ExpectGroup(study, n.total(study))
	}
}
