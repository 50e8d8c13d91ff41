package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"edged/hub"
)

func (d *desk) metrics() string {
	d.Helper()
	w := d.ask("GET", "/metrics", "", "")
	if w.Code != 200 {
		d.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// Names, units and help are as Prometheus wants them.
func TestMetricsAreAsPrometheusWantsThem(t *testing.T) {
	d := newDesk(t)
	problems, err := promlint.New(strings.NewReader(d.metrics())).Lint()
	d.must(err)
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "hubd_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestMetricsHaveWhatTheStatusShows(t *testing.T) {
	d := newDesk(t)
	d.busy()
	text := d.metrics()
	for _, want := range []string{
		"hubd_objects_received_total 13", "hubd_objects_archived_total 2", "hubd_objects_held 1", "hubd_objects_lost 1", "hubd_appliances_enrolled 3", "hubd_ready 1",
		`hubd_quarantined_objects{destination="vna"} 3`, `hubd_backlog_objects{destination="copy"} 12`, `hubd_destination_required{destination="copy"} 0`,
		`hubd_state{state="attention"} 1`, `hubd_state{state="ok"} 0`, `hubd_storage_up 1`, `hubd_build_info{goversion="go`, `hubd_node_up{node="`,
		`hubd_ledger_commit_seconds_bucket{le="+Inf"} `, `hubd_ledger_batch_changes_bucket{le="1"} `, `hubd_carrier_connections{carrier="tcp"} 0`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no line %q", want)
		}
	}
}

var series = regexp.MustCompile(`(?m)^hubd_\S+`)

// P10 and P9: neither a study, nor an appliance, nor what an archive says is in the
// metrics, and none of them makes a time series.
func TestMetricsNameNobodyAndAreBounded(t *testing.T) {
	d := newDesk(t)
	before := len(series.FindAllString(d.metrics(), -1))
	d.busy()
	for n := range 50 {
		d.enrol(fmt.Sprintf("more%d", n), fmt.Sprintf("EVIL%d", n), byte(100+n))
		d.must(d.h.ledger.Receive(t.Context(), []hub.Object{d.object(fmt.Sprintf("more%d", n), 1000+n, "x")}))
	}
	d.h.desk.mu.Lock()
	d.h.desk.at = d.h.started // the figures are old
	d.h.desk.mu.Unlock()
	text := d.metrics()
	if after := len(series.FindAllString(text, -1)); after != before {
		t.Errorf("%d series before, %d after", before, after)
	}
	for _, secret := range []string{"ROSSI", "1.2.98", "1.2.99", "box0", "more1", "EVIL", "CT1"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics have %q", secret)
		}
	}
}
