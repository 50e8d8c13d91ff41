//go:build !linux

package udp

import "net"

// Conn is the plain socket where there is nothing to add.
type Conn struct{ *net.UDPConn }

// Wrap takes c over. DSCP and buffers are left to the system here.
func Wrap(c *net.UDPConn, o Options) (*Conn, error) {
	if _, err := o.withDefaults(); err != nil {
		return nil, err
	}
	return &Conn{c}, nil
}

// Stats knows nothing here.
func (c *Conn) Stats() Stats { return Stats{} }
