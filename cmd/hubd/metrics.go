package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"edged/hub/ledger"
)

// styleHash lets the pages' one style through their own policy (CSP level 2).
var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// metric is one figure of a T, for each label that it has.
type metric[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(T) float64
}

const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue

func single(name, help string, kind prometheus.ValueType, of func(Status) float64) metric[Status] {
	return metric[Status]{prometheus.NewDesc(name, help, nil, nil), kind, of}
}

// one of several values of a label that are known beforehand.
func labelled(name, help, label, value string, of func(Status) float64) metric[Status] {
	return metric[Status]{prometheus.NewDesc(name, help, nil, prometheus.Labels{label: value}), gauge, of}
}

func carried(carrier string) metric[Status] {
	return labelled("hubd_carrier_connections", "Open uplink connections by what carries them.", "carrier", carrier, func(s Status) float64 { return float64(s.Devices.Carriers[carrier]) })
}

func inState(state string) metric[Status] {
	return labelled("hubd_state", "1 for the state that the hub is in.", "state", state, func(s Status) float64 { return truth(s.State == state) })
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func each[T any](label, name, help string, of func(T) float64) metric[T] {
	return metric[T]{prometheus.NewDesc(name, help, []string{label}, nil), gauge, of}
}

func ofDestination(name, help string, of func(DestinationStatus) float64) metric[DestinationStatus] {
	return each("destination", name, help, of)
}

// Nothing here is by appliance, study or anybody's text: what can make a time series
// is what the configuration names.
var metrics = []metric[Status]{
	single("hubd_objects_received_total", "Objects for the life of the data directory.", counter, func(s Status) float64 { return float64(s.Counters.Objects) }),
	single("hubd_received_bytes_total", "Data set bytes of these objects.", counter, func(s Status) float64 { return float64(s.Counters.Bytes) }),
	single("hubd_receipts_total", "Receipts given to appliances.", counter, func(s Status) float64 { return float64(s.Counters.Receipts) }),
	single("hubd_objects_archived_total", "Objects that every required destination has.", counter, func(s Status) float64 { return float64(s.Counters.Archived) }),
	single("hubd_test_objects_total", "Objects of self-tests, which count nowhere else.", counter, func(s Status) float64 { return float64(s.Counters.Tests) }),
	single("hubd_receive_objects_per_second", "Mean of the last minute.", gauge, func(s Status) float64 { return s.Rates.ObjectsPerSecond }),
	single("hubd_receive_bytes_per_second", "Mean of the last minute.", gauge, func(s Status) float64 { return s.Rates.BytesPerSecond }),
	single("hubd_archive_objects_per_second", "Mean of the last minute.", gauge, func(s Status) float64 { return s.Rates.ArchivedPerSecond }),
	single("hubd_objects_held", "Objects held for an administrator.", gauge, func(s Status) float64 { return float64(s.Counters.Held) }),
	single("hubd_objects_lost", "Objects whose copy here is missing or damaged, asked for again.", gauge, func(s Status) float64 { return float64(s.Counters.Lost) }),
	single("hubd_objects_unrouted", "Objects that no required destination is for: never archived.", gauge, func(s Status) float64 { return float64(s.Counters.Unrouted) }),
	single("hubd_disk_free_bytes", "Bytes free on the disk of the objects.", gauge, func(s Status) float64 { return float64(s.Disk.FreeBytes) }),
	single("hubd_disk_reserve_bytes", "Bytes of them that stay free: below that nothing is received.", gauge, func(s Status) float64 { return float64(s.Disk.ReserveBytes) }),
	single("hubd_storage_up", "0 while the disk or the bucket of the objects takes nothing.", gauge, func(s Status) float64 { return truth(!s.Disk.Full && s.bucket == "") }),
	single("hubd_appliances_enrolled", "Appliances that have enrolled.", gauge, func(s Status) float64 { return float64(s.Devices.Enrolled) }),
	single("hubd_appliances_revoked", "Appliances that are let in no more.", gauge, func(s Status) float64 { return float64(s.Devices.Revoked) }),
	single("hubd_appliances_connected", "Appliances connected to this node.", gauge, func(s Status) float64 { return float64(s.here) }),
	single("hubd_connections", "Open uplink connections.", gauge, func(s Status) float64 { return float64(s.Devices.Connections) }),
	carried("quic"),
	carried("tcp"),
	single("hubd_strangers", "Open connections to the TCP port that are not of appliances.", gauge, func(s Status) float64 { return float64(s.Strangers) }),
	single("hubd_warnings", "Things that an administrator should look at; the console says which.", gauge, func(s Status) float64 { return float64(len(s.Warnings)) }),
	inState("ok"), inState("catching_up"), inState("attention"), inState("stopped"),
}

var destinationMetrics = []metric[DestinationStatus]{
	ofDestination("hubd_backlog_objects", "Objects that a destination has not got yet.", func(d DestinationStatus) float64 { return float64(d.BacklogObjects) }),
	ofDestination("hubd_backlog_bytes", "Bytes of these objects.", func(d DestinationStatus) float64 { return float64(d.BacklogBytes) }),
	ofDestination("hubd_backlog_oldest_seconds", "Age of the oldest of these objects.", func(d DestinationStatus) float64 { return d.OldestSeconds }),
	ofDestination("hubd_held_objects", "Objects held before a destination.", func(d DestinationStatus) float64 { return float64(d.Held) }),
	ofDestination("hubd_quarantined_objects", "Objects that a destination has refused for good.", func(d DestinationStatus) float64 { return float64(d.Quarantined) }),
	ofDestination("hubd_skipped_objects", "Archived objects that a destination that is not required never gets, because there was no room or no more time for them.", func(d DestinationStatus) float64 { return float64(d.Skipped) }),
	ofDestination("hubd_uncommitted_objects", "Objects that a destination has stored and not committed itself to yet.", func(d DestinationStatus) float64 { return float64(d.Uncommitted) }),
	ofDestination("hubd_uncommitted_oldest_seconds", "How long the oldest of these objects is stored.", func(d DestinationStatus) float64 { return d.WaitedSeconds }),
	ofDestination("hubd_unconfirmed_objects", "Objects that no storage commitment can confirm, because other contents have their SOP Instance UID.", func(d DestinationStatus) float64 { return float64(d.Unconfirmed) }),
	ofDestination("hubd_commitment_up", "0 while a destination cannot be asked for storage commitment.", func(d DestinationStatus) float64 { return truth(d.CommitmentError == "") }),
	ofDestination("hubd_destination_up", "0 while a destination cannot be reached.", func(d DestinationStatus) float64 { return truth(d.Error == "") }),
	ofDestination("hubd_destination_required", "1 where archived waits for the destination.", func(d DestinationStatus) float64 { return truth(d.Required) }),
}

var sinkMetrics = []metric[SinkStatus]{
	each("sink", "hubd_sink_backlog_events", "Study events that a sink has not taken yet.", func(s SinkStatus) float64 { return float64(s.Waiting) }),
	each("sink", "hubd_sink_oldest_seconds", "Age of the oldest of these events.", func(s SinkStatus) float64 { return s.OldestSeconds }),
	each("sink", "hubd_sink_failed_events", "Study events that a sink has refused for good.", func(s SinkStatus) float64 { return float64(s.Failed) }),
}

var nodeMetrics = []metric[Node]{
	each("node", "hubd_node_up", "1 for a node that was heard lately.", func(n Node) float64 { return truth(n.Alive) }),
	each("node", "hubd_node_start_timestamp_seconds", "When a node was started.", func(n Node) float64 { return float64(n.StartedAt.UnixMilli()) / 1000 }),
}

// maxNodes bounds the time series of nodes, whatever names they take.
const maxNodes = 64

var (
	buildInfo  = prometheus.NewDesc("hubd_build_info", "1 for this program.", nil, prometheus.Labels{"version": programVersion(), "goversion": runtime.Version()})
	readyDesc  = prometheus.NewDesc("hubd_ready", "1 while an object that comes now would be received.", nil, nil)
	commitDesc = prometheus.NewDesc("hubd_ledger_commit_seconds", "How long a transaction of the ledger took, until it was durable.", nil, nil)
	batchDesc  = prometheus.NewDesc("hubd_ledger_batch_changes", "How many changes a transaction of the ledger had.", nil, nil)
)

// collector turns Status into metrics when it is asked.
type collector struct{ c *console }

func newRegistry(c *console) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{c}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Describe describes all of them.
func (m *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{buildInfo, readyDesc, commitDesc, batchDesc} {
		out <- d
	}
	describe(out, metrics)
	describe(out, destinationMetrics)
	describe(out, sinkMetrics)
	describe(out, nodeMetrics)
}

func describe[T any](out chan<- *prometheus.Desc, all []metric[T]) {
	for _, x := range all {
		out <- x.desc
	}
}

// Collect says what there is even when the ledger cannot be asked.
func (m *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out <- prometheus.MustNewConstMetric(buildInfo, gauge, 1)
	out <- prometheus.MustNewConstMetric(readyDesc, gauge, truth(m.c.notReady() == nil))
	commits := m.c.h.ledger.Commits()
	histogram(out, commitDesc, commits.Count, commits.Seconds, ledger.CommitBounds, commits.Buckets)
	histogram(out, batchDesc, commits.Count, commits.Changes, ledger.BatchBounds, commits.Batches)
	s, err := m.c.status(ctx)
	if err != nil {
		m.c.h.log.Error("metrics", "err", err)
		return
	}
	collect(out, metrics, s)
	for _, d := range s.Destinations {
		collect(out, destinationMetrics, d, d.Name)
	}
	for _, k := range s.Sinks {
		collect(out, sinkMetrics, k, k.Name)
	}
	nodes, err := m.c.allNodes(ctx)
	if err != nil {
		m.c.h.log.Error("metrics", "err", err)
		return
	}
	for _, n := range nodes[:min(len(nodes), maxNodes)] {
		collect(out, nodeMetrics, n, n.ID)
	}
}

func collect[T any](out chan<- prometheus.Metric, all []metric[T], of T, labels ...string) {
	for _, x := range all {
		out <- prometheus.MustNewConstMetric(x.desc, x.kind, x.of(of), labels...)
	}
}

func histogram(out chan<- prometheus.Metric, desc *prometheus.Desc, count uint64, sum float64, bounds []float64, counts []uint64) {
	buckets := map[float64]uint64{}
	for i, n := range counts {
		buckets[bounds[i]] = n
	}
	out <- prometheus.MustNewConstHistogram(desc, count, sum, buckets)
}
