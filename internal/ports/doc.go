// Package ports finds ports on loopback for servers that are told their port
// before they open it: peers of tests and of `make interop`, and daemons of tests
// that are killed and started again at the same port.
//
// It promises a port outside the range that the kernel gives to who calls
// (net.ipv4.ip_local_port_range): one from that range may be taken by any
// connection between choosing and listening, and a client that knocks at it until
// somebody answers can connect to itself, which keeps the server out. No two
// processes that ask here get the same port while both live, however late they
// listen: packages are tested beside each other. Within a process a port is given
// again only after some two thousand others. It does not reserve anything against
// who does not ask here: a program that can listen on port 0 does that instead.
package ports
