// Package hub is the second program's room: the words that its parts share.
//
// The parts are hub/receive (the session with an appliance), hub/objects (bytes
// on disk), hub/ledger (rows: devices, objects, receipts, jobs, confirmations),
// hub/forward (destinations) and hub/enrol (claim codes, certificates). They
// meet in the types of this package and are put together in cmd/hubd.
//
// The hub promises: a receipt is sent only after the object and the row of its
// receipt and forwarding job are durable (SPOOL-19); *archived* is said only
// after every required destination has confirmed; what one appliance sends never
// answers for another (DESIGN: the wire).
package hub
