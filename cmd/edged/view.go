package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
	"edged/spool"
	"edged/spool/vault"
	"edged/uplink"
)

// view is what the appliance shows of itself: to the page, to the terminal, to
// metrics. It asks the parts and keeps nothing that is not there already, but
// for a short memory that saves looking twice a second through the spool.
type view struct {
	cfg          *Config
	keeper       *keeper
	roster       *roster
	sending      func() uplink.Status
	associations func() int
	enrolled     func() bool
	certificate  func() time.Time // its end; zero: there is none
	commitments  func() status.Commitments
	going        *departures
	resting      *resting
	tested       func() *status.LineTest
	toFix        func() int64                      // studies with data to be corrected; nil: not known
	alarms       func() []status.Alarm             // those that are open; nil: not known
	unread       func() bool                       // not all admitted devices are known; nil: not known
	clock        func() status.Clock               // nil in tests
	people       func() ([]account.Account, error) // of the page; nil: not known
	secret       []byte                            // of study keys
	started      time.Time
	bell         page.Bell

	mu       sync.Mutex // guards what follows
	ages     spool.Ages
	agesAt   time.Time
	sent     int64     // bytes, at the last look
	progress time.Time // when sent last grew
	studies  map[string]studyFacts
	paused   time.Time // until when sending was paused last

	keysWrapped bool
	keysAt      time.Time
}

var _ page.Source = (*view)(nil)

// studyFacts is what a group of the spool does not say about its study.
type studyFacts struct {
	modality, device  string
	first             time.Time
	sent              time.Time // when the first of it began to leave
	atHub, archivedAt time.Time
	test              bool // its first object is one
	recalled          bool // what its objects say of before the start is in atHub and archivedAt
}

// maxStudyFacts bounds the memory of studies; it is built anew when it is full.
const maxStudyFacts = 4096

// Subscribe passes on what rings.
func (v *view) Subscribe(ctx context.Context) <-chan status.Event { return v.bell.Subscribe(ctx) }

// Devices are those of the roster, without strangers that somebody wants to hear no more of.
func (v *view) Devices() []status.Device { return v.roster.shown() }

// Status gathers everything now.
func (v *view) Status() status.Status {
	now := time.Now()
	up := v.sending()
	st := status.Status{
		Facility: status.Facility{Code: v.cfg.Facility.Code, Name: v.cfg.Facility.Name},
		AETitle:  v.cfg.Dicom.AETitle, Version: version, StartedAt: v.started, At: now,
		CertificateUntil: v.certificate(), Warnings: v.warnings(), DICOM: status.DICOM{Associations: int64(v.associations()), Commitments: v.commitments()},
		Uplink: v.uplinkStatus(up),
	}
	facts := status.Facts{Now: now, Shadow: len(v.cfg.Uplink.Hubs) == 0, Enrolled: v.enrolled(), Connected: up.Connected, LinkSince: up.Since, PausedUntil: v.pause(up.PausedUntil, now),
		UnknownCallers: v.roster.strangersSince(now.Add(-time.Hour)), HubDoubted: up.DoubtedAt, HubsAside: int64(len(up.SetAside))}
	if facts.CertificateUntil = st.CertificateUntil; v.clock != nil {
		st.Clock = v.clock()
	}
	if facts.LinkSince.IsZero() {
		facts.LinkSince = v.started
	}
	s, err := v.keeper.get()
	if err != nil {
		st.DICOM.NotReady, facts.Starting, facts.KeyMissing = err.Error(), err == errOpening, isOfKey(err)
		facts.SpoolFailed = !facts.Starting && !facts.KeyMissing
		st.SpoolUnknown, st.Recovering = true, v.keeper.recovering()
		facts.FreeBytes = 1 << 62 // not known, and not what matters now
	} else {
		v.look(s, now, up.BytesSent)
		v.spoolStatus(s, &st, &facts)
	}
	if v.toFix != nil {
		facts.ToFix = v.toFix()
	}
	facts.DevicesUnread = v.unread != nil && v.unread()
	if facts.NoRoom = v.roster.noRoomSince(now.Add(-time.Hour)); v.alarms != nil {
		facts.Alarms = v.alarms()
	}
	st.DICOM.Ready = st.DICOM.NotReady == ""
	st.State, st.Reasons = status.Derive(facts, status.Limits{})
	return st
}

// isOfKey tells a key that is not there, or not that of this disk, from a disk that
// fails: the one is put back, the other is replaced.
func isOfKey(err error) bool {
	return slices.ContainsFunc([]error{vault.ErrNoKey, vault.ErrTPM, vault.ErrNoTPM, vault.ErrDisagree, spool.ErrKey},
		func(of error) bool { return errors.Is(err, of) })
}

