package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
	"edged/internal/quality"
	"edged/spool"
	"edged/uplink"
)

// studyDesk shows studies to the page and sends them again.
type studyDesk struct {
	cards    *cards
	keeper   *keeper
	view     *view
	resting  *resting
	troubles *troubles
	judge    *assessor
	audited  func(by account.Actor, action, object, reason string, act func() error) error
}

var _ page.StudyDesk = studyDesk{}

func (a *appliance) studyDesk() studyDesk {
	return studyDesk{cards: a.cards, keeper: a.keeper, view: a.view, resting: a.view.resting, troubles: &a.sender.feed.troubles, judge: a.judge, audited: a.audited}
}

// card is a study as the page gets it: all that is known. The page masks.
func (d studyDesk) card(f cardCopy) status.Card {
	s, _ := d.keeper.get()
	return d.cardIn(f, f.inSpool(s))
}

func (d studyDesk) cardIn(f cardCopy, g spool.Group) status.Card {
	facts := studyFacts{modality: f.kind, device: f.device, first: f.first}
	if f.here {
		s, _ := d.keeper.get()
		kept := d.view.reachedIn(s, g, f.seq)
		facts.atHub, facts.archivedAt = kept.atHub, kept.archivedAt
	}
	g.Forgotten = max(f.sums.left()-g.Objects, 0) // also of what the spool has no trace any more
	st := d.view.study(g, facts)
	st.Key, st.Test = keyText(f.key), f.test
	c := status.Card{Study: st, Person: f.person, Accession: f.accession, StudyDate: f.date, StudyTime: f.time, Description: f.description}
	if f.here {
		c.UID = f.group
	} else {
		c.Complete = true
	}
	c.Findings = d.findings(f, st)
	if s, err := d.keeper.get(); err == nil && g.Revision > 1 && g.Objects > 0 && g.LastSeq-f.seq <= maxSpan {
		late := lateCount{gone: st.Hops.Archived - g.ByState[spool.Archived], last: st.FirstReceived}
		eachOf(s, f, late.object)
		c.Late = late.n
	}
	return c
}

// maxSpan bounds what a list walks of the spool for one study, in objects of all that came
// meanwhile: of longer ones their own page tells what came late, and why it stands.
const maxSpan = 32 << 10

// findings are those of the instances, and what these say together.
func (d studyDesk) findings(f cardCopy, st status.Study) []status.Finding {
	if !f.here {
		return nil
	}
	data := studyData{device: f.device, backfill: d.judge.most(f.device) < quality.Hold, first: f.first, usual: f.usual, Study: quality.Study{Patients: f.patients, Instances: st.Instances, Expected: st.Expected, Settled: st.Complete}}
	found, counts := f.findings, f.counts
	for _, x := range d.judge.study(data) {
		if !slices.ContainsFunc(found, func(have metaFinding) bool { return have.Code == x.Code }) {
			found, counts = append(found, x), append(counts, 0) // of the study, of no instance alone
		}
	}
	return d.judge.shown(f.device, found, counts)
}

// Study implements page.StudyDesk.
func (d studyDesk) Study(key string, instances bool) (page.StudyDetail, bool) {
	f, ok := d.cards.byText(key)
	if !ok || f.first.UnixNano() == 0 {
		return page.StudyDetail{}, false
	}
	s, _ := d.keeper.get()
	g := f.inSpool(s)
	out := page.StudyDetail{Card: d.cardIn(f, g), Series: int64(len(g.Parts)), Here: g.Objects, Discarded: f.sums.gone()}
	if s == nil || g.Objects == 0 {
		return out, true
	}
	walk := d.walkOf(out.Card, g)
	walk.keep = instances
	eachOf(s, f, walk.object)
	walk.into(&out, g)
	if sent := d.view.reachedAt(f.group).sent; out.FirstHub.IsZero() || !sent.After(out.FirstHub) {
		out.FirstSent = sent // else what left first did so before the start
	}
	if c := &out.Card; c.ArchivedAt.IsZero() && c.Hops.Archived > 0 && c.Hops.Archived == c.Hops.Total() {
		c.ArchivedAt = out.LastArch // that of before the start is with the objects
	}
	if instances {
		out.Receipt = walk.receipt(s)
	}
	return out, true
}

// eachOf visits the objects of a study that are here, without reading them.
func eachOf(s *spool.Spool, f cardCopy, visit func(spool.Object)) {
	const atOnce = 1024
	for after := max(f.seq, 1) - 1; ; {
		list := s.GroupOutline(f.group, after, atOnce)
		for _, o := range list {
			visit(o)
			after = o.Seq
		}
		if len(list) < atOnce {
			return
		}
	}
}

// studyWalk sums up the objects of a study, and keeps none: anybody may ask for one of
// any size. For a receipt, which not anybody may, it does.
type studyWalk struct {
	desk                        studyDesk
	why                         map[page.StudyWhy]int64
	late                        lateCount
	firstHub, lastHub, lastArch time.Time
	keep                        bool
	objects                     []spool.Object
}

func (d studyDesk) walkOf(c status.Card, g spool.Group) studyWalk {
	return studyWalk{desk: d, why: map[page.StudyWhy]int64{}, late: lateCount{gone: c.Hops.Archived - g.ByState[spool.Archived], last: c.FirstReceived}}
}

// maxWhy bounds the reasons of a study that are told apart: archives have words of their own.
const maxWhy = 256

func (w *studyWalk) object(o spool.Object) {
	if w.keep {
		w.objects = append(w.objects, o)
	}
	if why := w.desk.reason(o); why.Code != "" && (w.why[why] > 0 || len(w.why) < maxWhy) {
		w.why[why]++
	}
	if !o.AtHubAt.IsZero() && (w.firstHub.IsZero() || o.AtHubAt.Before(w.firstHub)) {
		w.firstHub = o.AtHubAt
	}
	w.lastHub, w.lastArch = later(w.lastHub, o.AtHubAt), later(w.lastArch, o.ArchivedAt)
	w.late.object(o)
}

