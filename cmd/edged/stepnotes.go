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
// study is how many instances, of which series, the spool may expect of it. While
// another step of the study is in progress nothing is expected of it, and the quiet
// time alone says when it is complete.
type stepNotes struct {
	keeper *keeper
	log    *slog.Logger
	notes  *notebook
	engine *steps.Engine
	told   func(study string) // is called when the spool was told of a study, and must not wait; nil: nobody

	mu      sync.Mutex // guards what follows
	loaded  bool       // before, other steps of a study may not be known yet
	studies map[string]*studySteps
	studyOf map[string]string // by step
	series  int               // of all steps
}

// studySteps are the steps of a study that are known.
type studySteps struct {
	steps   map[string]steps.Summary
	unknown bool // some are not: they were too many, or were forgotten
}

const stepPrefix = "step/"

// What is counted (P9). Of a study of which there is more, the quiet time alone says
// when it is complete.
const (
	maxStudySteps    = 64
	maxCounted       = 4096
	maxCountedSeries = 100_000
)

func newStepNotes(k *keeper, log *slog.Logger) (*stepNotes, error) {
	n := &stepNotes{keeper: k, log: log, notes: newNotebook(k, stepPrefix, log), studies: make(map[string]*studySteps), studyOf: make(map[string]string)}
	var err error
	n.engine, err = steps.New(steps.Config{Store: n, Changed: n.changed, Log: log})
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
	if err := n.notes.drop(ctx, noteName(uid)); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if study := n.forget(uid); n.studies[study] != nil {
		n.studies[study].unknown = true
		n.expect(study)
	}
	return nil
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
		n.expectAll()
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
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loaded = n.loaded || err == nil
	return err == nil
}

// changed hears of a step, also of one that was discontinued: what it has made was
// made. It may hear the same more than once.
func (n *stepNotes) changed(s steps.Summary) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Study = clip(s.Study, spool.MaxGroup)
	st := n.studies[s.Study]
	if before := n.forget(s.Step); before != s.Study {
		n.expect(before)
	}
	if s.Study == "" {
		return
	}
	if st != nil {
		n.studies[s.Study] = st // it may have been its only step
	}
	n.count(s)
	n.expect(s.Study)
}

// count remembers what a step says, if it is not too much. mu is held.
func (n *stepNotes) count(s steps.Summary) {
	st := n.studies[s.Study]
	if !s.Ended() {
		s.Instances, s.Series = 0, nil // that is not the last word
	}
	switch {
	case st != nil && (len(st.steps) >= maxStudySteps || len(n.studyOf) >= maxCounted):
		st.unknown = true
		return
	case len(n.studyOf) >= maxCounted:
		return
	case st == nil:
		st = &studySteps{steps: make(map[string]steps.Summary)}
		n.studies[s.Study] = st
	}
	if n.series+len(s.Series) > maxCountedSeries {
		st.unknown, s.Series = true, nil
	}
	st.steps[s.Step] = s
	n.studyOf[s.Step] = s.Study
	n.series += len(s.Series)
}

// forget a step, and say of which study it was. mu is held.
func (n *stepNotes) forget(step string) (study string) {
	study, known := n.studyOf[step]
	if !known {
		return ""
	}
	st := n.studies[study]
	n.series -= len(st.steps[step].Series)
	delete(n.studyOf, step)
	if delete(st.steps, step); len(st.steps) == 0 {
		delete(n.studies, study)
	}
	return study
}

// expect tells the spool that is open now, if any. mu is held.
func (n *stepNotes) expect(study string) {
	if s, err := n.keeper.get(); err == nil && n.loaded && study != "" {
		objects, parts := n.studies[study].expected()
		if s.ExpectGroup(study, objects, parts...); n.told != nil {
			n.told(study)
		}
	}
}

// expected is what all steps together have made: nobody knows that while one is in
// progress. A series is part of one step (PS3.3 Table C.4-15), so that images of
// others, which no step names, do not stand in for it.
func (st *studySteps) expected() (objects int64, parts []spool.GroupPart) {
	if st == nil || st.unknown {
		return 0, nil
	}
	bySeries := make(map[string]int64)
	for _, s := range st.steps {
		if !s.Ended() {
			return 0, nil
		}
		objects += int64(s.Instances)
		for _, made := range s.Series {
			bySeries[clip(made.Series, spool.MaxGroup)] += int64(made.Instances)
		}
	}
	for series, n := range bySeries {
		parts = append(parts, spool.GroupPart{Name: series, Objects: n})
	}
	return objects, parts
}

// expectAll tells a spool that was just opened: it does not remember.
func (n *stepNotes) expectAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for study := range n.studies {
		n.expect(study)
	}
}
