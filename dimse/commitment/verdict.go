package commitment

import (
	"time"

	"edged/dimse"
)

// Verdict is what is known of one instance: Committed, Wait, or a failure reason
// of PS3.3 §C.14.1.1.
type Verdict uint16

// Verdicts that are no failures.
const (
	Committed Verdict = 0
	Wait      Verdict = 0xFFFF // not decided: received, say, and not archived yet
)

// Failed is the verdict that an instance is not kept, and why.
func Failed(reason uint16) Verdict {
	if reason == uint16(Committed) || reason == uint16(Wait) {
		return Verdict(dimse.FailureProcessing)
	}
	return Verdict(reason)
}

// decide makes the result of a transaction of some age; decided is false while
// something has to be waited for. It is pure.
func decide(t *Transaction, verdicts []Verdict, age, grace, patience time.Duration) (result dimse.CommitmentResult, decided bool) {
	result.TransactionUID = t.UID
	for i, r := range t.References {
		v := Wait // of a judge that says nothing
		if i < len(verdicts) {
			v = verdicts[i]
		}
		if v == Verdict(dimse.FailureNoSuchInstance) && age < grace {
			v = Wait // it may still be on its way: 0112 is for good (PS3.3 §C.14.1.1)
		}
		switch {
		case v == Committed:
			result.Committed = append(result.Committed, r)
			continue
		case v == Wait && age < patience:
			return dimse.CommitmentResult{}, false
		case v == Wait:
			v = Verdict(dimse.FailureProcessing)
		}
		result.Failed = append(result.Failed, dimse.FailedReference{Reference: r, Reason: uint16(v)})
	}
	return result, true
}

// pause is how long to wait after n failures, between 0.8 and 1.2 of first,
// twice that, four times, at most longest; random is in [0, 1).
func pause(n int, first, longest time.Duration, random float64) time.Duration {
	d := longest
	if n < 30 {
		d = min(first<<max(n-1, 0), longest)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*random))
}
