package page

import (
	"log/slog"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"edged/agent/status"
)

// metricsHandler serves a registry of its own: what other packages register
// globally never shows here.
func metricsHandler(cfg Config) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		statusCollector{cfg},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: 4,
		Timeout:             writeDeadline,
	})
}

// gauge or counter of one number of the status. No label ever carries text from
// the wire: an AE title that somebody invents would be a new time series (P9). Those of
// devices are in the configuration.
type measure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(status.Status) float64
}

func counter(name, help string, value func(status.Status) int64) measure {
	return measure{desc(name, help), prometheus.CounterValue, func(s status.Status) float64 { return float64(value(s)) }}
}

func gauge(name, help string, value func(status.Status) int64) measure {
	return measure{desc(name, help), prometheus.GaugeValue, func(s status.Status) float64 { return float64(value(s)) }}
}

// rate is told in bytes, the base unit of the convention; everywhere else a line has bits.
func rate(name, help string, bits func(status.Status) int64) measure {
	return measure{desc(name, help), prometheus.GaugeValue, func(s status.Status) float64 { return float64(bits(s)) / 8 }}
}

func moment(name, help string, value func(status.Status) time.Time) measure {
	return measure{desc(name, help), prometheus.GaugeValue, func(s status.Status) float64 { return unix(value(s)) }}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("edged_"+name, help, labels, nil)
}

// ofSpool are told while the spool is open only: a counter that began at zero with each
// start, and then jumped to what it was, would be read as so many that came at once.
var ofSpool = []measure{
	counter("objects_received_total", "Instances made durable here, for the life of the data directory.",
		func(s status.Status) int64 { return s.Counters.Received }),
	counter("objects_at_hub_total", "Instances with a receipt from the hub.",
		func(s status.Status) int64 { return s.Counters.AtHub }),
	counter("objects_archived_total", "Instances confirmed by the archive.",
		func(s status.Status) int64 { return s.Counters.Archived }),
	counter("objects_quarantined_total", "Instances that were set aside.",
		func(s status.Status) int64 { return s.Counters.Quarantined }),
	counter("objects_discarded_total", "Instances that a person deleted here, with a reason, after a copy was made.",
		func(s status.Status) int64 { return s.Counters.Discarded }),
	counter("refused_total", "Associations rejected and instances answered with a failure.",
		func(s status.Status) int64 { return s.Counters.Refused }),
	counter("objects_unreadable_total", "Instances received whose header could not be read; they are kept and sent as they are.",
		func(s status.Status) int64 { return s.Findings.Unreadable }),
	gauge("objects_conflicting", "Instances here that share a SOP Instance UID with another one of other contents; all are kept.",
		func(s status.Status) int64 { return s.Findings.Conflicts }),
	gauge("spool_objects", "Instances on the disk of this appliance.",
		func(s status.Status) int64 { return s.Spool.Objects }),
	gauge("spool_bytes", "Bytes of the spool on the disk of this appliance.",
		func(s status.Status) int64 { return s.Spool.Bytes }),
	gauge("spool_free_bytes", "Bytes that the spool may still take.",
		func(s status.Status) int64 { return s.Spool.FreeBytes }),
	{desc("spool_full_seconds", "Time until the spool is full if images come as in the last 24 hours and none leave; NaN: not known."), prometheus.GaugeValue,
		func(s status.Status) float64 { return 86400 * orNaN(s.Spool.DaysLeft) }},
	gauge("spool_unfinished_objects", "Files that a power cut left half written.",
		func(s status.Status) int64 { return s.Spool.Unfinished }),
	gauge("spool_damaged_hub_copy_objects", "Instances damaged or gone here of which the hub has a good copy.",
		func(s status.Status) int64 { return s.Spool.Damage.HubHasCopy }),
	gauge("spool_damaged_no_copy_objects", "Instances damaged or gone here of which no other copy is known.",
		func(s status.Status) int64 { return s.Spool.Damage.NoOtherCopy }),
	counter("spool_scrub_objects_total", "Instances read again and compared, since the start.",
		func(s status.Status) int64 { return s.Spool.Scrub.Objects }),
	counter("spool_scrub_bytes_total", "Bytes read again and compared, since the start.",
		func(s status.Status) int64 { return s.Spool.Scrub.Bytes }),
	counter("spool_scrub_damaged_total", "Instances that were found damaged in this way, since the start.",
		func(s status.Status) int64 { return s.Spool.Scrub.Damaged }),
	moment("spool_scrub_passed_timestamp_seconds", "When all instances had last been read again; 0 means not yet.",
		func(s status.Status) time.Time { return s.Spool.Scrub.PassedAt }),
	gauge("uplink_backlog_objects", "Instances received that are not yet at the hub.",
		func(s status.Status) int64 { return s.Uplink.BacklogObjects }),
	gauge("uplink_backlog_bytes", "Bytes received that are not yet at the hub.",
		func(s status.Status) int64 { return s.Uplink.BacklogBytes }),
	moment("last_received_timestamp_seconds", "When the last instance was received; 0 means never.",
		func(s status.Status) time.Time { return s.LastReceivedAt }),
	moment("last_archived_timestamp_seconds", "When the archive last confirmed an instance; 0 means never.",
		func(s status.Status) time.Time { return s.LastArchivedAt }),
}

