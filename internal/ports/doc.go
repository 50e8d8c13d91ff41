// Package ports finds ports on loopback for servers that are told their port
// before they open it: peers of tests and of `make interop`.
//
// It promises a port outside the range that the kernel gives to who calls
// (net.ipv4.ip_local_port_range): one from that range may be taken by any
// connection between choosing and listening, and a client that knocks at it until
// somebody answers can connect to itself, which keeps the server out. No port is
// given twice in a process. It does not reserve anything: a program that can
// listen on port 0 does that instead.
package ports
