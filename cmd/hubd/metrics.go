package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// styleHash lets the page's one style through its own policy (CSP level 2).
var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// metric is one figure of Status.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(Status) float64
}

// destinationMetric is one figure of a DestinationStatus.
type destinationMetric struct {
	desc *prometheus.Desc
	of   func(DestinationStatus) float64
}

func single(name, help string, kind prometheus.ValueType, of func(Status) float64) metric {
	return metric{prometheus.NewDesc(name, help, nil, nil), kind, of}
}

// carried is the number of connections over one carrier.
func carried(carrier string) metric {
	name, help := "hubd_carrier_connections", "Open uplink connections by what carries them."
	return metric{prometheus.NewDesc(name, help, nil, prometheus.Labels{"carrier": carrier}), gauge, func(s Status) float64 {
		return float64(s.Devices.Carriers[carrier])
	}}
}

func each(name, help string, of func(DestinationStatus) float64) destinationMetric {
	return destinationMetric{prometheus.NewDesc(name, help, []string{"destination"}, nil), of}
}

const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue

var metrics = []metric{
	single("hubd_objects_received_total", "Objects for the life of the data directory.", counter, func(s Status) float64 { return float64(s.Counters.Objects) }),
	single("hubd_bytes_received_total", "Data set bytes of these objects.", counter, func(s Status) float64 { return float64(s.Counters.Bytes) }),
	single("hubd_receipts_total", "Receipts given to appliances.", counter, func(s Status) float64 { return float64(s.Counters.Receipts) }),
	single("hubd_objects_archived_total", "Objects that every required destination has.", counter, func(s Status) float64 { return float64(s.Counters.Archived) }),
	single("hubd_objects_held", "Objects held for an administrator.", gauge, func(s Status) float64 { return float64(s.Counters.Held) }),
	single("hubd_objects_lost", "Objects whose copy here is missing or damaged, asked for again.", gauge, func(s Status) float64 { return float64(s.Counters.Lost) }),
	single("hubd_disk_free_bytes", "Bytes free on the disk of the objects.", gauge, func(s Status) float64 { return float64(s.Disk.FreeBytes) }),
	single("hubd_disk_reserve_bytes", "Bytes of them that stay free: below that nothing is received.", gauge, func(s Status) float64 { return float64(s.Disk.ReserveBytes) }),
	single("hubd_devices_enrolled", "Appliances that have enrolled.", gauge, func(s Status) float64 { return float64(s.Devices.Enrolled) }),
	single("hubd_connections", "Open uplink connections.", gauge, func(s Status) float64 { return float64(s.Devices.Connections) }),
	carried("quic"),
	carried("tcp"),
	single("hubd_strangers", "Open connections to the TCP port that are not of appliances.", gauge, func(s Status) float64 { return float64(s.Strangers) }),
}

var destinationMetrics = []destinationMetric{
	each("hubd_backlog_objects", "Objects that a destination has not got yet.", func(d DestinationStatus) float64 { return float64(d.BacklogObjects) }),
	each("hubd_backlog_bytes", "Bytes of these objects.", func(d DestinationStatus) float64 { return float64(d.BacklogBytes) }),
	each("hubd_backlog_oldest_seconds", "Age of the oldest of these objects.", func(d DestinationStatus) float64 { return d.OldestSeconds }),
	each("hubd_quarantined_objects", "Objects that a destination has refused for good.", func(d DestinationStatus) float64 { return float64(d.Quarantined) }),
	each("hubd_uncommitted_objects", "Objects that a destination has stored and not committed itself to yet.", func(d DestinationStatus) float64 { return float64(d.Uncommitted) }),
	each("hubd_uncommitted_oldest_seconds", "How long the oldest of these objects is stored.", func(d DestinationStatus) float64 { return d.WaitedSeconds }),
	each("hubd_unconfirmed_objects", "Objects that no storage commitment can confirm, because other contents have their SOP Instance UID.", func(d DestinationStatus) float64 { return float64(d.Unconfirmed) }),
	each("hubd_commitment_up", "0 while a destination cannot be asked for storage commitment.", func(d DestinationStatus) float64 {
		if d.CommitmentError != "" {
			return 0
		}
		return 1
	}),
	each("hubd_destination_up", "0 while a destination cannot be reached.", func(d DestinationStatus) float64 {
		if d.Error != "" {
			return 0
		}
		return 1
	}),
}

// collector turns Status into metrics when it is asked.
type collector struct{ c *console }

func newRegistry(c *console) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{c}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func (m *collector) Describe(out chan<- *prometheus.Desc) {
	for _, x := range metrics {
		out <- x.desc
	}
	for _, x := range destinationMetrics {
		out <- x.desc
	}
}

func (m *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := m.c.status(ctx)
	if err != nil {
		m.c.h.log.Error("metrics", "err", err)
		return
	}
	for _, x := range metrics {
		out <- prometheus.MustNewConstMetric(x.desc, x.kind, x.of(s))
	}
	for _, d := range s.Destinations {
		for _, x := range destinationMetrics {
			out <- prometheus.MustNewConstMetric(x.desc, gauge, x.of(d), d.Name)
		}
	}
}