var measures = []measure{
	gauge("commitments_pending", "Storage commitment requests of devices that are not answered yet.",
		func(s status.Status) int64 { return s.DICOM.Commitments.Requests }),
	gauge("commitments_unreached", "Of those, requests of devices that did not answer when they were called last.",
		func(s status.Status) int64 { return s.DICOM.Commitments.Unreached }),
	gauge("spool_recovering_read", "Files read of those that a start has to read; 0 when it has ended.",
		func(s status.Status) int64 { return recovering(s).Done }),
	gauge("spool_recovering_files", "Files that a start has to read; 0 when it has ended.",
		func(s status.Status) int64 { return recovering(s).Total }),
	gauge("uplink_connected", "1 while the hub is connected.",
		func(s status.Status) int64 { return one(s.Uplink.Connected) }),
	rate("uplink_rate_bytes_per_second", "What is being sent now.",
		func(s status.Status) int64 { return s.Uplink.RateBitsPerSecond }),
	gauge("uplink_lanes", "Connections to the hub side by side.",
		func(s status.Status) int64 { return s.Uplink.Lanes }),
	rate("uplink_cap_bytes_per_second", "Cap of the line in force now; 0: unlimited.",
		func(s status.Status) int64 { return s.Uplink.CapBits }),
	rate("uplink_cap_backfill_bytes_per_second", "Cap of back-filling in force now; 0: none of its own.",
		func(s status.Status) int64 { return s.Uplink.CapBackfill }),
	gauge("uplink_paused", "1 while somebody has paused sending.",
		func(s status.Status) int64 { return one(!s.Uplink.PausedUntil.IsZero()) }),
	moment("uplink_paused_until_timestamp_seconds", "When a pause ends; 0 means there is none.",
		func(s status.Status) time.Time { return s.Uplink.PausedUntil }),
	{desc("uplink_udp_open", "1 if UDP gets through to the hub, 0 if not; NaN: not known."), prometheus.GaugeValue,
		func(s status.Status) float64 { return truthOf(s.Uplink.UDPOpen) }},
	gauge("uplink_in_flight_objects", "Instances offered to the hub without an answer to the end.",
		func(s status.Status) int64 { return s.Uplink.InFlight }),
	gauge("uplink_nodes", "Nodes of the hub in the configuration.",
		func(s status.Status) int64 { return int64(len(s.Uplink.Nodes)) }),
	gauge("uplink_nodes_set_aside", "Of these, nodes left alone because they were not believed.",
		func(s status.Status) int64 { return aside(s.Uplink.Nodes) }),
	counter("uplink_bytes_total", "Bytes of data sets that left, since the start.",
		func(s status.Status) int64 { return s.Uplink.BytesSent }),
	counter("uplink_wire_bytes_total", "The same with what carries them, and line tests, as the cap counts it.",
		func(s status.Status) int64 { return s.Uplink.WireBytes }),
	counter("uplink_receipts_total", "Receipts of the hub that were believed, since the start.",
		func(s status.Status) int64 { return s.Uplink.Receipts }),
	counter("uplink_not_believed_total", "Statements of a hub that were not believed, since the start.",
		func(s status.Status) int64 { return s.Uplink.NotBelieved }),
	counter("uplink_connects_total", "Connections made to the hub, since the start.",
		func(s status.Status) int64 { return s.Uplink.Connects }),
	counter("uplink_switches_total", "Changes of carrier, since the start.",
		func(s status.Status) int64 { return s.Uplink.Switches }),
	moment("uplink_linetest_timestamp_seconds", "When the last line test ended; 0 means there was none since the start.",
		func(s status.Status) time.Time { return lineTest(s).At }),
	gauge("dicom_associations", "Associations open now.",
		func(s status.Status) int64 { return s.DICOM.Associations }),
	gauge("ready", "1 while a C-STORE would be accepted.",
		func(s status.Status) int64 { return one(s.DICOM.Ready) }),
	moment("start_time_seconds", "When the daemon started.",
		func(s status.Status) time.Time { return s.StartedAt }),
	moment("certificate_end_timestamp_seconds", "When the certificate that hubs are called with ends; 0 means there is none.",
		func(s status.Status) time.Time { return s.CertificateUntil }),
	moment("status_timestamp_seconds", "When these values were gathered.",
		func(s status.Status) time.Time { return s.At }),
}

var (
	stateDesc   = desc("state", "1 for the state that the page shows, 0 for the others.", "state")
	warningDesc = desc("warning", "1 for each lasting warning that is shown.", "warning")
	buildDesc   = desc("build_info", "Always 1; the version is the label.", "version")
)

// statusCollector asks the Source once for each scrape, so that all numbers of
// a scrape are of one moment.
type statusCollector struct{ cfg Config }

var _ prometheus.Collector = statusCollector{}

func (c statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range slices.Concat(ofSpool, measures) {
		out <- m.desc
	}
	out <- stateDesc
	out <- warningDesc
	out <- buildDesc
	describeLine(out)
	describeSignals(out)
}

func (c statusCollector) Collect(out chan<- prometheus.Metric) {
	s := c.cfg.Source.Status()
	told := measures
	if !s.SpoolUnknown {
		told = slices.Concat(ofSpool, measures)
	}
	for _, m := range told {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
	for _, state := range status.States {
		out <- level(stateDesc, one(s.State == state), string(state))
	}
	for _, warning := range status.Warnings {
		out <- level(warningDesc, one(slices.Contains(s.Warnings, warning)), string(warning))
	}
	out <- level(buildDesc, 1, c.cfg.Version)
	collectLine(s, out)
	if c.cfg.Signals != nil {
		collectSignals(c.cfg.Signals(), s.At, out)
	}
}

func level(d *prometheus.Desc, value int64, label string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), label)
}

func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

func recovering(s status.Status) status.Recovering {
	if s.Recovering == nil {
		return status.Recovering{}
	}
	return *s.Recovering
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
