package main

import (
	"fmt"
	"net"
	"strings"
)

// target is AET@HOST:PORT.
type target struct{ AET, Address string }

// UnmarshalText reads what the user typed.
func (t *target) UnmarshalText(b []byte) error {
	aet, address, ok := strings.Cut(string(b), "@")
	host, port, err := net.SplitHostPort(address)
	if !ok || err != nil || port == "" || host == "" || aet == "" || len(aet) > 16 {
		return fmt.Errorf("%q: want AET@HOST:PORT with an AE title of at most 16 characters", b)
	}
	t.AET, t.Address = aet, address
	return nil
}
