package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edged/internal/archivelab"
	"edged/internal/dicom"
	"edged/internal/tools/lab"
)

// figures are what appliances say about themselves.
type figures struct {
	Counters struct {
		Received, Archived, Quarantined, Discarded int64
	}
}

func (a *appliance) figures(ctx context.Context) (f figures, err error) {
	err = lab.Fetch(ctx, nil, "http://"+a.Page+"/api/v1/status", &f)
	return f, err
}

// settleWithin is how long the rest may take: an appliance that found no node rests for
// up to a minute, and so does what an archive did not take. A commitment that a node was
// about to ask for when it was killed is asked for again after ten minutes.
const settleWithin = 14 * time.Minute

// settle waits until every appliance has all that it received archived, and the receiver
// was told of it.
func (s *site) settle(ctx context.Context) error {
	if err := s.settleArchives(ctx); err != nil {
		return err
	}
	acked := s.sent.acked()
	err := lab.Await(ctx, settleWithin, "every study to be told", func() bool {
		_, silent, missing := s.told.untold(acked)
		return silent+missing == 0
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // that is for judge to say
	}
	return err
}

func (s *site) settleArchives(ctx context.Context) error {
	var last []figures
	c := &chaos{site: s}
	err := lab.Await(ctx, settleWithin, "everything to be archived", func() bool {
		last = nil
		for _, a := range s.sites {
			f, err := a.figures(ctx)
			if err != nil {
				return false
			}
			last = append(last, f)
		}
		for _, f := range last {
			if f.Counters.Archived < f.Counters.Received {
				time.Sleep(200 * time.Millisecond)
				return c.someReady(ctx, 1) != nil && false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("%w: %+v", err, last)
	}
	return nil
}

// verdict counts what is wrong with each archive.
type verdict struct {
	acked, archived       int
	missing, altered      int
	duplicates, strangers int
	repeats               int
	counters              error
	promised              promised
	told                  told
}

// promised is about the archive that commits itself.
type promised struct {
	committed, missing int // instances
	again              int // reports beyond the first on an instance
	archivelab.Counts
}

// told is about the receiver of study events.
type told struct {
	studies, silent int
	events          int
	missing         int // instances that the newest event does not tell as archived
	early           int // told as archived before any archive had committed itself
	repeats, failed int
	wrong           []string
}

// holding is what an archive has: digests by SOP Instance UID, one for each copy.
type holding map[string][][sha256.Size]byte

func (s *site) judge(ctx context.Context) (*verdict, error) {
	acked := s.sent.acked()
	v := &verdict{acked: len(acked), promised: s.promises(acked), told: s.told.verdict(acked)}
	all := map[string]holding{}
	for name, scp := range map[string]*archivelab.SCP{"scp": s.archive, "vault": s.vault} {
		all[name] = holdingOf(scp)
		v.repeats += scp.Counts().Repeats
		v.duplicates += scp.Counts().Other
	}
	var err error
	if all["dir"], err = s.filed(); err != nil {
		return nil, err
	}
	if s.orthanc != nil {
		if all["orthanc"], err = orthancHolding(ctx, s.orthanc); err != nil {
			return nil, err
		}
	}
	whole := map[string]bool{}
	for uid := range acked {
		whole[uid] = true
	}
	for name, has := range all {
		before := *v
		s.compare(v, acked, has, whole)
		fmt.Printf("%s: %d instances, missing %d, altered %d, twice %d, never sent %d\n", name, len(has),
			v.missing-before.missing, v.altered-before.altered, v.duplicates-before.duplicates, v.strangers-before.strangers)
	}
	for _, ok := range whole {
		if ok {
			v.archived++
		}
	}
	v.counters = s.believe(ctx)
	return v, nil
}

// compare looks for each acknowledged instance in an archive, and for others there.
func (s *site) compare(v *verdict, acked map[string]*instance, has holding, whole map[string]bool) {
	for uid, i := range acked {
		switch copies := has[uid]; {
		case len(copies) == 0:
			v.missing++
			whole[uid] = false
		case copies[0] != i.digest:
			v.altered++
			whole[uid] = false
		}
	}
	made := s.sent.all()
	for uid, copies := range has {
		v.duplicates += len(copies) - 1
		if made[uid] == nil {
			v.strangers++
		}
	}
}

func (l *ledger) all() map[string]*instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.made)
}

func holdingOf(scp *archivelab.SCP) holding {
	h := holding{}
	for uid, d := range scp.Holding() {
		h[uid] = append(h[uid], d)
	}
	return h
}

// promises counts what was committed of what was acknowledged.
func (s *site) promises(acked map[string]*instance) promised {
	p := promised{Counts: s.vault.Counts()}
	reports := s.vault.Committed()
	for uid := range acked {
		switch n := reports[uid]; n {
		case 0:
			p.missing++
		default:
			p.committed++
			p.again += n - 1
		}
	}
	return p
}

// verdict counts what was told of what was acknowledged.
func (r *receiver) verdict(acked map[string]*instance) (t told) {
	t.studies, t.silent, t.missing = r.untold(acked)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.heard {
		t.events += len(h.keys)
	}
	t.early, t.repeats, t.failed, t.wrong = r.early, r.repeats, r.failed, slices.Clone(r.wrong)
	return t
}

// filed reads the archive that is a directory.
func (s *site) filed() (holding, error) {
	h := holding{}
	err := filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".dcm" {
			return err
		}
		f, err := dicom.OpenFile(name)
		if err != nil {
			return err
		}
		uid := f.SOPInstance
		if err := f.Close(); err != nil {
			return err
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		digest, err := dataSetDigest(file)
		h[uid] = append(h[uid], digest)
		return err
	})
	return h, err
}

// believe compares what appliances say with what they were seen to take.
func (s *site) believe(ctx context.Context) (all error) {
	acked := map[int]int64{}
	for _, i := range s.sent.acked() {
		for a := range i.acked {
			acked[a]++
		}
	}
	for _, a := range s.sites {
		f, err := a.figures(ctx)
		if c := f.Counters; err == nil && (c.Archived != acked[a.number] || c.Archived != c.Received || c.Quarantined+c.Discarded > 0) {
			err = fmt.Errorf("appliance %d says %+v, and %d instances were answered with Success", a.number+1, c, acked[a.number])
		}
		all = errors.Join(all, err)
	}
	return all
}

// maxRepeats is how many instances may come again for each kill, of both archives that we
// count for. A node has two workers for each, and a worker holds up to sixteen deliveries
// without a row: 64 at the very worst, more than is under way, so that bound could hardly
// fail. Outcomes are written after a batch or a second, and about a dozen instances come in
// a second for two archives: a kill that costs all that was delivered in a second repeats
// two dozen. Seen: 14 in 24 kills.
const maxRepeats = 24

// print ends with the line that says it all.
func (v *verdict) print(kills int) error {
	v.promised.print()
	v.told.print()
	fmt.Printf("repeats=%d altered=%d never_sent=%d\n", v.repeats, v.altered, v.strangers)
	if v.counters != nil {
		fmt.Println(v.counters)
	}
	fmt.Printf("kills=%d acked=%d archived=%d missing=%d duplicates_in_archive=%d\n", kills, v.acked, v.archived, v.missing, v.duplicates)
	if v.repeats > maxRepeats*kills {
		return fmt.Errorf("the proof failed: the archives had %d instances again, of which %d are what nodes killed %d times may repeat", v.repeats, maxRepeats*kills, kills)
	}
	if v.missing+v.altered+v.duplicates+v.strangers > 0 || v.archived != v.acked || v.acked == 0 || v.counters != nil {
		return errors.New("the proof failed")
	}
	return errors.Join(v.promised.judge(v.acked), v.told.judge())
}

func (p *promised) print() {
	fmt.Printf("storage commitment: committed=%d missing=%d not_held=%d refused=%d reported_again=%d, %d reports on an association of the archive's own\n",
		p.committed, p.missing, p.NotHeld, p.Refused, p.again, p.Elsewhere)
}

// judge: an instance that is reported on twice is committed once, as one that is
// delivered twice as the same bytes is archived once.
func (p *promised) judge(acked int) error {
	if p.missing+p.NotHeld+p.Refused > 0 || p.committed != acked {
		return errors.New("the proof of storage commitment failed")
	}
	return nil
}

func (t *told) print() {
	for _, w := range t.wrong[:min(len(t.wrong), 10)] {
		fmt.Println("the receiver of study events was told:", w)
	}
	fmt.Printf("study events: studies=%d without_event=%d events=%d missing=%d before_commitment=%d wrong=%d repeats=%d, %d failed by intent\n",
		t.studies, t.silent, t.events, t.missing, t.early, len(t.wrong), t.repeats, t.failed)
}

func (t *told) judge() error {
	if t.silent+t.missing+t.early+len(t.wrong) > 0 || t.studies == 0 {
		return errors.New("the proof of study events failed")
	}
	return nil
}
