package page

import (
	"strings"
	"testing"

	"edged/agent/status"
)

// A day on which everything that came is archived is not whole where devices announced more.
func TestADaySaysWhatNeverCame(t *testing.T) {
	for lang, want := range map[string][2]string{"it": {"Tutto ciò che è arrivato", "mancano 3 immagini"}, "en": {"", "3 images are missing"}, "de": {"", "fehlen 3 Bilder"}} {
		f := sighted{facts: facts{Now: morning}, W: catalogues[lang]}
		came := DayDevice{Device: "CT1", Studies: 1, Images: 2, Hops: status.Hops{Archived: 2}}
		if v := dayPageOf(DayReport{Devices: []DayDevice{came}}, morning, f); !strings.Contains(v.Says, want[0]) || strings.Contains(v.Says, "3") {
			t.Errorf("whole: %q", v.Says)
		}
		came.Short = 3
		v := dayPageOf(DayReport{Devices: []DayDevice{came}, Missing: []StudyDetail{{Short: 3}}}, morning, f)
		if !strings.Contains(v.Says, want[1]) || len(v.Missing[0].Why) != 1 || !strings.Contains(v.Missing[0].Why[0], want[1]) {
			t.Errorf("%q, %+v", v.Says, v.Missing)
		}
		came.Hops.Archived = 1
		if v := dayPageOf(DayReport{Devices: []DayDevice{came}}, morning, f); !strings.Contains(v.Says, want[1]) || v.Says == f.W.Count("days.short", 3) {
			t.Errorf("some of it not archived: %q", v.Says)
		}
	}
}
