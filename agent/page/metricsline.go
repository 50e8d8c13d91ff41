package page

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"edged/agent/status"
)

// Figures of the line that come once for each carrier or class. The labels are
// fixed words: nothing that a hub says makes a time series (P9).

// ofCarrier is a gauge for each of status.Transports.
type ofCarrier struct {
	desc  *prometheus.Desc
	value func(status.Status, status.Carrier) float64
}

var carrierMeasures = []ofCarrier{
	{desc("uplink_carrier", "1 for the carrier in use.", "carrier"),
		func(s status.Status, c status.Carrier) float64 {
			return float64(one(s.Uplink.Transport == c.Transport))
		}},
	{desc("uplink_carrier_lanes", "Connections of a carrier, also those that only measure.", "carrier"),
		func(_ status.Status, c status.Carrier) float64 { return float64(c.Lanes) }},
	{desc("uplink_carrier_goodput_bytes_per_second", "What a carrier carried when it was last measured under load; 0: never.", "carrier"),
		func(_ status.Status, c status.Carrier) float64 { return float64(c.GoodputBits) / 8 }},
	{desc("uplink_carrier_rtt_seconds", "There and back, by a carrier; NaN: not known.", "carrier"),
		func(_ status.Status, c status.Carrier) float64 { return orUnknown(c.RTTMS / 1000) }},
	{desc("uplink_carrier_loss_ratio", "Share of packets of the present connections that were lost; NaN: not known.", "carrier"),
		func(_ status.Status, c status.Carrier) float64 { return lossOf(c) }},
	{desc("uplink_carrier_mtu_bytes", "Largest packet that went through; NaN: not known.", "carrier"),
		func(_ status.Status, c status.Carrier) float64 { return orUnknown(float64(c.MTU)) }},
	{desc("uplink_linetest_bytes_per_second", "What a carrier carried in the last line test; 0: nothing, or there was none.", "carrier"),
		func(s status.Status, c status.Carrier) float64 {
			return float64(lineTest(s).Of(c.Transport).GoodputBits) / 8
		}},
}

var (
	classBytesDesc = desc("uplink_class_bytes_total", "Bytes of data sets that left, by priority, since the start.", "class")
	classRateDesc  = desc("uplink_class_rate_bytes_per_second", "What is being sent now, by priority.", "class")
	whyDesc        = desc("uplink_why", "1 for why the carrier in use was chosen; 0 for all while there is no line.", "why")
)

func describeLine(out chan<- *prometheus.Desc) {
	for _, m := range carrierMeasures {
		out <- m.desc
	}
	out <- classBytesDesc
	out <- classRateDesc
	out <- whyDesc
}

func collectLine(s status.Status, out chan<- prometheus.Metric) {
	for _, m := range carrierMeasures {
		for _, t := range status.Transports {
			out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value(s, s.Uplink.Of(t)), string(t))
		}
	}
	for _, why := range status.WhyCodes {
		out <- level(whyDesc, one(s.Uplink.Connected && s.Uplink.Why == why), string(why))
	}
	eachClass(s.Uplink.BytesLeft, func(class string, n int64) {
		out <- prometheus.MustNewConstMetric(classBytesDesc, prometheus.CounterValue, float64(n), class)
	})
	eachClass(s.Uplink.Rates, func(class string, n int64) {
		out <- prometheus.MustNewConstMetric(classRateDesc, prometheus.GaugeValue, float64(n)/8, class)
	})
}

func eachClass(c status.Classes, f func(class string, n int64)) {
	f("urgent", c.Urgent)
	f("routine", c.Routine)
	f("backfill", c.Backfill)
}

func lineTest(s status.Status) status.LineTest {
	if s.Uplink.Test == nil {
		return status.LineTest{}
	}
	return *s.Uplink.Test
}

func lossOf(c status.Carrier) float64 {
	if share, known := c.Loss(); known {
		return share
	}
	return math.NaN()
}

func orUnknown(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

func truthOf(v *bool) float64 {
	if v == nil {
		return math.NaN()
	}
	return float64(one(*v))
}

func aside(nodes []status.Node) (n int64) {
	for _, node := range nodes {
		n += one(node.SetAside)
	}
	return n
}
