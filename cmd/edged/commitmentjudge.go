package main

import (
	"context"

	"edged/dimse"
	"edged/dimse/commitment"
	"edged/spool"
)

// judge says what has become of instances, for a device's policy. While the spool
// is opened again nobody knows: that is waited for.
func (c *commitments) judge(_ context.Context, calling, _ string, refs []dimse.Reference) []commitment.Verdict {
	verdicts := make([]commitment.Verdict, len(refs))
	s, err := c.keeper.get()
	policy := c.roster.commitment(calling)
	for i, r := range refs {
		if verdicts[i] = commitment.Wait; err == nil {
			verdicts[i] = c.judgeOne(s, policy, r)
		}
	}
	return verdicts
}

// commitment is the policy for an AE title. Where devices share it with different
// ones, the strictest holds.
func (r *roster) commitment(calling string) string {
	policy := ""
	for _, d := range r.listed() {
		if d.AETitle == calling && (policy == "" || d.Commitment == commitArchived) {
			policy = d.Commitment
		}
	}
	if policy == commitReceived {
		return policy
	}
	return commitArchived // also of who was struck off the list since: what was asked is answered
}

func (c *commitments) judgeOne(s *spool.Spool, policy string, r dimse.Reference) commitment.Verdict {
	here, gone := s.Named(r.SOPInstanceUID), s.ForgottenNamed(r.SOPInstanceUID)
	v := judgement(policy, here, gone)
	if v == commitment.Committed && classDiffers(s, here, r.SOPClassUID) {
		return commitment.Failed(dimse.FailureClassConflict)
	}
	return v
}

// judgement is pure: what the objects that are here under a SOP Instance UID, and
// those that were let go, mean for who asks about that UID.
//
//   - other contents under one UID are never committed, whatever became of them:
//     0110 (P5)
//   - nothing known of it, or discarded by an administrator: 0112
//   - set aside, damaged, lost: 0110; while the hub has a good copy and the archive
//     is waited for, that is
//   - policy archived: committed when the archive has confirmed all of it
//   - policy received: committed when it is safe here, or has gone on from here
func judgement(policy string, here []spool.Object, gone []spool.Forgotten) commitment.Verdict {
	contents := make(map[spool.ID]bool)
	archived := make(map[spool.ID]bool) // and let go after that
	passed := make(map[spool.ID]bool)   // let go in order, with `keep: hub` before the archive has spoken
	for _, f := range gone {
		contents[f.ID] = true
		passed[f.ID] = passed[f.ID] || !f.Discarded
		archived[f.ID] = archived[f.ID] || !f.Discarded && f.ArchivedAt.UnixNano() > 0
	}
	conflict := false
	for _, o := range here {
		contents[o.ID] = true
		conflict = conflict || o.Conflict
	}
	switch {
	case len(contents) == 0:
		return commitment.Failed(dimse.FailureNoSuchInstance)
	case conflict || len(contents) > 1:
		return commitment.Failed(dimse.FailureProcessing)
	case len(here) > 0:
		return worst(policy, here, archived)
	}
	for id := range contents {
		switch {
		case !passed[id]:
			return commitment.Failed(dimse.FailureNoSuchInstance)
		case policy == commitArchived && !archived[id]:
			return commitment.Failed(dimse.FailureProcessing) // nothing more will be heard of it here
		}
	}
	return commitment.Committed
}

// worst judges copies of one object: it is committed when all of them are.
func worst(policy string, here []spool.Object, archived map[spool.ID]bool) commitment.Verdict {
	v := commitment.Committed
	for _, o := range here {
		switch {
		case o.State == spool.Archived || archived[o.ID]:
		case o.State == spool.Quarantined || o.Damaged || o.Lost:
			if policy == commitReceived || !o.HubHasCopy {
				return commitment.Failed(dimse.FailureProcessing)
			}
			v = commitment.Wait
		case policy == commitArchived:
			v = commitment.Wait
		}
	}
	return v
}

// classDiffers looks at the first object that says its class (PS3.3 §C.14.1.1,
// 0119). Of one that was let go nobody knows it any more.
func classDiffers(s *spool.Spool, here []spool.Object, class string) bool {
	for _, o := range here {
		whole, err := s.Object(o.ID)
		if err != nil {
			continue
		}
		if m, err := decodeMeta(whole.Meta); err == nil && m.SOPClass != "" {
			return m.SOPClass != class
		}
	}
	return false
}
