package page

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// An archive may name the patient in what it says of an image that it refuses. Who is not
// logged in reads its words on no page, sheet or table, only that it refused; whoever is
// logged in reads them wherever the study stands with its reason.
func TestTheWordsOfAnArchiveAreNotForStrangers(t *testing.T) {
	const words = "0xA900 patient BIANCHI^ZOE is not ROSSI"
	detail := secretDetail
	detail.Why = []StudyWhy{{Code: WhyArchiveSays, Count: 1, Words: words, Where: "vna"}}
	desk := refusedDesk{&secretDesk{}, detail}
	paths := []string{"/studies/" + secretCard.Key, "/days", "/days/2026-11-21", "/days/2026-11-21/print", "/days/2026-11-21/table.csv"}
	for _, anonymous := range []string{AnonymousState, AnonymousMasked} {
		d := newDoor(t, func(c *Config) { c.Studies, c.Days, c.Anonymous = desk, desk, anonymous })
		stranger, technician := d.browser(), d.in("tea")
		read := func(b *browser, path string) string {
			answer := b.send("GET", path, nil)
			if answer.StatusCode != http.StatusOK {
				t.Fatalf("%s, %s: %s", anonymous, path, answer.Status)
			}
			return saysOf(t, answer)
		}
		for _, path := range append(paths, "/studies") {
			said := read(stranger, path)
			for _, part := range []string{"BIANCHI", "ROSSI", "A900", "Dice", "It says"} {
				if strings.Contains(said, part) {
					t.Errorf("%s, %s shows %q to a stranger", anonymous, path, part)
				}
			}
		}
		for _, path := range paths {
			if said := read(technician, path); !strings.Contains(said, words) || !strings.Contains(said, "vna") {
				t.Errorf("%s, %s does not tell a technician what the archive said", anonymous, path)
			}
			if refused := whyStopped(StudyWhy{Code: WhyArchiveSays, Count: 1}, catalogues["en"]); !strings.Contains(read(stranger, path), refused) {
				t.Errorf("%s, %s does not say %q to a stranger", anonymous, path, refused)
			}
		}
	}
}

// refusedDesk has one study, of which an archive refused an image.
type refusedDesk struct {
	*secretDesk
	detail StudyDetail
}

func (d refusedDesk) Study(string, bool) (StudyDetail, bool) { return d.detail, true }

func (d refusedDesk) Day(day time.Time) DayReport {
	out := d.secretDesk.Day(day)
	out.Missing = []StudyDetail{d.detail}
	return out
}
