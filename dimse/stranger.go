package dimse

import "net"

// StrangerObserver is an Observer that is also told of connections which ended
// before anybody had said who it was. err is an *AbortError of ours when what
// came was no DICOM, a TLS error (wrapped) when TLS was not agreed, ErrTimeout
// when nothing came, and ErrLost when the peer went away, as a port scan or a
// health check does. Called on the goroutine of the connection.
type StrangerObserver interface {
	Observer
	Strange(from net.Addr, err error)
}
