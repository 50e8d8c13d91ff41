package main

import "edged/internal/config"

// Limits bound what one appliance may take of this node, and all together.
type Limits struct {
	Appliances    int             `yaml:"appliances"`
	ApplianceRate config.BitRate  `yaml:"appliance_rate"`
	PartialBytes  config.ByteSize `yaml:"partial_bytes"`
}

func defaultLimits() Limits {
	return Limits{Appliances: 10_000, PartialBytes: 64 << 30}
}

// leastRate is what a Put of an appliance needs to come within a moment.
const leastRate = 1_000_000

func (l *Limits) check(add func(key, format string, args ...any)) {
	if l.Appliances < 1 {
		add("limits.appliances", "%d: nobody could connect; the default is 10000", l.Appliances)
	}
	if l.ApplianceRate != 0 && l.ApplianceRate < leastRate {
		add("limits.appliance_rate", "%s: want at least 1Mbit/s, or 0 for no limit", l.ApplianceRate)
	}
	if l.PartialBytes < 1<<30 {
		add("limits.partial_bytes", "%s: want at least 1GiB: no object of an appliance may be larger", l.PartialBytes)
	}
}
