// Package door is the hub's TCP port. It accepts connections, brings their TLS
// handshake to an end, and hands on who offers ALPN "edged/1" (RFC 7301) to the
// uplink, everybody else to HTTP.
//
// It promises:
//   - who has not proved to be an appliance is a stranger; the number of strangers is
//     bounded in all and for each address (an IPv4 address, an IPv6 /64);
//   - when all places are taken, one of the address that has most of them makes
//     room: the oldest if it is slow, else anyone. So who opens many and is slow stands
//     in their own way, who is quick comes through (P9, P11), and a rush of quick ones is
//     served in part, never not at all;
//   - a handshake takes at most Config.Handshake, whatever the peer sends how slowly;
//   - appliances do not count: who has a certificate is bounded elsewhere.
//
// It deliberately decides nothing about certificates: the two TLS configurations do.
package door