func (v *view) spoolStatus(s *spool.Spool, st *status.Status, facts *status.Facts) {
	stats, counters := s.Stats(), s.Counters()
	st.Counters = status.Counters{Received: int64(counters[spool.CountReceived]), AtHub: int64(counters[spool.CountAtHub]),
		Archived: int64(counters[spool.CountArchived]), Refused: int64(counters[spool.CountRefused]), Quarantined: int64(counters[spool.CountQuarantined]),
		Discarded: int64(counters[spool.CountDiscarded])}
	st.Findings = status.Findings{Unreadable: int64(counters[countUnreadable]), Conflicts: stats.Conflicts}
	st.Spool = status.Spool{Objects: stats.Objects, Bytes: stats.Bytes, FreeBytes: v.free(stats), DaysLeft: daysLeft(stats), Quarantined: stats.ByState[spool.Quarantined], Unfinished: stats.Unfinished,
		Scrub: scrubOf(stats.Scrub)}
	st.Uplink.BacklogObjects, st.Uplink.BacklogBytes, st.Uplink.BacklogStudies = stats.BacklogObjects, stats.BacklogBytes, stats.BacklogGroups
	v.mu.Lock()
	ages, progress := v.ages, v.progress
	v.mu.Unlock()
	damage := damageOf(s, stats)
	st.Spool.Damage = status.Damage{HubHasCopy: damage.HubHasCopy, NoOtherCopy: damage.NoOtherCopy}
	st.LastReceivedAt, st.LastArchivedAt = ages.LastReceived, ages.LastArchived
	facts.FreeBytes, facts.BacklogObjects = st.Spool.FreeBytes, stats.BacklogObjects
	facts.OldestBacklog, facts.OldestUnarchived, facts.LastProgress = ages.OldestBacklog, ages.OldestAtHub, progress
	facts.Held, facts.Damaged, facts.Lost = stats.ByState[spool.Held], damage.HubHasCopy, damage.NoOtherCopy
	facts.Quarantined = stats.ByState[spool.Quarantined] - damage.Quarantined // one cause is told once
	facts.Refused, facts.Mismatched, facts.Unread = v.resting.count(s)
	facts.SpoolFailed = stats.Err != nil
	switch {
	case stats.Err != nil:
		st.DICOM.NotReady = stats.Err.Error()
	case stats.Admission == spool.Refuse:
		facts.SpoolFull = true
		st.DICOM.NotReady = "the spool is full"
	}
}

// daysLeft is nil where nobody knows: nothing came for a day.
func daysLeft(st spool.Stats) *float64 {
	if st.FillsIn <= 0 {
		return nil
	}
	days := math.Round(st.FillsIn.Hours()/24*100) / 100
	return &days
}

func scrubOf(s spool.ScrubStats) status.Scrub {
	return status.Scrub{Position: s.Position, Objects: s.Objects, Bytes: s.Bytes, Damaged: s.Damaged, PassedAt: s.PassEnded}
}

// damageOf looks closer only where there is something to see.
func damageOf(s *spool.Spool, st spool.Stats) spool.Damage {
	if st.Damaged+st.SetAside+st.Missing+st.Unfinished == 0 {
		return spool.Damage{}
	}
	return s.Damage()
}

// free is what the spool may still take: disk less reserve, or what is left of
// max_bytes.
func (v *view) free(st spool.Stats) int64 {
	free := st.FreeBytes - int64(v.cfg.Spool.ReserveBytes)
	if limit := int64(v.cfg.Spool.MaxBytes); limit > 0 {
		free = min(free, limit-st.Bytes)
	}
	return max(free, 0)
}

func (v *view) warnings() (out []status.Warning) {
	add := func(on bool, w status.Warning) {
		if on {
			out = append(out, w)
		}
	}
	shadow := len(v.cfg.Uplink.Hubs) == 0
	add(v.cfg.Spool.Keep == "hub", status.KeepHub)
	add(v.cfg.Spool.AllowUnsafeFilesystem, status.UnsafeFilesystem)
	add(v.cfg.Dicom.AcceptUnknown, status.AcceptUnknown)
	add(!v.cfg.Spool.Encryption, status.Unencrypted)
	add(v.cfg.Spool.Encryption && !v.wrapped(), status.NotRecoverable)
	add(shadow, status.ShadowMode)
	add(!shadow && !v.enrolled(), status.NotEnrolled)
	return out
}

// wrapped says whether the spool's key is wrapped to a recovery key; it reads the
// files at most every ten seconds.
func (v *view) wrapped() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := time.Now(); now.Sub(v.keysAt) >= 10*time.Second {
		v.keysWrapped, v.keysAt = v.cfg.recoverable(), now
	}
	return v.keysWrapped
}

// look refreshes the memory, at most twice a second.
func (v *view) look(s *spool.Spool, now time.Time, sent int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if sent != v.sent {
		v.sent, v.progress = sent, now
	}
	if now.Sub(v.agesAt) < 500*time.Millisecond {
		return
	}
	v.ages, v.agesAt = s.Ages(), now
}

