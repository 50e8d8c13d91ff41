package page

import (
	"regexp"
	"strings"
	"testing"

	"edged/agent/status"
)

func TestMetricsCarryTheCounters(t *testing.T) {
	body := text(t, ask(t, scenes()["attention"], "/metrics"))
	d := scenes()["certificate"]
	if raw := text(t, ask(t, d, "/metrics")); !strings.Contains(raw, "\nedged_certificate_end_timestamp_seconds 1.796") {
		t.Error("the end of the certificate is not among them")
	}
	for _, want := range []string{
		"edged_objects_received_total 1.248036e+06", "edged_objects_at_hub_total 1.247812e+06", "edged_objects_archived_total 1.247206e+06",
		"edged_refused_total 3", "edged_objects_quarantined_total 2", "edged_spool_objects 48211", "edged_spool_bytes 3.14e+10",
		"edged_spool_free_bytes 1.72e+12", "edged_uplink_connected 1", "edged_uplink_backlog_objects 224", "edged_uplink_backlog_bytes 1.17e+08",
		"edged_uplink_rate_bytes_per_second 5.15e+07", "edged_dicom_associations 2", "edged_ready 1",
		"edged_uplink_lanes 4", "edged_uplink_cap_bytes_per_second 7.5e+07", "edged_uplink_cap_backfill_bytes_per_second 1.25e+07", "edged_uplink_paused 0", "edged_uplink_udp_open 1",
		"edged_uplink_bytes_total 6.4e+11", "edged_uplink_wire_bytes_total 6.57e+11", "edged_uplink_receipts_total 1.3e+06", "edged_uplink_connects_total 5", "edged_uplink_switches_total 1",
		"edged_uplink_nodes 3", "edged_uplink_nodes_set_aside 1", `edged_uplink_carrier{carrier="quic"} 1`, `edged_uplink_carrier{carrier="tcp"} 0`, `edged_uplink_why{why="faster"} 1`, `edged_uplink_why{why="proxy"} 0`,
		`edged_uplink_carrier_lanes{carrier="quic"} 4`, `edged_uplink_carrier_goodput_bytes_per_second{carrier="tcp"} 1.625e+07`, `edged_uplink_carrier_rtt_seconds{carrier="quic"} 0.0213`,
		`edged_uplink_carrier_loss_ratio{carrier="quic"} 0.00022`, `edged_uplink_carrier_loss_ratio{carrier="tcp"} NaN`, `edged_uplink_class_bytes_total{class="backfill"} 3.9e+10`,
		`edged_uplink_class_rate_bytes_per_second{class="routine"} 4.125e+07`, "edged_uplink_linetest_timestamp_seconds 0", `edged_uplink_linetest_bytes_per_second{carrier="quic"} 0`,
		`edged_state{state="attention"} 1`, `edged_state{state="ok"} 0`, `edged_warning{warning="keep_hub"} 1`, `edged_build_info{version="0.1.0"} 1`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
}

// P10: neither devices nor studies are in the metrics, and strangers cannot
// make new time series (P9).
func TestMetricsNameNobody(t *testing.T) {
	body := text(t, ask(t, hostile("EVIL^NAME"), "/metrics"))
	if strings.Contains(body, "EVIL") {
		t.Error("text from outside is in the metrics")
	}
	a, b := ordinary(), ordinary()
	b.devices = append(b.devices, status.Device{AETitle: "NEW"})
	if series(text(t, ask(t, a, "/metrics"))) != series(text(t, ask(t, b, "/metrics"))) {
		t.Error("a device makes a time series")
	}
}

var seriesName = regexp.MustCompile(`(?m)^edged_\S+`)

func series(body string) int { return len(seriesName.FindAllString(body, -1)) }

// Names as Prometheus wants them: counters end in _total, nothing else does.
func TestMetricNamesFollowTheConvention(t *testing.T) {
	for _, line := range strings.Split(text(t, ask(t, ordinary(), "/metrics")), "\n") {
		f := strings.Fields(line)
		if len(f) == 4 && f[1] == "TYPE" && strings.HasPrefix(f[2], "edged_") && strings.HasSuffix(f[2], "_total") != (f[3] == "counter") {
			t.Errorf("%s is a %s", f[2], f[3])
		}
	}
}
