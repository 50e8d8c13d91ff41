// Package configs has files of this folder for programs that write them where they
// belong: `edged service install`.
//
// It promises that they are these files, byte for byte. It deliberately changes and
// reads nothing of them.
package configs

import _ "embed"

// EdgedService is the systemd unit of an appliance.
//
//go:embed edged.service
var EdgedService string

// EdgedSysusers is who an appliance runs as (sysusers.d(5)).
//
//go:embed edged.sysusers.conf
var EdgedSysusers string

// EdgedYAML is the configuration with every key at its default.
//
//go:embed edged.yaml
var EdgedYAML string
