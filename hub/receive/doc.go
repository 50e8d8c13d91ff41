// Package receive is the hub's end of the uplink: it listens for appliances
// over QUIC, serves those that a listener of TCP has accepted, takes the objects
// they offer, and tells them what became of them.
//
// It promises:
//   - who has no certificate that Config.Device accepts completes no handshake, and
//     who is revoked while connected is cut off within five seconds;
//   - a receipt is sent only after the object is sealed in the store and
//     Ledger.Receive has returned (SPOOL-19);
//   - partial objects, answers and receipts are scoped to the appliance:
//     claiming an ID proves nothing, each appliance sends its own bytes;
//   - of two streams that send the same object of one appliance the newer wins;
//   - offers without an end, bytes of partial objects, connections and streams of
//     an appliance are bounded, and so is what it says while the ledger is slow (P9);
//   - what all of them together may have in memory is bounded, too (memory.go): beyond
//     that offers are for a little later, and less is read at once;
//   - what is short, hashing and writing, rows, flushes, is shared alike between
//     appliances, whatever number of connections each has; urgent objects go first, and
//     nothing that is small waits for a large one to be sealed;
//   - while the database does not answer appliances are sent on, as by Leave (code 6);
//   - what has a study name longer than a UID is received as of no study, and such a
//     study is acknowledged and told to nobody;
//   - who was welcomed before the ledger was restored is sent to say hello anew within a
//     few seconds, so many at once;
//   - a path that has died unnoticed holds up neither the news of an appliance that has
//     another connection, nor a new data directory of it, for more than some seconds;
//   - between Leave and Return nobody is served, and whoever is connected is sent to
//     another node of the hub, so many a second;
//   - all of this is the same over both carriers: an object begun over one goes on
//     over the other, and connections of both count together.
//
// # A session and its link
//
// A session is what one connection of an appliance means; its link is what carries
// it. Over QUIC each stream has a goroutine that reads, and a Put waits for nothing
// but the disk. Over TCP one goroutine takes the stream apart for two others:
//
//	TLS -> frames -+- Put ------> 64 KiB at a time ---> partial objects
//	               +- others ---> queue, bounded -----> ledger, answers
//	               +- Probe ----> counted, answered by Echo
//
// so that a slow ledger stops Puts only when the queue is full, and a slow disk stops
// the rest after three pieces of 64 KiB, and so a hub that is killed loses less than one
// Put a connection of what it had taken. Control frames keep their order. Who takes from
// the two queues is there while something is in them: an idle connection over TCP has two
// goroutines and no piece. One behind a proxy that has asked whether
// the hub is there (Probe 0) and is silent for three idle timeouts is ended: it has died
// and the proxy has not noticed. Without a proxy the kernel's keepalives end it.
//
// # Commits
//
// What is complete waits in lanes, urgent or not, small or large, for committers that
// all sessions share. A batch takes of each appliance one object after the other:
//
//	sessions -> lanes -> batch: Seal together, rows in one transaction -> receipts,
//	                            which each session says for itself
//
// so flushes of directories and transactions are shared by all who wait at the same
// time, and who does not read its receipts keeps nobody waiting.
//
// It deliberately does not decide what is archived, keeps no rows and does not
// look into data sets. The frames are documented in package uplink.
package receive
