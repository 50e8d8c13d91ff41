package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/spool"
)

// entities gives visit every entity of the level that could match, newest study
// first, until visit returns an error or ctx ends.
func (q *queries) entities(ctx context.Context, s *spool.Spool, f query.Find, visit func(dataset.Set) error) error {
	var within []string // nil: all studies
	if f.Level > query.Study {
		within = []string{f.Above(query.Study)}
	}
	studies := q.catalogue.list(within, f.Level == query.Image)
	if f.Level == query.Patient {
		return patients(ctx, studies, visit)
	}
	for _, st := range studies {
		var err error
		switch f.Level {
		case query.Study:
			err = visited(ctx, visit)(st.entity())
		case query.Series:
			err = q.eachSeries(ctx, st, visit)
		default:
			err = q.eachImage(ctx, s, st, f.Above(query.Series), visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// visited passes an entity on, unless the peer has cancelled.
func visited(ctx context.Context, visit func(dataset.Set) error) func(dataset.Set, error) error {
	return func(e dataset.Set, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		return visit(e)
	}
}

func (q *queries) eachSeries(ctx context.Context, st study, visit func(dataset.Set) error) error {
	for _, se := range st.series {
		if err := visited(ctx, visit)(se.entity(st)); err != nil {
			return err
		}
	}
	return nil
}

// eachImage reads the header of every object of a series. One that has gone is
// passed over. Of one that cannot be given nothing is read: what is told of it is
// how it is called, so that nobody takes the others for the whole.
func (q *queries) eachImage(ctx context.Context, s *spool.Spool, st study, seriesUID string, visit func(dataset.Set) error) error {
	for _, se := range st.series {
		if se.uid != seriesUID {
			continue
		}
		whole, err := se.entity(st)
		if err != nil {
			return err
		}
		for _, o := range se.held {
			head, ok := imageHead(s, o.id)
			if !ok {
				continue
			}
			if err := visited(ctx, visit)(image(head, whole), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// imageHead is what is told of one object.
func imageHead(s *spool.Spool, id spool.ID) (dataset.Set, bool) {
	o, err := s.Object(id)
	if err != nil || !listed(s, o) {
		return nil, false
	}
	if givable(o) {
		if head, err := headerOf(s, id); err == nil {
			head.Remove(query.Availability) // what it was elsewhere
			return head, true
		}
	}
	m, err := decodeMeta(o.Meta)
	var head dataset.Set
	m.identify(&head)
	head.Set(query.Availability, "CS", "UNAVAILABLE")
	return head, err == nil
}

// identify sets how an object is sent (PS3.7 §9.3.1.1).
func (m Meta) identify(head *dataset.Set) {
	head.Set(query.SOPClassUID, "UI", m.SOPClass)
	head.Set(query.SOPInstanceUID, "UI", m.SOPInstance)
	head.Set(query.AvailableSyntax, "UI", m.TransferSyntax)
}

// image is an object with what is known of its series.
func image(head, series dataset.Set) dataset.Set {
	e := picked(head, query.Image)
	if a, ok := head.Find(query.Availability); ok {
		e.Put(a)
	}
	for _, t := range []dataset.Tag{query.StudyInstanceUID, query.SeriesInstanceUID, query.ModalitiesInStudy, query.SOPClassesInStudy,
		query.SeriesOfStudy, query.InstancesOfStudy, query.InstancesOfSeries} {
		if known, ok := series.Find(t); ok {
			e.Put(known)
		}
	}
	return e
}

// patients are the studies put together by Patient ID. Studies without one belong
// to no patient that could be named (PS3.4 Table C.6-1).
func patients(ctx context.Context, studies []study, visit func(dataset.Set) error) error {
	type sums struct{ studies, series, objects int }
	var order []string
	entities, counts := make(map[string]dataset.Set), make(map[string]sums)
	for _, st := range studies {
		e, err := st.entity()
		if err != nil {
			return err
		}
		id := query.Text(e, query.PatientID)
		if id == "" {
			continue
		}
		if entities[id] == nil {
			order, entities[id] = append(order, id), e
		}
		n := counts[id]
		n.studies, n.series = n.studies+1, n.series+len(st.series)
		for _, se := range st.series {
			n.objects += se.objects
		}
		counts[id] = n
	}
	for _, id := range order {
		e, n := entities[id], counts[id]
		e.Set(query.StudiesOfPatient, "IS", fmt.Sprint(n.studies))
		e.Set(query.SeriesOfPatient, "IS", fmt.Sprint(n.series))
		e.Set(query.InstancesOfPatient, "IS", fmt.Sprint(n.objects))
		if err := visited(ctx, visit)(e, nil); err != nil {
			return err
		}
	}
	return nil
}

// instances are those that a retrieve names.
func (q *queries) instances(ctx context.Context, s *spool.Spool, r query.Retrieve) (all []dimse.Instance, err error) {
	within := r.Studies
	if r.Level == query.Patient {
		within = nil
	}
	var mine []string // studies; what they hold is copied for these only
	for _, st := range q.catalogue.list(within, false) {
		if ok, err := ofPatient(st, r.PatientID); err != nil {
			return nil, err
		} else if ok {
			mine = append(mine, st.uid)
		}
	}
	if mine == nil {
		return nil, nil
	}
	for _, st := range q.catalogue.list(mine, true) {
		if st.leavesOut(r) {
			return nil, errBeyond
		}
		for _, se := range st.series {
			if r.Level >= query.Series && !slices.Contains(r.Series, se.uid) {
				continue
			}
			if all, err = q.ofSeries(ctx, s, se, r, all); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// ofPatient: in a Patient Root the study has to be the patient's (PS3.4 §C.4.2.2.1).
func ofPatient(st study, id string) (bool, error) {
	if id == "" {
		return true, nil
	}
	e, err := st.entity()
	return err == nil && query.Text(e, query.PatientID) == id, err
}

// ofSeries adds those of a series, in the order in which they came. What has been
// forgotten meanwhile is no longer here. What cannot be given is among them and
// fails, so that the answer is no success and names it (PS3.4 §C.4.2.1.4.2).
func (q *queries) ofSeries(ctx context.Context, s *spool.Spool, se series, r query.Retrieve, all []dimse.Instance) ([]dimse.Instance, error) {
	for _, h := range se.held {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		o, err := s.Object(h.id)
		if errors.Is(err, spool.ErrUnknown) || err == nil && !listed(s, o) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := decodeMeta(o.Meta)
		if err != nil && r.Level == query.Image {
			return nil, errNameless // is it one of those that are asked for? nobody can say
		}
		if err != nil {
			all = append(all, nameless())
			continue
		}
		if r.Level == query.Image && !slices.Contains(r.Instances, m.SOPInstance) {
			continue
		}
		if len(all) == maxSelected {
			return nil, errTooMany
		}
		all = append(all, dimse.Instance{SOPClassUID: m.SOPClass, SOPInstanceUID: m.SOPInstance, TransferSyntaxUID: m.TransferSyntax, Open: q.opener(h.id)})
	}
	return all, nil
}

// nameless is an object whose file is so damaged that even its name is gone. It counts
// as failed, under no name, and the others go out: all is never a part.
func nameless() dimse.Instance {
	const class = "1.2.840.10008.5.1.4.1.1.7" // Secondary Capture; no byte is ever sent under it
	return dimse.Instance{SOPClassUID: class, TransferSyntaxUID: dimse.ExplicitVRLE, Open: func(context.Context) (io.ReadCloser, error) {
		return nil, errWithheld
	}}
}

var errNameless = errors.New("an object of it can no longer be read, not even its name")

// errBeyond is told where less would be given than is here.
var errBeyond = fmt.Errorf("not all of it is offered: the study has more than %d series, or too many instances", maxStudySeries)

// leavesOut says whether what a retrieve names of the study, or some of it, may be
// among what the catalogue does not hold.
func (st study) leavesOut(r query.Retrieve) bool {
	if !st.beyond || r.Level < query.Series {
		return st.beyond
	}
	return slices.ContainsFunc(r.Series, func(uid string) bool {
		i := slices.IndexFunc(st.series, func(s series) bool { return s.uid == uid })
		return i < 0 || st.series[i].beyond
	})
}
