package uplink

import (
	"context"
	"errors"
	"fmt"
)

var errNoTCP = errors.New("TLS over TCP is not there")

// dialTCP connects by TLS over TCP.
func (u *Uplink) dialTCP(_ context.Context, addr string) (carrier, error) {
	return nil, fmt.Errorf("connect to %s: %w", addr, errNoTCP)
}

// byeError is the hub's last word on a TCP lane.
type byeError struct {
	Code   uint64
	Reason string
}

// Error implements error.
func (e *byeError) Error() string {
	return fmt.Sprintf("the hub closed the connection: code %d %s", e.Code, e.Reason)
}
