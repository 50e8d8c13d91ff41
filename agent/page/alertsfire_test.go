package page

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// alertCase is what an appliance says, as promtool writes series ("0x9": nine times more the
// same, a minute apart), and the minute at which the alert has to fire.
type alertCase struct {
	alert, series, values string
	minute                int
}

var alertCases = []alertCase{
	{"EdgedDown", `up{job="edged"}`, "0x9", 4},
	{"EdgedStopped", `edged_state{state="stopped"}`, "1x9", 3},
	{"EdgedNotReady", "edged_ready", "0x9", 6},
	{"EdgedAttention", `edged_state{state="attention"}`, "1x40", 31},
	{"EdgedQueueOld", "edged_uplink_oldest_waiting_seconds", "3601x9", 6},
	{"EdgedStudiesLate", "edged_studies_late", "1x20", 16},
	{"EdgedSpoolDaysLow", "edged_spool_full_seconds", "259199x40", 31},
	{"EdgedSpoolDaysVeryLow", "edged_spool_full_seconds", "86399x20", 11},
	{"EdgedImagesDamaged", "edged_spool_damaged_no_copy_objects", "1x9", 1},
	{"EdgedImagesDamagedHubHasCopy", "edged_spool_damaged_hub_copy_objects", "1x9", 1},
	{"EdgedQuarantine", "edged_objects_quarantined_total", "4x5 5x9", 8},
	{"EdgedHubNotBelieved", "edged_uplink_not_believed_total", "0x5 1x9", 8},
	{"EdgedUnknownNodes", `edged_refused_by_reason_total{reason="unknown_calling"}`, "0+3x20", 14},
	{"EdgedTLSFailures", `edged_refused_by_reason_total{reason="tls_failed"}`, "0+1x20", 14},
	{"EdgedLogInsFail", `edged_logins_total{result="failed"}`, "0+3x20", 14},
	{"EdgedLogInsFail", `edged_logins_total{result="locked"}`, "0x5 1x9", 8},
	{"EdgedHubCertificateEnds", "edged_certificate_end_timestamp_seconds", "2000000x70", 61},
	{"EdgedCertificateEnds", `edged_tls_certificate_end_timestamp_seconds{of="page"}`, "2000000x70", 61},
	{"EdgedCertificateEndsSoon", `edged_tls_certificate_end_timestamp_seconds{of="page"}`, "600000x9", 1},
	{"EdgedClockNotSynchronised", "edged_clock_synchronised", "0x40", 31},
	{"EdgedDeviceSilent", `edged_device_last_seen_timestamp_seconds{ae_title="CT1"}`, "1x4400", 4322},
	{"EdgedAuditMessagesFail", "edged_audit_messages_failing", "1x70", 61},
	{"EdgedAuditMessagesLost", "edged_audit_messages_lost_total", "0x5 7x9", 8},
	{"EdgedAlarmOpen", `edged_alarm_open{alarm="time"}`, "1x40", 31},
	{"EdgedLinkDown", "edged_uplink_connected", "0x20", 16},
}

// calmSeries is an appliance of which nothing is to be said.
var calmSeries = []string{`up{job="edged"}=1`, `edged_state{state="stopped"}=0`, `edged_state{state="attention"}=0`, "edged_ready=1", "edged_uplink_connected=1",
	"edged_uplink_oldest_waiting_seconds=3599", "edged_studies_late=0", "edged_spool_full_seconds=259201", "edged_spool_damaged_no_copy_objects=0",
	"edged_spool_damaged_hub_copy_objects=0", "edged_objects_quarantined_total=4", "edged_uplink_not_believed_total=2", `edged_refused_by_reason_total{reason="unknown_calling"}=90`,
	`edged_refused_by_reason_total{reason="tls_failed"}=90`, `edged_logins_total{result="failed"}=90`, `edged_logins_total{result="locked"}=9`, "edged_certificate_end_timestamp_seconds=0",
	`edged_tls_certificate_end_timestamp_seconds{of="page"}=9000000`, "edged_clock_synchronised=1", `edged_device_last_seen_timestamp_seconds{ae_title="MR1"}=0`,
	"edged_audit_messages_failing=0", "edged_audit_messages_lost_total=3", `edged_alarm_open{alarm="time"}=0`}

const (
	seriesOf = "\n      - {series: '%s', values: '%s'}"
	firing   = "\n    promql_expr_test:\n      - {expr: 'count(ALERTS{alertstate=\"firing\"%s})', eval_time: %dm, exp_samples: [%s]}\n"
)

// hub is there in each case: without one the line is nobody's matter.
func (c alertCase) yaml() string {
	return "\n  - interval: 1m\n    input_series:" + fmt.Sprintf(seriesOf, c.series, c.values) + fmt.Sprintf(seriesOf, "edged_uplink_nodes", "2x4400") +
		fmt.Sprintf(firing, `,alertname="`+c.alert+`"`, c.minute, "{value: 1}")
}

func calmYAML(minute int) string {
	text := "\n  - interval: 1m\n    input_series:" + fmt.Sprintf(seriesOf, "edged_uplink_nodes", "2x100")
	for _, s := range calmSeries {
		at := strings.LastIndex(s, "=")
		text += fmt.Sprintf(seriesOf, s[:at], s[at+1:]+"x100")
	}
	return text + fmt.Sprintf(firing, "", minute, "")
}

// promtool runs Prometheus' own tool, which Debian has in package prometheus; `make test`
// does not install it, because that would start a server which listens on all addresses.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not in PATH: alert rules and the dashboard's questions are not tried (Debian: prometheus)")
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("promtool %s: %v\n%s", args, err, out)
	}
}

var alertName = regexp.MustCompile(`- alert: (\w+)`)

// Each alert has a case, fires in it, and is silent where all is well.
func TestEachAlertFiresAndNoneWithoutAReason(t *testing.T) {
	rules, err := filepath.Abs(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	text := "rule_files: [" + rules + "]\nevaluation_interval: 1m\ntests:" + calmYAML(1) + calmYAML(70)
	for _, c := range alertCases {
		text += c.yaml()
	}
	for _, name := range alertName.FindAllStringSubmatch(readFile(t, alertRules), -1) {
		if !strings.Contains(text, `"`+name[1]+`"`) {
			t.Errorf("nothing here makes %s fire", name[1])
		}
	}
	promtool(t, "test", "rules", written(t, text))
}

// What the panels ask is PromQL; the two names that Grafana puts in are put in.
func TestTheDashboardAsksInPromQL(t *testing.T) {
	grafana := strings.NewReplacer("$__rate_interval", "2m", "$instance", ".*")
	text := "groups:\n  - name: panels\n    rules:"
	for i, q := range regexp.MustCompile(`"expr": (".*"),?`).FindAllStringSubmatch(readFile(t, dashboard), -1) {
		text += fmt.Sprintf("\n      - {record: 'panel:%d', expr: %s}", i, grafana.Replace(q[1]))
	}
	if n := strings.Count(text, "record:"); n < 30 {
		t.Fatalf("%d questions found", n)
	}
	promtool(t, "check", "rules", written(t, text))
}

func written(t *testing.T, text string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "promtool.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
