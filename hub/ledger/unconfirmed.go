package ledger

import "context"

// unconfirmedListed is told for an object that a list of UIDs cannot confirm.
const unconfirmedListed = "sent, but not confirmed: other contents were received under the same SOP Instance UID, and the archive's answer speaks of the UID alone; " +
	"an administrator of the hub compares what the archive has, then: hubd objects confirm"

// Unconfirmed records that the destination says, by its UID, that it has the object,
// whoever holds the lease by now. Other contents have that UID (P5): it counts only
// when an administrator says so (Confirm), or where Config says deliver.
func (l *Ledger) Unconfirmed(ctx context.Context, j Job, words string) error {
	if l.config.Deliver {
		return l.Done(ctx, j, words)
	}
	return l.settleJob(ctx, "not confirm", j, func(b *batch) error {
		n, err := b.exec(`UPDATE jobs SET state = 'unconfirmed', attempts = attempts + 1, words = ? WHERE seq = ? AND state NOT IN ('done', 'unconfirmed')`+theSame, j.sameArgs(unconfirmedListed, j.Seq)...)
		if err != nil || n == 0 {
			return err
		}
		return b.tell(j.Object.ID, "", false, unconfirmedListed)
	})
}
