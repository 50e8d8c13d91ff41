package page

import (
	"testing"
	"time"

	"edged/agent/status"
)

// One alarm beside a reason that is one too is not "1 alarm": the menu counts two.
func TestAlarmsBesideOtherReasonsAreFurtherOnes(t *testing.T) {
	alarms := status.Reason{Code: status.Alarms, Count: 1}
	for lang, want := range map[string][2]string{
		"it": {"C’è 1 avviso da guardare.", "Oltre a questo c’è 1 avviso da guardare."},
		"en": {"There is 1 alarm to look at.", "Besides, there is 1 alarm to look at."},
		"de": {"1 Meldung ist anzusehen.", "Außerdem ist 1 Meldung anzusehen."},
	} {
		s := status.Status{State: status.Attention, At: time.Now(), Reasons: []status.Reason{alarms}}
		alone := Say(s, lang)
		s.Reasons = []status.Reason{{Code: status.ToFix, Count: 3}, alarms}
		if beside := Say(s, lang); alone.Sentence != want[0] || len(beside.Also) != 1 || beside.Also[0] != want[1] {
			t.Errorf("%s: %q, %q; want %q", lang, alone.Sentence, beside.Also, want)
		}
	}
}
