package forward

import (
	"net/http"
	"testing"
)

// What an answer lists under Failed SOP Sequence is not stored, whatever number stands
// as its reason: B000 and the like are warnings of C-STORE, not of this list. Under 409
// nothing at all was stored.
func TestWhatIsListedAsFailedIsNeverArchived(t *testing.T) {
	for _, status := range []int{200, 202, 409} {
		for _, reason := range []int{0xB000, 0xB006, 0xB007} {
			b := newStowBench(t, 2)
			v := &vna{T: t, answer: func(w http.ResponseWriter, _ *http.Request, uids []string) {
				s := said{failed: map[string]int{uids[1]: reason}}
				if status != 409 {
					s.stored = uids[:1]
				} else {
					s.failed[uids[0]] = 0xC000
				}
				s.write(w, status)
			}}
			got, err := b.turn(stow(t, StowConfig{URL: v.serve()}))
			if o := got[v.requests[0][1]]; err != nil || o.verdict == done {
				t.Errorf("HTTP %d, listed as failed with %04X: %+v (%v): appliances would forget it", status, reason, o, err)
			}
		}
	}
}