// reason says why an object does not go on; none for one that does.
func (d studyDesk) reason(o spool.Object) (why page.StudyWhy) {
	switch {
	case o.State == spool.Archived:
	case (o.Damaged || o.Lost) && o.HubHasCopy:
		why.Code = page.WhyDamaged
	case o.Unfinished:
	case o.Damaged || o.Lost:
		why.Code = page.WhyLost
	case o.State == spool.Quarantined:
		why.Code = page.WhySetAside
	case o.State == spool.Held:
		if t, ok := d.troubles.of(o.ID); ok && t.where != "" {
			return page.StudyWhy{Code: page.WhyArchiveSays, Words: t.words, Where: t.where}
		}
		if why.Code = page.WhyHeld; o.Conflict {
			why.Code = page.WhyConflict
		}
	case o.State == spool.Received:
		why.Code = restsBecause(d.resting.reason(o.ID))
	}
	return why
}

func restsBecause(err error) page.WhyStopped {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, uplink.ErrRefused):
		return page.WhyRefusedHub
	case errors.Is(err, uplink.ErrMismatch):
		return page.WhyMismatch
	}
	return page.WhyUnread
}

// reason is why an object rests, nil if it does not.
func (r *resting) reason(id spool.ID) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why[id]
}

// into tells the times and the reasons, the worst first.
func (w *studyWalk) into(out *page.StudyDetail, g spool.Group) {
	out.FirstHub, out.LastHub, out.LastArch = w.firstHub, w.lastHub, w.lastArch
	if g.Revision > 1 {
		out.Late = w.late.n
	}
	for why, n := range w.why {
		why.Count = n
		out.Why = append(out.Why, why)
	}
	slices.SortFunc(out.Why, func(a, b page.StudyWhy) int {
		return cmp.Or(cmp.Compare(slices.Index(page.WhyStoppedCodes, a.Code), slices.Index(page.WhyStoppedCodes, b.Code)), cmp.Compare(b.Count, a.Count), strings.Compare(a.Words, b.Words))
	})
	out.Why = out.Why[:min(len(out.Why), 8)]
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lateCount counts what came when all before it had been archived. It is shown the objects
// in the order of arrival.
type lateCount struct {
	gone int64     // how many of the study are not here any more: those were archived
	last time.Time // when the study began; then, when the last of what was before was archived
	n    int64

	seen bool
	none bool // something that came in time is not archived
}

func (l *lateCount) object(o spool.Object) {
	first := !l.seen && l.gone == 0
	if !l.seen {
		l.seen, l.last = true, l.last.Add(time.Hour) // of what is gone nobody knows when it was archived
	}
	switch {
	case l.none:
	case l.n > 0 || !first && o.Received.After(l.last):
		l.n++
	case o.ArchivedAt.IsZero():
		l.none = true
	case first:
		l.last = o.ArchivedAt
	default:
		l.last = later(l.last, o.ArchivedAt)
	}
}

// maxOnPaper is how many instances a receipt lists; all are in its digest.
const maxOnPaper = 2000

func (w *studyWalk) receipt(s *spool.Spool) (out page.StudyReceipt) {
	ids := make([]string, 0, len(w.objects))
	for i, o := range w.objects {
		if o.Lost {
			continue
		}
		ids = append(ids, o.ID.String())
		if i >= maxOnPaper {
			out.More++
			continue
		}
		m, _ := decodeMeta(s.Meta(o.Seq)) // without it, the line has no UID
		out.Instances = append(out.Instances, page.ReceiptInstance{ID: o.ID.String(), UID: m.SOPInstance, Bytes: o.Length, Received: o.Received, AtHub: o.AtHubAt, Archive: o.ArchivedAt})
	}
	out.Digest = digestOf(ids)
	return out
}

// digestOf sums up a study: whoever has the list can do it again with sort and sha256sum.
func digestOf(ids []string) string {
	slices.Sort(ids)
	sum := sha256.New()
	for _, id := range ids {
		sum.Write([]byte(id + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Resend implements page.StudyDesk: what the hub has and the archive has not
// confirmed is offered again, and what was set aside is released, unless its bytes are
// damaged. The hub answers an offer of what it has with a receipt, so nothing is
// doubled. What is archived is never offered again, what waits already waits.
func (d studyDesk) Resend(ctx context.Context, key string, who account.Actor) (n int64, err error) {
	f, ok := d.cards.byText(key)
	s, err := d.keeper.get()
	if err != nil {
		return 0, err
	}
	var again, aside []spool.ID
	if ok && f.here {
		eachOf(s, f, func(o spool.Object) {
			switch {
			case o.State == spool.AtHub || o.State == spool.Held:
				again = append(again, o.ID)
			case o.State == spool.Quarantined && !o.Damaged && !o.Lost:
				aside = append(aside, o.ID)
			}
		})
	}
	if len(again)+len(aside) == 0 {
		return 0, page.ErrNothingToResend
	}
	err = d.audited(who, "study resend", "study:"+key, "", func() error { return offerAgain(ctx, s, again, aside) })
	return int64(len(again) + len(aside)), err
}

func offerAgain(ctx context.Context, s *spool.Spool, again, aside []spool.ID) error {
	for list := range slices.Chunk(again, 1024) {
		if err := s.ReofferObjects(ctx, list); err != nil {
			return err
		}
	}
	for _, id := range aside {
		if err := s.Release(ctx, id); err != nil && !errors.Is(err, spool.ErrUnknown) {
			return err
		}
	}
	return nil
}
