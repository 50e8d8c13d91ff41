package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"edged/agent/auditmsg"
	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/syslog5424"
	"edged/uplink"
)

// A study that comes by an association, or leaves to the hub, is told twice: when its
// first instance begins (PS3.15 §A.5.3.3), and how many came when it has ended
// (§A.5.3.7). It has ended with the association; on one that stays open, and towards the
// hub, when nothing more came for a while.
const (
	quietIn   = 5 * time.Minute
	quietOut  = 10 * time.Second // nothing of the study is under way
	neverOut  = time.Hour        // the line went, and nothing has arrived since
	maxOpen   = 1024             // transfers remembered at once (P9)
	maxFlying = 1 << 16          // instances under way to the hub
)

// way is one transfer. The association is zero on the way to the hub.
type way struct {
	out         bool
	association uint64
	study       string
}

// tally is what is known of one.
type tally struct {
	from, to   auditmsg.Party
	fresh, had map[string]int64 // instances by SOP class: new to the receiver, or there before
	failed     map[string]int64
	outcome    auditmsg.Outcome // the worst of failed
	reason     string           // of that
	flying     int              // instances under way
	last       time.Time
}

// traffic is what is under way.
type traffic struct {
	mu      sync.Mutex // guards what follows
	open    map[way]*tally
	current map[uint64]string // the study that an association sends now
	flying  map[dicom.ID]flight
}

type flight struct{ study, class string }

func device(c caller) auditmsg.Party {
	return auditmsg.Party{ID: c.calling, AETitles: []string{c.calling}, Host: c.address, Requestor: true}
}

// hub is the one in the configuration: which of its nodes takes an instance is the line's business.
func (h *herald) hub() auditmsg.Party {
	address := h.cfg.Uplink.Hubs[0]
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return auditmsg.Party{ID: address, Name: "hub", Host: host}
}

// incoming: an instance of a study begins to arrive.
func (h *herald) incoming(association uint64, c caller, study string) {
	if h == nil {
		return
	}
	t := &h.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil {
		t.current = make(map[uint64]string)
	}
	t.current[association] = study
	h.begin(way{false, association, study}, device(c), h.me)
}

// took: it is durable; fresh, if it was not here before.
func (h *herald) took(association uint64, class string, fresh bool) {
	if h == nil {
		return
	}
	t := &h.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	if y := t.open[way{false, association, t.current[association]}]; y != nil {
		y.count(class, fresh, h.now())
	}
}

// refused: it was answered with a failure, perhaps before anybody knew its study.
func (h *herald) refused(association uint64, c caller, class string, st dimse.Status) {
	if h == nil {
		return
	}
	outcome := auditmsg.Minor // it may be sent again
	if st == dimse.StatusNotAuthorized || st == dimse.StatusInvalidInstance {
		outcome = auditmsg.Serious
	}
	t := &h.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	y := h.begin(way{false, association, t.current[association]}, device(c), h.me)
	y.fail(class, outcome, st.String(), h.now())
}

// closed: the association is over, and with it what it had open.
func (h *herald) closed(association uint64) {
	if h == nil {
		return
	}
	t := &h.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.current, association)
	for w := range t.open {
		if !w.out && w.association == association {
			h.settle(w)
		}
	}
}

// leaving: an instance was lent to the uplink.
func (h *herald) leaving(o uplink.Object) {
	t := &h.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flying == nil {
		t.flying = make(map[dicom.ID]flight)
	}
	if _, known := t.flying[o.ID]; known || len(t.flying) >= maxFlying {
		return
	}
	t.flying[o.ID] = flight{o.Study, o.Names.SOPClass}
	h.begin(way{out: true, study: o.Study}, h.asRequestor(), h.hub()).flying++
}

func (h *herald) asRequestor() auditmsg.Party {
	me := h.me
	me.Requestor = true
	return me
}

// landed: it is at the hub, or it came back, because of why.
func (h *herald) landed(id dicom.ID, arrived bool, why error) {
	t := &h.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	f, known := t.flying[id]
	y := t.open[way{out: true, study: f.study}]
	if !known || y == nil {
		return
	}
	delete(t.flying, id)
	y.flying--
	switch outcome, told := failedBecause(why); {
	case arrived:
		y.count(f.class, false, h.now()) // what the hub had before only the hub knows
	case told:
		y.fail(f.class, outcome, why.Error(), h.now())
	}
}

// failedBecause: a line that broke and a hub that is busy are no failure, it goes on by itself.
func failedBecause(why error) (o auditmsg.Outcome, told bool) {
	var rest *uplink.RestError
	switch {
	case errors.As(why, &rest):
		return auditmsg.Minor, true
	case errors.Is(why, uplink.ErrCorrupt):
		return auditmsg.Serious, true
	}
	return auditmsg.Success, false
}

// begin notes a transfer and says that it begins. mu is held.
func (h *herald) begin(w way, from, to auditmsg.Party) *tally {
	t := &h.traffic
	if y := t.open[w]; y != nil {
		y.last = h.now()
		return y
	}
	if t.open == nil {
		t.open = make(map[way]*tally)
	}
	if len(t.open) >= maxOpen {
		h.settle(t.oldest())
	}
	y := &tally{from: from, to: to, fresh: map[string]int64{}, had: map[string]int64{}, failed: map[string]int64{}, last: h.now()}
	t.open[w] = y
	h.say(syslog5424.Notice, func(at time.Time) []byte {
		return h.author.Beginning(h.transfer(at, w, y, auditmsg.Success, "", nil))
	})
	return y
}

