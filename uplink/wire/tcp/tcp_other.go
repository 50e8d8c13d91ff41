//go:build !linux

package tcp

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Gap: what the socket can do elsewhere than on Linux is left to the system.

func tune(*net.TCPConn, time.Duration) (string, error) { return "", nil }

func setDSCP(*net.TCPConn, uint8) error { return fmt.Errorf("DSCP: %w", errors.ErrUnsupported) }

func setLowWater(*net.TCPConn, int) error { return nil }

func info(*net.TCPConn) (Stats, error) {
	return Stats{}, fmt.Errorf("TCP_INFO: %w", errors.ErrUnsupported)
}
