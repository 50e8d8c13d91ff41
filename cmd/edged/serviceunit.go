package main

import (
	"fmt"
	"net"
	"strings"
)

// lowPort is the first port that needs no capability (ip_unprivileged_port_start).
const lowPort = 1024

// dropIn is what the unit needs besides for this configuration, "" for nothing.
// A capability is given only to who has a low port: it holds outside the user namespace
// of its own that the unit has else, so that goes with it.
func (c *Config) dropIn(tss bool) string {
	var lines []string
	add := func(l ...string) { lines = append(lines, l...) }
	if low := c.lowPorts(); len(low) > 0 {
		add("# "+strings.Join(low, ", "), "PrivateUsers=no", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE")
	}
	if device, ok := c.tpmDevice(); ok {
		add("# spool.key_protection: tpm", "PrivateDevices=no", "DeviceAllow="+device+" rw")
		if tss {
			add("SupplementaryGroups=tss")
		}
	}
	if !isBelow(c.DataDir, defaultDataDir) {
		add("# data_dir", "ReadWritePaths="+quoted(c.DataDir))
	}
	if len(lines) == 0 {
		return ""
	}
	return "# What edged.yaml needs of the unit. Written by `edged service install`, which writes it anew.\n[Service]\n" + strings.Join(lines, "\n") + "\n"
}

// lowPorts names the keys that have a port below 1024.
func (c *Config) lowPorts() (keys []string) {
	for _, l := range []struct{ key, address string }{{"dicom.listen", c.Dicom.Listen}, {"dicom.tls.listen", c.Dicom.TLS.Listen}, {"page.listen", c.Page.Listen}} {
		if isLow(l.address) {
			keys = append(keys, fmt.Sprintf("%s: %s", l.key, l.address))
		}
	}
	return keys
}

func isLow(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	n, err := net.LookupPort("tcp", port)
	return err == nil && n > 0 && n < lowPort
}

// tpmDevice is the device that the key is sealed by; a TPM behind a socket is none.
func (c *Config) tpmDevice() (string, bool) {
	if !c.Spool.Encryption || c.Spool.KeyProtection != "tpm" {
		return "", false
	}
	if c.Spool.TPM == "" {
		return "/dev/tpmrm0", true
	}
	return c.Spool.TPM, strings.HasPrefix(c.Spool.TPM, "/dev/")
}

// quoted is a path as a unit's value; % begins a specifier (systemd.unit(5)).
func quoted(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path) + `"`
}
