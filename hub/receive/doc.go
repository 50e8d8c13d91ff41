// Package receive is the hub's end of the uplink: it listens for appliances
// over QUIC, takes the objects they offer, and tells them what became of them.
//
// It promises:
//   - who has no certificate that Config.Device accepts completes no handshake;
//   - a receipt is sent only after the object is sealed in the store and
//     Ledger.Receive has returned (SPOOL-19);
//   - partial objects, answers and receipts are scoped to the appliance:
//     claiming an ID proves nothing, each appliance sends its own bytes;
//   - of two streams that send the same object of one appliance the newer wins;
//   - offers without an end, bytes of partial objects, connections and streams of
//     an appliance are bounded (P9).
//
// It deliberately does not decide what is archived, keeps no rows and does not
// look into data sets. The frames are documented in package uplink.
package receive
