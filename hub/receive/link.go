package receive

import (
	"context"

	"edged/uplink/wire"
)

// The carriers, as Connection.Carrier names them.
const (
	carrierQUIC = "quic"
	carrierTCP  = "tcp"
)

// link is one connection of an appliance, whatever carries it. Hello is called
// first and once, then Parts; Say and Close come from any goroutine.
type link interface {
	// Hello waits for the first frame.
	Hello(ctx context.Context) (wire.Frame, error)

	// Parts are what gives the frames that come to n: control1 in their order,
	// put and probed. They run side by side until the first of them ends.
	Parts(n *session) []func(context.Context) error

	// Say writes whole frames. An appliance that does not take them within
	// writeWait is given up.
	Say(frames []byte) error

	// Close says why, if it can, and ends the parts and whoever is in Say. Only
	// the first call counts, and it does not wait.
	Close(code uint64, reason string)
}
