package page

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.yaml.in/yaml/v4"

	"edged/agent/status"
)

const (
	dashboard  = "../../configs/grafana-edged.json"
	alertRules = "../../configs/alerts.yaml"
	metricsDoc = "../../docs/metrics.md"
)

// everySignal has something of each kind, so that no series is missing.
func everySignal() status.Signals {
	return status.Signals{OldestWaiting: before(2 * time.Hour), StudiesLate: 2, Refused: map[status.RefusalCode]int64{status.UnknownCalling: 3}, Devices: ordinary().devices,
		Alarms: map[status.AlarmCode]int64{"time": 1}, Findings: map[string]int64{"fiscal_code": 4}, Certificates: map[string]time.Time{"page": morning},
		Clock: status.Clock{State: status.ClockSynced, OffsetSeconds: 0.001}, Audit: status.AuditMessages{On: true, Waiting: 5, Lost: 1}, Logins: status.Logins{Good: 1}}
}

func scrape(t *testing.T, s status.Signals) string {
	t.Helper()
	p, err := New(Config{Source: ordinary(), Signals: func() status.Signals { return s }, Location: rome, now: func() time.Time { return morning }})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

// family is one metric as a scrape describes it.
type family struct{ name, help, kind, labels string }

var labelsOf = regexp.MustCompile(`(\w+)="`)

func families(body string) (all []family) {
	for _, line := range strings.Split(body, "\n") {
		f := strings.SplitN(line, " ", 4)
		switch {
		case strings.HasPrefix(line, "# HELP edged_"):
			all = append(all, family{name: f[2], help: f[3]})
		case strings.HasPrefix(line, "# TYPE edged_"):
			all[len(all)-1].kind = f[3]
		case len(all) > 0 && strings.HasPrefix(line, all[len(all)-1].name+"{"):
			var labels []string
			for _, m := range labelsOf.FindAllStringSubmatch(line, -1) {
				labels = append(labels, m[1])
			}
			all[len(all)-1].labels = strings.Join(labels, ", ")
		}
	}
	return all
}

// The linter of Prometheus itself finds nothing: names, units, help, types.
func TestMetricsPassTheLinterOfPrometheus(t *testing.T) {
	body := scrape(t, everySignal())
	own := new(strings.Builder)
	for _, line := range strings.Split(body, "\n") {
		if strings.Contains(line, "edged_") {
			own.WriteString(line + "\n")
		}
	}
	problems, err := promlint.New(strings.NewReader(own.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

var ownName = regexp.MustCompile(`\bedged_[a-z0-9_]+`)

// What the dashboard and the alert rules ask for is there, and docs/metrics.md says of
// each metric what it is; `go test ./agent/page -run Dashboard -update` writes its table.
func TestDashboardAlertsAndDocumentNameWhatIsThere(t *testing.T) {
	all := families(scrape(t, everySignal()))
	there := func(name string) bool { return slices.ContainsFunc(all, func(f family) bool { return f.name == name }) }
	for _, file := range []string{dashboard, alertRules} {
		asked := ownName.FindAllString(readFile(t, file), -1)
		if len(asked) < 20 {
			t.Errorf("%s asks for %d metrics only", file, len(asked))
		}
		for _, name := range asked {
			if !there(name) {
				t.Errorf("%s asks for %s, which is not there", file, name)
			}
		}
	}
	const from, to = "<!-- metrics: begin -->\n", "<!-- metrics: end -->"
	doc := readFile(t, metricsDoc)
	head, rest, ok1 := strings.Cut(doc, from)
	_, tail, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatal("docs/metrics.md has no place for the table")
	}
	table := "| Metric | Type | Labels | What it is |\n|---|---|---|---|\n"
	for _, f := range all {
		table += "| `" + f.name + "` | " + f.kind + " | " + f.labels + " | " + f.help + " |\n"
	}
	want := head + from + table + to + tail
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readFile(t, metricsDoc) != want {
		t.Error("docs/metrics.md is not what a scrape says; -update writes it")
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Rules have what Prometheus wants of a rule, names are used once, severities are three.
func TestAlertRulesAreRules(t *testing.T) {
	var doc struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, alertRules)), &doc); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, g := range doc.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] || r.Expr == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("rule %+v", r)
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("%s has severity %q", r.Alert, r.Labels["severity"])
			}
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("%s: for: %v", r.Alert, err)
			}
			if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") || strings.Count(r.Expr, "{") != strings.Count(r.Expr, "}") {
				t.Errorf("%s: %s", r.Alert, r.Expr)
			}
			seen[r.Alert] = true
		}
	}
	if len(seen) < 15 {
		t.Errorf("%d rules", len(seen))
	}
}

// The dashboard has what Grafana needs to import it: panels with unique ids, each in a
// place of its own, each with a data source and a question.
func TestTheDashboardIsOne(t *testing.T) {
	var doc struct {
		Schema int `json:"schemaVersion"`
		Panels []struct {
			ID      int            `json:"id"`
			Type    string         `json:"type"`
			Title   string         `json:"title"`
			Place   map[string]int `json:"gridPos"`
			Targets []struct {
				Expr string         `json:"expr"`
				From map[string]any `json:"datasource"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboard)), &doc); err != nil {
		t.Fatal(err)
	}
	taken, ids := make(map[[2]int]string), make(map[int]bool)
	for _, p := range doc.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" || p.Type == "" {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			if q.Expr == "" || q.From["uid"] != "${datasource}" {
				t.Errorf("%s: %+v", p.Title, q)
			}
		}
		for x := p.Place["x"]; x < p.Place["x"]+p.Place["w"]; x++ {
			for y := p.Place["y"]; y < p.Place["y"]+p.Place["h"]; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s is where %q is", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if doc.Schema < 36 || len(doc.Panels) < 20 {
		t.Errorf("schema %d, %d panels", doc.Schema, len(doc.Panels))
	}
}

// P9, P10: a device that only called makes no series, a configured one exactly three, and
// however many there are, there is an end; a name that is markup is a name.
func TestOnlyConfiguredDevicesHaveSeries(t *testing.T) {
	s := everySignal()
	before := series(scrape(t, s))
	s.Devices = append(s.Devices, status.Device{AETitle: "STRANGER\"}"}, status.Device{AETitle: "STRANGER"})
	if body := scrape(t, s); series(body) != before || strings.Contains(body, "STRANGER") {
		t.Error("a stranger has series")
	}
	s.Devices = append(s.Devices, status.Device{AETitle: "NEW<b>\u202e", Known: true}, status.Device{AETitle: "NEW<b>\u202e", Known: true})
	if got := series(scrape(t, s)); got != before+3 {
		t.Errorf("%d more series", got-before)
	}
	for i := range 1000 {
		s.Devices = append(s.Devices, status.Device{AETitle: "D" + strings.Repeat("x", i%7) + string(rune('A'+i%26)) + string(rune('a'+i/26)), Known: true})
	}
	if got := series(scrape(t, s)); got > before+3*maxDeviceSeries {
		t.Errorf("%d series", got)
	}
	if body := scrape(t, status.Signals{}); !strings.Contains(body, "edged_clock_synchronised NaN") {
		t.Error("a clock of which nothing is known is told")
	}
}
