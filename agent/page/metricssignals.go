package page

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"edged/agent/status"
)

// signal is one number of status.Signals; now is the time of the scrape.
type signal struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s status.Signals, now time.Time) float64
}

func signalOf(name, help string, value func(s status.Signals, now time.Time) float64) signal {
	return signal{desc(name, help), prometheus.GaugeValue, value}
}

var signals = []signal{
	signalOf("uplink_oldest_waiting_seconds", "Age of the oldest instance that is not yet at the hub; 0: none waits.",
		func(s status.Signals, now time.Time) float64 { return age(s.OldestWaiting, now) }),
	signalOf("studies_late", "Studies not archived for longer than alarms.archive (half an hour) after their last instance came.",
		func(s status.Signals, _ time.Time) float64 { return float64(s.StudiesLate) }),
	signalOf("clock_synchronised", "1 while something keeps the clock of this machine right, 0 while nothing does; NaN: not known.",
		func(s status.Signals, _ time.Time) float64 { return synchronised(s.Clock) }),
	signalOf("clock_offset_seconds", "What the clock of this machine is still being corrected by; NaN: not known.",
		func(s status.Signals, _ time.Time) float64 { return ifSynced(s.Clock, s.Clock.OffsetSeconds) }),
	signalOf("clock_max_error_seconds", "How far off the clock of this machine may be at most; NaN: not known.",
		func(s status.Signals, _ time.Time) float64 { return ifSynced(s.Clock, s.Clock.ErrorSeconds) }),
	signalOf("audit_messages_configured", "1 while audit messages go to a repository of the facility.",
		func(s status.Signals, _ time.Time) float64 { return float64(one(s.Audit.On)) }),
	signalOf("audit_messages_failing", "1 while they do not arrive there.",
		func(s status.Signals, _ time.Time) float64 { return float64(one(!s.Audit.Failing.IsZero())) }),
	signalOf("audit_messages_waiting", "Audit messages that have not arrived at the repository yet.",
		func(s status.Signals, _ time.Time) float64 { return float64(s.Audit.Waiting) }),
	signalOf("audit_messages_bytes", "Bytes of those on the disk.",
		func(s status.Signals, _ time.Time) float64 { return float64(s.Audit.Bytes) }),
	{desc("audit_messages_lost_total", "Audit messages that were lost before they arrived, since the start."), prometheus.CounterValue,
		func(s status.Signals, _ time.Time) float64 { return float64(s.Audit.Lost) }},
}

var (
	refusedDesc     = desc("refused_by_reason_total", "Associations and instances that were refused, by reason, since the start.", "reason")
	deviceSeenDesc  = desc("device_last_seen_timestamp_seconds", "When a configured device was last heard; 0 means never.", "ae_title")
	deviceCountDesc = desc("device_stored_total", "Instances that a configured device has stored.", "ae_title")
	deviceNoDesc    = desc("device_refused_total", "Associations and instances of a configured device that were refused.", "ae_title")
	alarmDesc       = desc("alarm_open", "How many alarms of a kind are open now.", "alarm")
	findingDesc     = desc("finding_studies", "Studies here whose data want a correction, by cause.", "cause")
	certDesc        = desc("tls_certificate_end_timestamp_seconds", "When a certificate ends that this appliance shows: to devices, on its page, to the audit repository.", "of")
	loginDesc       = desc("logins_total", "Log-ins at the page: good, failed, and accounts locked, since the start.", "result")
)

// maxDeviceSeries bounds the devices with series of their own (P9).
const maxDeviceSeries = 256

func describeSignals(out chan<- *prometheus.Desc) {
	for _, m := range signals {
		out <- m.desc
	}
	for _, d := range []*prometheus.Desc{refusedDesc, deviceSeenDesc, deviceCountDesc, deviceNoDesc, alarmDesc, findingDesc, certDesc, loginDesc} {
		out <- d
	}
}

func collectSignals(s status.Signals, now time.Time, out chan<- prometheus.Metric) {
	for _, m := range signals {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s, now))
	}
	count := func(d *prometheus.Desc, n int64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label)
	}
	for _, code := range status.RefusalCodes {
		count(refusedDesc, s.Refused[code], string(code))
	}
	for _, d := range configured(s.Devices) {
		out <- prometheus.MustNewConstMetric(deviceSeenDesc, prometheus.GaugeValue, unix(d.LastSeen), d.AETitle)
		count(deviceCountDesc, d.Stored, d.AETitle)
		count(deviceNoDesc, d.Refused, d.AETitle)
	}
	for _, code := range slices.Sorted(maps.Keys(s.Alarms)) {
		out <- level(alarmDesc, s.Alarms[code], string(code))
	}
	for _, cause := range slices.Sorted(maps.Keys(s.Findings)) {
		out <- level(findingDesc, s.Findings[cause], cause)
	}
	for _, of := range slices.Sorted(maps.Keys(s.Certificates)) {
		out <- prometheus.MustNewConstMetric(certDesc, prometheus.GaugeValue, unix(s.Certificates[of]), of)
	}
	count(loginDesc, s.Logins.Good, "good")
	count(loginDesc, s.Logins.Failed, "failed")
	count(loginDesc, s.Logins.Locked, "locked")
}

// configured are the devices that may have series: each AE title once.
func configured(all []status.Device) (out []status.Device) {
	seen := make(map[string]bool)
	for _, d := range all {
		if title := status.Shown(d.AETitle); d.Known && title != "" && !seen[title] && len(out) < maxDeviceSeries {
			seen[title], d.AETitle = true, title
			out = append(out, d)
		}
	}
	return out
}

func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(now.Sub(since).Seconds(), 0)
}

func synchronised(c status.Clock) float64 {
	switch c.State {
	case status.ClockSynced:
		return 1
	case status.ClockAlone:
		return 0
	}
	return math.NaN()
}

func ifSynced(c status.Clock, v float64) float64 {
	if c.State != status.ClockSynced {
		return math.NaN()
	}
	return v
}