func (t *traffic) oldest() (w way) {
	var found *tally
	for k, y := range t.open {
		if found == nil || y.last.Before(found.last) {
			w, found = k, y
		}
	}
	return w
}

// settle says how a transfer ended: what went well in one message, what did not in
// another (PS3.15 §A.5.2). mu is held.
func (h *herald) settle(w way) {
	y := h.traffic.open[w]
	delete(h.traffic.open, w)
	tell := func(held auditmsg.Held, o auditmsg.Outcome, reason string, classes map[string]int64) {
		severity := syslog5424.Notice
		if o != auditmsg.Success {
			severity = syslog5424.Warning
		}
		h.say(severity, func(at time.Time) []byte {
			return h.author.Transferred(h.transfer(at, w, y, o, reason, classes), held)
		})
	}
	if len(y.fresh) > 0 {
		tell(auditmsg.New, auditmsg.Success, "", y.fresh)
	}
	if len(y.had) > 0 {
		tell(auditmsg.Unknown, auditmsg.Success, "", y.had)
	}
	if len(y.failed) > 0 {
		tell(auditmsg.Unknown, y.outcome, y.reason, y.failed)
	}
	if len(y.fresh)+len(y.had)+len(y.failed) == 0 {
		tell(auditmsg.Unknown, auditmsg.Minor, "nothing of it has arrived; it is tried again", nil)
	}
}

// settleQuiet ends what has been quiet for long enough, settleAll everything.
func (h *herald) settleQuiet() { h.settleIf((*tally).over) }
func (h *herald) settleAll() {
	h.settleIf(func(y *tally, w way, _ time.Time) bool { return !w.out || y.any() })
}

func (h *herald) settleIf(due func(y *tally, w way, now time.Time) bool) {
	t := &h.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	for w, y := range t.open {
		if due(y, w, h.now()) {
			h.settle(w)
		}
	}
}

func (y *tally) over(w way, now time.Time) bool {
	quiet := now.Sub(y.last)
	switch {
	case !w.out:
		return quiet >= quietIn
	case y.flying > 0:
		return quiet >= neverOut && y.any()
	case y.any():
		return quiet >= quietOut
	}
	return quiet >= neverOut
}

func (y *tally) any() bool { return len(y.fresh)+len(y.had)+len(y.failed) > 0 }

func (y *tally) count(class string, fresh bool, now time.Time) {
	into := y.had
	if fresh {
		into = y.fresh
	}
	bump(into, class)
	y.last = now
}

func (y *tally) fail(class string, o auditmsg.Outcome, reason string, now time.Time) {
	bump(y.failed, class)
	if o >= y.outcome {
		y.outcome, y.reason = o, reason
	}
	y.last = now
}

// bump: what is beyond the classes that a message lists is counted without a name.
func bump(into map[string]int64, class string) {
	if _, known := into[class]; !known && len(into) >= auditmsg.MaxClasses {
		class = ""
	}
	into[class]++
}

// transfer is the message. It is made when it is written, in no path of an image.
func (h *herald) transfer(at time.Time, w way, y *tally, o auditmsg.Outcome, reason string, classes map[string]int64) auditmsg.Transfer {
	m := auditmsg.Transfer{Event: auditmsg.Event{Time: at, Outcome: o, Reason: reason}, From: y.from, To: y.to, Study: auditmsg.Study{UID: w.study}}
	for _, uid := range slices.Sorted(maps.Keys(classes)) {
		m.Study.Classes = append(m.Study.Classes, auditmsg.Class{UID: uid, Instances: classes[uid]})
	}
	if h.persons != nil && w.study != "" && (h.author.PatientIDs || h.author.Accessions) {
		m.PatientID, m.Study.Accessions = h.persons(w.study)
	}
	return m
}

// listenTo is feed, with the herald behind it.
func (h *herald) listenTo(f *feed) (uplink.Source, uplink.Keeper) {
	if h == nil {
		return f, f
	}
	o := overheard{f, h}
	return o, o
}

// overheard passes on what the uplink does, and tells the herald.
type overheard struct {
	*feed
	herald *herald
}

func (f overheard) Lease(ctx context.Context, worst uint8) (uplink.Object, error) {
	o, err := f.feed.Lease(ctx, worst)
	if err == nil {
		f.herald.leaving(o)
	}
	return o, err
}

func (f overheard) Return(o uplink.Object, why error) {
	f.feed.Return(o, why)
	f.herald.landed(o.ID, false, why)
}

func (f overheard) AtHub(ctx context.Context, receipts []uplink.Receipt) error {
	err := f.feed.AtHub(ctx, receipts)
	if err == nil {
		for _, r := range receipts {
			f.herald.landed(r.ID, true, nil)
		}
	}
	return err
}

// Archived ends a lease too, where the receipt was said by another connection.
func (f overheard) Archived(ctx context.Context, confirmations []uplink.Confirmation) error {
	err := f.feed.Archived(ctx, confirmations)
	if err == nil {
		for _, c := range confirmations {
			f.herald.landed(c.ID, true, nil)
		}
	}
	return err
}

// personOf is what the first instance of a study says.
func (a *appliance) personOf(study string) (patient string, accessions []string) {
	s, err := a.keeper.get()
	if err != nil {
		return "", nil
	}
	for _, o := range s.GroupObjects(study, 1) {
		if m, err := decodeMeta(o.Meta); err == nil {
			patient = m.Patient
			if m.Accession != "" {
				accessions = []string{m.Accession}
			}
		}
	}
	return patient, accessions
}

// plural is "1 message", "2 messages".
func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
