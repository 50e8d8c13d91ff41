package main

import (
	"os"
	"strings"
	"testing"

	"edged/dimse"
	"edged/internal/synth"
)

// What monitors ask is in a scrape of the real program: why somebody was refused, when a
// configured device was heard last, alarms, causes, clock, log-ins, audit messages; and
// nothing of a patient, nor of who only called (P9, P10).
func TestAScrapeHasWhatTheDashboardAsksFor(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, address: 127.0.0.1}, {ae_title: MR1, address: 10.9.9.9}]}`+"\n"+alone+repo.section(""), "")
	r.startEdged()
	o := synthetic(t, 61, synth.Bench(1, 10<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	r.rejected(r.dimseConfig("STRANGER", "EDGED"), dimse.RejectCalling)
	var body string
	r.await("the scrape to tell it", func() bool {
		body = r.page0("/metrics")
		return strings.Contains(body, "\nedged_device_stored_total{ae_title=\"CT1\"} 1\n") && strings.Contains(body, "\nedged_refused_by_reason_total{reason=\"unknown_calling\"} 1\n") &&
			!strings.Contains(body, "\nedged_audit_messages_waiting 0\n") && strings.Contains(body, "\nedged_audit_messages_failing 1\n")
	})
	dashboard, err := os.ReadFile("../../configs/grafana-edged.json")
	ok(t, err)
	for _, name := range []string{"edged_alarm_open{alarm=\"time\"}", "edged_finding_studies{cause=\"fiscal_code\"}", "edged_logins_total{result=\"failed\"} 0", "edged_device_last_seen_timestamp_seconds{ae_title=\"MR1\"} 0",
		"edged_clock_synchronised ", "edged_tls_certificate_end_timestamp_seconds{of=\"syslog\"}", "edged_studies_late 0", "edged_uplink_oldest_waiting_seconds ", "edged_audit_messages_configured 1"} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("no %s", name)
		}
		if metric, _, _ := strings.Cut(name, "{"); strings.Contains(name, "alarm") && !strings.Contains(string(dashboard), metric) {
			t.Errorf("the dashboard does not ask for %s", metric)
		}
	}
	for _, never := range []string{"STRANGER", "PROVA", uidOfStudy(t, o), o.names.SOPInstance} {
		if strings.Contains(strings.ToUpper(body), strings.ToUpper(never)) {
			t.Errorf("%q is in the metrics", never)
		}
	}
	if st, err := r.control().status(t.Context()); err != nil || st.Clock.State == "" {
		t.Errorf("the status says nothing about the clock: %+v, %v", st.Clock, err)
	}
}
