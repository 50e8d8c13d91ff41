package forward

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"edged/hub/ledger"
)

const (
	// dirTogether bounds what goes together, in bytes: an outcome waits for the others.
	dirTogether = 64 << 20
	// dirWriters is how many files of a batch are written and flushed at once.
	dirWriters = 4
)

// parcel is one object on its way to the directory.
type parcel struct {
	job    ledger.Job
	study  string
	target string // the name that it gets
	tmp    string // its file in incoming; "" when target has it already
	bad    *outcome
	whole  bool // err is the hub's as a whole
	err    error
}

// deliver puts a batch there in parts, each with one flush of a directory for all of
// its files. The order is: files in incoming, durable; their names; the directories
// durable; then the rows. An error is the directory's as a whole.
func (s *dirSession) deliver(ctx context.Context, jobs []ledger.Job, report func(ledger.Job, outcome)) (err error) {
	for len(jobs) > 0 {
		if s.place, err = s.find(); err != nil || ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		n := together(jobs)
		if err := s.store(jobs[:n], report); err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	return nil
}

// together is how many of the first jobs go together, one at least.
func together(jobs []ledger.Job) (n int) {
	total := int64(0)
	for n < len(jobs) {
		if total += jobs[n].Object.Length; n > 0 && total > dirTogether {
			return n
		}
		n++
	}
	return n
}

// store puts these objects there. What is wrong with one of them, or with the disk,
// leaves those alone that are written: a disk that is full has them.
func (s *dirSession) store(jobs []ledger.Job, report func(ledger.Job, outcome)) (err error) {
	all := make([]*parcel, len(jobs))
	for i, j := range jobs {
		study := studyName(j.Object.Study)
		all[i] = &parcel{job: j, study: study, target: study + "/" + j.Object.ID.String() + ".dcm"}
	}
	s.writeAll(all)
	for _, p := range all {
		s.name(p)
	}
	s.settleNames(all)
	if err := s.failed(); err != nil {
		return err // what was flushed beside or after it is not believed either (P8)
	}
	if !s.place.isAt(s.c.Path) {
		return fmt.Errorf("%w: path %s went while it was written to", errAway, s.c.Path)
	}
	for _, p := range all {
		if p.whole {
			err = errors.Join(err, p.err)
			continue
		}
		out, failed := s.outcome(p)
		if failed != nil {
			err = failed
			continue
		}
		report(p.job, out)
	}
	return err
}

// writeAll writes the files, a few at once, so that the disk flushes them together.
func (s *dirSession) writeAll(all []*parcel) {
	next := make(chan *parcel)
	var wg sync.WaitGroup
	for range min(dirWriters, len(all)) {
		wg.Go(func() {
			for p := range next {
				s.fill(p)
			}
		})
	}
	for _, p := range all {
		next <- p
	}
	close(next)
	wg.Wait()
}

// fill writes one file, if it is not there, and makes its study's directory.
func (s *dirSession) fill(p *parcel) {
	o, bad, err := s.f.opened(p.job)
	if err != nil || bad != nil {
		p.bad, p.whole, p.err = bad, err != nil, err
		return
	}
	defer o.Close()
	if p.err = s.mkdir(p.study); p.err != nil {
		return
	}
	same, err := s.already(p.target, o)
	if p.err = err; err == nil && !same {
		p.tmp, p.err = s.write(o)
	}
}

// mkdir makes the directory of a study; settleNames makes it durable.
func (s *dirSession) mkdir(study string) error {
	if s.place.knows(study) {
		return nil
	}
	if err := s.place.root.Mkdir(study, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// name gives a file its name.
func (s *dirSession) name(p *parcel) {
	if p.err != nil || p.tmp == "" {
		return
	}
	s.saw("name")
	if err := s.place.root.Rename(p.tmp, p.target); err != nil {
		p.err = errors.Join(err, s.place.root.Remove(p.tmp))
	}
}

// settleNames flushes each directory once that has got names, and the one above when a
// study is new: that is the commit point.
func (s *dirSession) settleNames(all []*parcel) {
	studies, fresh := map[string]error{}, false
	for _, p := range all {
		if _, seen := studies[p.study]; p.err == nil && p.bad == nil && !seen {
			studies[p.study] = s.flush(p.study)
			fresh = fresh || !s.place.knows(p.study)
		}
	}
	var above error
	if fresh {
		above = s.flush(".")
	}
	for _, p := range all {
		if p.err == nil && p.bad == nil {
			p.err = errors.Join(studies[p.study], above)
		}
		if p.err == nil && p.bad == nil {
			s.place.learn(p.study)
		}
	}
}

// outcome is what became of one of them.
func (s *dirSession) outcome(p *parcel) (outcome, error) {
	if p.bad != nil {
		return s.insteadOfOurs(p.job, *p.bad), nil
	}
	return s.judge(p.err)
}

// knows reports whether the directory of a study is durable in its parent.
func (p *place) knows(study string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.known[study]
	return ok
}

func (p *place) learn(study string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKnown {
		clear(p.known)
	}
	p.known[study] = struct{}{}
}

// saw tells a test how far it is.
func (d *Dir) saw(step string) {
	if d.step != nil {
		d.step(step)
	}
}
