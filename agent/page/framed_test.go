package page

import (
	"regexp"
	"strings"
	"testing"

	"edged/agent/status"
)

// On the pages of a study and of the machine every heading stands in a framed section, and
// of the latter all sections stand in its columns.
func TestSectionsAreFramed(t *testing.T) {
	heading, seen := regexp.MustCompile(`<h2[ >]`), 0
	walk(t, func(name string, l leaf, _ viewer, _, body string) {
		if l.file != "study.html" && l.file != "system.html" {
			return
		}
		seen++
		_, body, _ = strings.Cut(body, "<main")
		body, _, _ = strings.Cut(body, "</main>")
		all, bare := heading.FindAllString(body, -1), heading.FindAllString(outside(body, "<section class=", "</section>"), -1)
		if len(all) < 2 || len(bare) > 0 {
			t.Errorf("%s: of %d headings %d are without a frame", name, len(all), len(bare))
		}
		if l.file == "system.html" && !strings.HasSuffix(strings.TrimSpace(body), "</section>\n</div>") {
			t.Errorf("%s: a section stands below the columns", name)
		}
	})
	if seen == 0 {
		t.Error("no page was looked at")
	}
}

// An appliance without certificates says so.
func TestNoCertificateIsSaid(t *testing.T) {
	rows := certsOf(System{}, facts{Now: morning}, catalogues["it"])
	if len(rows) != 1 || rows[0].Says != "nessuno" {
		t.Errorf("%+v", rows)
	}
}

// What is left of disk and certificates is marked from where the configuration has alarms.
func TestSystemIsMarkedWhereAlarmsBegin(t *testing.T) {
	w, days := catalogues["it"], 5.0
	st := status.Status{}
	st.Spool.DaysLeft = &days
	cert := []Certificate{{ID: "page", Until: morning.AddDate(0, 0, 40)}}
	for _, c := range []struct {
		limits SystemLimits
		want   string
	}{{SystemLimits{3, 1, 30, 7}, "ok ok"}, {SystemLimits{6, 1, 45, 7}, "look look"}, {SystemLimits{10, 6, 60, 50}, "bad bad"}, {SystemLimits{}, "ok ok"}} {
		s, f := System{Limits: c.limits, Certificates: cert}, facts{Now: morning, Status: st}
		if got := diskOf(s, f, w)[0].Mark + " " + certsOf(s, f, w)[0].Mark; got != c.want {
			t.Errorf("%+v: %s, want %s", c.limits, got, c.want)
		}
	}
}
