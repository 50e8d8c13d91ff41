package main

import (
	"net"
	"strings"
)

// target is a DICOM node as people write it: AET@HOST:PORT.
type target struct{ title, address string }

// parseTarget reads AET@HOST:PORT; the port may be left out for 104.
func parseTarget(s string) (target, error) {
	title, address, ok := strings.Cut(s, "@")
	if !ok || title == "" || address == "" {
		return target{}, usagef("--to %q: want AET@HOST:PORT, as EDGED@10.0.0.7:11112", s)
	}
	if len(title) > 16 {
		return target{}, usagef("--to %q: an AE title has at most 16 characters", s)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "104")
	}
	return target{title, address}, nil
}
