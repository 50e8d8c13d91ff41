// Package discovery announces the appliance on the local network by DNS-SD over
// multicast DNS (RFC 6762, 6763), so that who sets up a modality finds AE title, address
// and port instead of typing them (PS3.15 §H.2).
//
//	edged-1a2b3c4d Ospedale di Esempio._dicom._tcp.local      SRV port, TXT AET=EDGED
//	edged-1a2b3c4d Ospedale di Esempio._dicom-tls._tcp.local  the same, of the TLS port
//	edged-1a2b3c4d Ospedale di Esempio._https._tcp.local      the page
//
// It promises that New starts nothing, that Run withdraws (TTL 0, RFC 6762 §10.1) what it
// announced before it returns, that an interface which comes later, or gets another
// address, is announced on, that nothing that goes wrong here ends Run before its
// context, and that what is announced is what Config says: never a person, never
// loopback.
//
// It deliberately looks for nobody, answers only for its own services, and is no
// protection: anybody on the network may announce the same, so nothing here relies on
// what is announced. It leaves names of hosts to others: addresses come with each answer
// about a service, and are not answered alone. Between networks mDNS is not passed on.
//
// Gap: where another responder of mDNS runs on this machine, as avahi does, and has joined
// a network that is not among Interfaces, Linux gives the library questions of that network
// too (IP_MULTICAST_ALL of ip(7)), and it answers there, with that network's address or the
// one that the port is bound to. Who must not be found there has a firewall for it.
//
// Gap: the library does not probe for names that are taken (RFC 6762 §8); ours has 32
// bits of the appliance in it. For up to four seconds after Run a goroutine of it may
// still sleep; its sockets are closed by then.
package discovery
