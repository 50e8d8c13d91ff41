// Hubd is the hub: appliances send it what modalities sent them, it keeps that
// until the archives have it, and says so.
//
//	hubd run                 the hub in the foreground
//	hubd check               checks the configuration
//	hubd code new            a claim code for one appliance
//	hubd recovery new        the key pair that opens the disks of broken appliances
//	hubd devices ls|approve|revoke
//	hubd objects ls|release|retry|confirm
//	hubd events ls|retry
//	hubd token new|ls|revoke who may use the API and the console (docs/api.md)
//	hubd audit verify|export the trail of changes
//	hubd receipts key|show|verify
//	hubd ledger backup|verify|restore|restored
//	hubd kpi                 figures of days
//	hubd version
//
// One port number serves all: UDP the uplink over QUIC; TCP, by ALPN (RFC 7301),
// the uplink over TLS to who offers "edged/1" and shows an approved certificate, and
// enrolment over HTTP/1.1 to everybody else.
//
// All but run may be used while the hub runs, and before it has run for the
// first time. It promises to end in an orderly way at the first SIGTERM or
// SIGINT, at once at the second, and to survive SIGKILL at any moment: who is talked
// to is sent away first, to the other nodes if there are any, then the work on what has
// come ends, and the console says to the last that the hub is not ready. It
// deliberately contains wiring and no rule: those are in the rooms below hub.
package main
