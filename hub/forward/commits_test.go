package forward

import (
	"strings"
	"sync/atomic"
	"testing"

	"edged/dimse"
)

// failing is what a report says that fails for all but the first few.
func failing(rq dimse.CommitmentRequest, committed int, reason uint16) dimse.CommitmentResult {
	r := dimse.CommitmentResult{TransactionUID: rq.TransactionUID, Committed: rq.References[:min(committed, len(rq.References))]}
	for _, x := range rq.References[len(r.Committed):] {
		r.Failed = append(r.Failed, dimse.FailedReference{Reference: x, Reason: reason})
	}
	return r
}

// An archive whose commitment looks in the wrong place reports that it has nothing of what
// it answered with Success. Nothing is given up, the status says what is wrong, and when it
// is mended all is archived by itself.
func TestAnArchiveThatCommitsItselfToNothingIsNotBelieved(t *testing.T) {
	for name, reason := range map[string]uint16{"0110": dimse.FailureProcessing, "0112": dimse.FailureNoSuchInstance, "0119": dimse.FailureClassConflict, "0122": dimse.FailureClassNotSupported} {
		t.Run(name, func(t *testing.T) {
			b := newCommittingBench(t)
			b.commit = Backoff{1, 1}
			b.receiveOf(ctClass, 30)
			var good, resent atomic.Bool
			v, vna := newVault(b, func(v *vault, a *dimse.Association, n int, rq dimse.CommitmentRequest) dimse.Answer {
				resent.Store(n > 20)
				if good.Load() {
					v.later(a, all(rq))
				} else {
					v.later(a, failing(rq, 0, reason))
				}
				return success
			})
			b.run(func() bool {
				return resent.Load() && strings.Contains(b.forwarder.Status()[0].Commitment, "commits itself to nothing")
			}, vna)
			if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Quarantined != 0 {
				t.Fatalf("%+v", s)
			}
			good.Store(true)
			if f := b.run(b.archived(30), vna); f.Status()[0].Commitment != "" {
				t.Errorf("%+v", f.Status())
			}
			v.kept.check(b)
		})
	}
}

// Of an archive that commits itself to some at most twenty are given up on the word of a
// report, and on those that follow without any.
func TestAnArchiveThatBeginsToCommitItselfToNothingIsSoonNotBelieved(t *testing.T) {
	b := newCommittingBench(t)
	b.commit = Backoff{1, 1}
	b.receiveOf(ctClass, 100)
	var good atomic.Bool
	_, vna := newVault(b, func(v *vault, a *dimse.Association, n int, rq dimse.CommitmentRequest) dimse.Answer {
		if some := map[int]int{0: 5}[n]; good.Load() {
			v.later(a, all(rq))
		} else {
			v.later(a, failing(rq, some, dimse.FailureClassConflict))
		}
		return success
	})
	vna.c.Associations = 1
	b.run(func() bool {
		return strings.Contains(b.forwarder.Status()[0].Commitment, "commits itself to nothing")
	}, vna)
	s := b.stats()
	if n := s.Backlog["vna"].Quarantined; n == 0 || n > maxRefused {
		t.Errorf("%+v", s)
	}
	good.Store(true)
	b.run(func() bool { s := b.stats(); return s.Archived+s.Backlog["vna"].Quarantined == 100 }, vna)
	if n := b.stats().Backlog["vna"].Quarantined; n > maxRefused {
		t.Errorf("%d given up", n)
	}
}
