// Package tcp sets up the TCP connections that carry the uplink, at both ends,
// and says what the kernel knows of them. It promises:
//   - BBR where the kernel offers it, and an honest name of what is used instead;
//   - about 20 ms of what the line takes wait unsent in the kernel (1 MiB at first), so that what is urgent
//     passes what is queued before it gets there;
//   - a path on which nothing is acknowledged, and a peer whose window stays
//     shut, end the connection about idle later.
//
// It deliberately knows nothing of TLS or frames, starts nothing, and changes
// nothing outside of the socket that it is given. Where it is not built for
// Linux the connection works with what the standard library sets.
//
// # BBR
//
// The congestion control of a socket is chosen by name (tcp(7), TCP_CONGESTION);
// "bbr" may be chosen by any user as soon as the module tcp_bbr is loaded, and is
// unknown (ENOENT) before. Loading it is the business of the service manager:
// configs/edged.modules-load.conf for modules-load.d(5). A process with
// CAP_NET_ADMIN has the kernel load it by choosing it. Each end decides about
// what it sends: the appliance's BBR is what carries images.
package tcp
