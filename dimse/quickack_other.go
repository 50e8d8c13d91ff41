//go:build !linux

package dimse

import "net"

// quickAck does nothing where the kernel has no such option.
func quickAck(net.Conn) func() { return func() {} }
