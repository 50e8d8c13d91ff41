package archivelab

import (
	"context"
	"maps"
	"time"

	"edged/dimse"
)

var _ dimse.CommitmentSCP = (*SCP)(nil)

// RequestCommitment implements dimse.CommitmentSCP: it takes the request, and reports
// when that answer is out.
func (s *SCP) RequestCommitment(_ context.Context, a *dimse.Association, rq dimse.CommitmentRequest) dimse.Answer {
	r := s.decide(rq)
	s.reports.Go(func() { s.report(a, r) })
	return dimse.Answer{Status: dimse.StatusSuccess}
}

// decide commits itself to what it has.
func (s *SCP) decide(rq dimse.CommitmentRequest) dimse.CommitmentResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := dimse.CommitmentResult{TransactionUID: rq.TransactionUID}
	s.counts.Asked += len(rq.References)
	for _, ref := range rq.References {
		if _, ok := s.has[ref.SOPInstanceUID]; ok {
			r.Committed = append(r.Committed, ref)
			s.said[ref.SOPInstanceUID] = true
			continue
		}
		s.counts.NotHeld++
		r.Failed = append(r.Failed, dimse.FailedReference{Reference: ref, Reason: dimse.FailureNoSuchInstance})
	}
	return r
}

// aReport bounds one attempt, of a hub that may die in it.
const aReport = 5 * time.Second

// report goes on until somebody has taken it.
func (s *SCP) report(a *dimse.Association, r dimse.CommitmentResult) {
	ctx, cancel := context.WithTimeout(s.closing, aReport)
	rsp, err := a.ReportCommitment(ctx, r)
	cancel()
	if err == nil && rsp.Status.IsSuccess() {
		s.heard(r, false)
		return
	}
	for try := 0; len(s.c.Doors) > 0; try++ {
		rsp, err := s.reportAt(s.c.Doors[try%len(s.c.Doors)], r)
		switch {
		case err == nil && rsp.Status.IsSuccess():
			s.heard(r, true)
			return
		case err == nil && rsp.Status == dimse.StatusInvalidArgument: // it says that it never asked
			s.mu.Lock()
			s.counts.Refused++
			s.mu.Unlock()
			return
		}
		select {
		case <-s.closing.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// reportAt opens an association for a report (PS3.4 §J.3.3.1.2).
func (s *SCP) reportAt(door string, r dimse.CommitmentResult) (rsp dimse.Response, err error) {
	ctx, cancel := context.WithTimeout(s.closing, aReport)
	defer cancel()
	c, err := dimse.Dial(ctx, dimse.ClientConfig{
		Address: door, Called: "HUBD", Calling: s.c.Title, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST",
		Contexts: []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE}}},
		Roles:    []dimse.Role{{SOPClassUID: dimse.StorageCommitmentPush, SCP: true}},
	})
	if err != nil {
		return rsp, err
	}
	defer c.Release(ctx)
	return c.ReportCommitment(ctx, r)
}

func (s *SCP) heard(r dimse.CommitmentResult, elsewhere bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if elsewhere {
		s.counts.Elsewhere++
	}
	for _, ref := range r.Committed {
		s.taken[ref.SOPInstanceUID]++
	}
}

// Said reports whether it has ever committed itself to the instance in a report.
func (s *SCP) Said(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said[uid]
}

// Committed is how many reports on each instance somebody has taken.
func (s *SCP) Committed() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.taken)
}
