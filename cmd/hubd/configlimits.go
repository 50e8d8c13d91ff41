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
