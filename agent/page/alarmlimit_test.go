package page

import (
	"strings"
	"testing"

	"edged/agent/status"
)

// An alarm says the limit that is configured, and not that of another place.
func TestAnAlarmSaysItsConfiguredLimit(t *testing.T) {
	for _, c := range []struct {
		lang string
		a    status.Alarm
		want string
	}{
		{"it", status.Alarm{Code: status.AlarmLate, Count: 2, Limit: 7200}, "2 esami non sono archiviati dopo 2 ore."},
		{"it", status.Alarm{Code: status.AlarmLate, Count: 1}, "1 esame non è archiviato dopo 30 minuti."},
		{"en", status.Alarm{Code: status.AlarmQueue, Value: "x", Limit: 5400}, "more than 90 minutes (since x)"},
		{"de", status.Alarm{Code: status.AlarmSpace3, Limit: 5 * 86400}, "weniger als 5 Tage,"},
		{"it", status.Alarm{Code: status.AlarmSpace1, Limit: 86400}, "in meno di 24 ore."},
		{"de", status.Alarm{Code: status.AlarmUrgent, Count: 1, Limit: 90}, "schon mehr als 90 Sekunden auf"},
	} {
		if what, _ := alarmSays(c.a, "", catalogues[c.lang]); !strings.Contains(what, c.want) {
			t.Errorf("%q does not say %q", what, c.want)
		}
	}
}