// Studies are the spool's groups, the latest first.
func (v *view) Studies(limit int) (out []status.Study) {
	s, err := v.keeper.get()
	if err != nil {
		return nil
	}
	for _, g := range s.Groups(limit) {
		if g.Objects+g.Forgotten > 0 { // all of it was discarded: nothing is on its way
			out = append(out, v.study(g, v.factsOf(s, g)))
		}
	}
	return out
}

// Moving are the studies of which something is on its way: those that departures
// follows, and not the latest, which wait behind the others.
func (v *view) Moving(limit int) (out []status.Study) {
	s, err := v.keeper.get()
	if err != nil {
		return nil
	}
	for _, name := range v.going.studies(limit) {
		if g, ok := s.Group(name); ok {
			out = append(out, v.study(g, v.factsOf(s, g)))
		}
	}
	return out
}

func (v *view) study(g spool.Group, f studyFacts) status.Study {
	h := status.Hops{Received: g.ByState[spool.Received], Sending: g.ByState[spool.Sending], AtHub: g.ByState[spool.AtHub],
		Archived: g.ByState[spool.Archived] + g.Forgotten, Held: g.ByState[spool.Held], Quarantined: g.ByState[spool.Quarantined]}
	if v.cfg != nil && v.cfg.Spool.Keep == "hub" { // that is all that is known of what was let go
		h.AtHub, h.Archived = h.AtHub+g.Forgotten, h.Archived-g.Forgotten
	}
	st := status.Study{Key: status.StudyKey(v.secret, g.Name), Modality: f.modality, Device: f.device,
		Instances: h.Total(), Bytes: g.Bytes, FirstReceived: f.first, LastReceived: g.LastReceived, Hops: h, State: h.State()}
	st.Progress, st.Test = v.going.of(g), f.test
	st.Complete, st.Revision, st.Expected = g.Complete, g.Revision, g.Expected
	if h.Reached(status.AtHub) == h.Total() {
		st.AtHubAt = f.atHub
	}
	if h.Archived == h.Total() {
		st.ArchivedAt = f.archivedAt
	}
	return st
}

// factsOf looks once at the first object of a group that it has not met.
func (v *view) factsOf(s *spool.Spool, g spool.Group) studyFacts {
	if f := v.reachedAt(g.Name); f.device != "" {
		return f
	}
	var f studyFacts
	for _, o := range s.GroupObjects(g.Name, 1) {
		f = v.reachedIn(s, g, o.Seq)
		if m, err := decodeMeta(o.Meta); err == nil {
			f.modality, f.device = m.Modality, m.Calling
		}
		f.first, f.test = o.Received, o.Test
	}
	v.remember(g.Name, func(k *studyFacts) { k.modality, k.device, k.first, k.test = f.modality, f.device, f.first, f.test })
	return f
}

func (v *view) remember(group string, change func(*studyFacts)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.studies == nil || len(v.studies) >= maxStudyFacts {
		v.studies = make(map[string]studyFacts)
	}
	f := v.studies[group]
	change(&f)
	v.studies[group] = f
}

// watch follows the spool's events, remembers when studies got where, and rings
// the bell at most four times a second.
func (v *view) watch(ctx context.Context) error {
	for {
		s, err := v.keeper.await(ctx)
		if err != nil {
			return nil
		}
		v.follow(ctx, s)
		if !pause(ctx, 100*time.Millisecond) {
			return nil
		}
	}
}

func (v *view) follow(ctx context.Context, s *spool.Spool) {
	w := s.Watch(1024) // a burst of commits between two rings
	defer w.Close()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	dirty := true
	for ticks := 0; ; {
		select {
		case <-ctx.Done():
			return
		case e := <-w.C:
			dirty = true
			v.reached(e)
		case <-tick.C:
			if ticks++; ticks%4 == 0 && v.going.moved() { // within a long object nothing else happens
				dirty = true
			}
			if dirty {
				dirty = false
				v.bell.Ring(status.StudiesChanged)
				v.bell.Ring(status.StatusChanged)
			}
			if now, _ := v.keeper.get(); now != s {
				return
			}
		}
	}
}

func (v *view) reached(e spool.Event) {
	if e.Discarded {
		return // its last state is nothing that was reached now
	}
	switch e.State {
	case spool.Sending:
		v.remember(e.Group, func(f *studyFacts) {
			if f.sent.IsZero() {
				f.sent = e.At
			}
		})
	case spool.AtHub:
		v.remember(e.Group, func(f *studyFacts) { f.atHub = e.At })
	case spool.Archived:
		if !e.Forgotten {
			v.remember(e.Group, func(f *studyFacts) { f.archivedAt = e.At })
		}
	}
}
