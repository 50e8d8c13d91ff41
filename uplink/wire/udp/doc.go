// Package udp is the socket below QUIC on both ends of the uplink: a
// net.PacketConn that quic-go takes for its batched reads (its
// OOBCapablePacketConn, and the ReadBatch that it asks for by type).
//
// What it adds to a *net.UDPConn, on Linux:
//
//   - UDP_GRO: the kernel hands over a train of datagrams of one sender as one
//     message, with their size in a control message; here it is split again. A train
//     carries 64 KiB at most, so that a read call costs a small part of what it did:
//
//     kernel   | d0 (1452) | d1 (1452) | d2 (1452) | d3 (700) |   UDP_GRO = 1452
//     quic-go  ms[0] = d0    ms[1] = d1  ms[2] = d2  ms[3] = d3   ECN, address of the train
//
//   - buffers of the kernel as large as quic-go asks for, and Stats says what was got;
//
//   - one DSCP: on the socket for datagrams without a control message, and put
//     beside the ECN bits where quic-go writes them (RFC 2474 §3, RFC 3168 §5);
//
//   - counters, among them the size of datagrams that the path is known to carry.
//
// GSO (UDP_SEGMENT) is quic-go's own: it is on whenever the kernel has it, this
// package only counts what the trains consist of.
//
// It promises:
//   - what comes out is what went in: the same datagrams with the same bounds,
//     ECN bits, peer and destination; a datagram whose bounds or control messages are not known
//     is dropped and counted, never passed on in part (QUIC sends it again);
//   - an idle socket holds no buffer for reading: one is borrowed from a pool when
//     there is something to read, 256 KiB, and given back when all of it is handed out;
//   - an error of the network that one datagram met (ICMP, a route that is away, a
//     filter) is not the end of the socket: reading goes on, and after the first
//     datagram from outside a refused datagram counts as lost, as if it had been
//     lost later on its way. Before it such an error is told: nobody is there yet;
//   - Close and deadlines end a blocked read as they do for a *net.UDPConn.
//
// On a kernel without UDP_GRO (before 5.0) it reads in batches like quic-go, and
// on other systems it is the plain socket.
//
// It deliberately does not pace, reorder or hold back datagrams. quic-go keeps at
// most 256 packets unread for a connection and loses what is beyond, so it was tried to
// give each peer a credit that every datagram written to it renews, and to yield the
// processor after 32 or 64 datagrams: over TestTable's lines neither gained anything that
// could be told from the noise. A credit has a fault besides: whoever waits for one
// connection's makes all others of the hub's socket wait.
package udp
