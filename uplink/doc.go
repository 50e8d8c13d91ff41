// Package uplink sends objects to the hub and believes what the hub may say.
//
// It leases objects from a Source, most urgent first, offers them ahead of
// sending, sends what the hub lacks, and hands receipts and confirmations to a
// Keeper. It promises:
//   - no byte of an object, nor its name, leaves before both ends have proved
//     who they are by TLS 1.3 certificates and the hub has said Welcome (P11);
//   - an object is reported at the hub only when the hub names its ID and length
//     after all its bytes were sent on this connection or the hub said that it
//     needs none (P11);
//   - bytes that do not have the digest of their object are never completed
//     at the hub (P14);
//   - a cut connection costs at most one chunk of each object under way, and what the
//     network and the kernels at both ends held: the hub answers the next offer with
//     the offset that its file has.
//
// Run keeps to one node of the hub until it fails. A team has the lanes to it; its
// pilot decides from what was measured under load which carrier carries and on how
// many lanes. Each lane leases for itself, and all of them, urgent ones first, take
// from one bucket before a frame leaves.
//
// It deliberately keeps nothing on disk, decides nothing about forgetting, and
// does not look into data sets.
//
// # The protocol
//
// The appliance opens everything. The carrier is QUIC version 1 (RFC 9000) or TLS
// 1.3 over TCP, at the same port number, both with ALPN "edged/1" and client
// certificates, without 0-RTT and without session tickets. A connection is one
// lane; an appliance may use several of both kinds at once, and an object begun on
// one goes on over another. Over QUIC the appliance opens
//
//	the control stream    bidirectional, the first stream
//	data streams          unidirectional, one for each priority class in use
//
// Data streams carry Put and Probe frames only. All other frames travel on the
// control stream. Over TCP there is one byte stream each way, which carries all
// frames, one behind the other, in any mixture. The first frame of the control or
// byte stream is Hello, answered by Welcome; until then the appliance sends
// nothing else.
//
// # Frame
//
//	 0               1               2               3
//	 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7
//	+-------------------------------+-------------------------------+
//	|             type              |         header length         |
//	+-------------------------------+-------------------------------+
//	|                          body length                          |
//	+---------------------------------------------------------------+
//	|             header: one CBOR map, header length bytes ...
//	+---------------------------------------------------------------+
//	|                 body: body length bytes ...
//	+---------------------------------------------------------------+
//
// Integers are big endian. A header has at most 4096 bytes, a body at most
// 262144. Whoever receives more closes the connection. Frames of unknown type
// are skipped, unknown keys of a map are ignored.
//
// Headers and list bodies are CBOR (RFC 8949), core deterministic (§4.2.1): no
// indefinite lengths, no tags, no duplicate keys, at most 4 levels. Map keys are
// small unsigned integers. All strings are byte strings, because UIDs and AE
// titles are carried as the modality sent them. An ID is a byte string of 32
// bytes: SHA-256 of the tag "edged/object/1", then transfer syntax UID, SOP class
// UID and SOP instance UID, each behind its length as u16, then the data set.
//
// A list body is one CBOR array of at most 4096 items. A longer list travels as
// several frames of the same type and header, each complete in itself. A key
// that stands in brackets is left out when its value is zero, empty or false.
//
//	type  name         from       header                        body
//	   1  Hello        appliance  1 versions: [uint]            none
//	                              2 boot id: bytes, <= 64
//	                              3 data directory id: bytes, <= 64
//	                              [4 software: bytes]
//	   2  Welcome      hub        1 version: uint               none
//	                              2 ledger id: bytes, <= 64
//	                              3 generation: uint
//	                              4 max objects in flight: uint
//	                              5 max bytes in flight: uint
//	                              [6 software: bytes]
//	   3  Offer        appliance  empty map                     [object]
//	   4  Have         hub        empty map                     [answer]
//	   5  Put          appliance  1 number: uint                data set bytes, >= 1
//	                              [2 offset: uint]
//	   6  Receipt      hub        empty map                     [{1 id, 2 length}]
//	   7  Archived     hub        empty map                     [{1 seq, 2 id, 3 length, 4 at}]
//	   8  ArchivedAck  appliance  [1 of: 0 Archived, 1 Trouble] [seq: uint]
//	   9  Study        appliance  1 uid: bytes                  [id]
//	                              2 state: 0 open, 1 complete, 2 changed
//	                              3 count: uint
//	                              [4 revision: uint]
//	                              [5 found: bytes]
//	  10  Findings     appliance  empty map                     [{1 id, 2 flags, [3 words]}]
//	  11  Trouble      both       empty map                     [problem]
//	  12  Release      appliance  [1 reason: bytes]             [id]
//	  13  Again        hub        [1 reason: 0 busy, 1 lost,    [id], may be empty
//	                              2 short]
//	                              [2 after: milliseconds]
//	  14  Bye          both       1 code: uint                  none
//	                              [2 reason: bytes]
//	  15  Probe        appliance  1 number: uint                padding, >= 1
//	  16  Echo         hub        1 number: uint                none
//	                              2 bytes: uint
//	  17  StudyAck     hub        1 uid: bytes                  none
//	                              2 revision: uint
//
//	object   {1 number, 2 id, 3 transfer syntax, 4 SOP class, 5 SOP instance, 6 length,
//	          [7 Study Instance UID], [8 calling AE title], [9 priority], [10 flags],
//	          [11 modality]}
//	answer   {1 number, 2 id, [3 offset], [4 all: bool]}
//	problem  {[1 seq], 2 id, 3 kind, [4 destination], [5 permanent: bool], [6 words]}
//
//	priority 0 urgent, 1 routine, 2 backfill
//	flags    1 header unreadable, 2 names differ from the data set, 4 illegal UID, 8 test object, 16 hold
//	kind     0 a destination refuses it, 1 digest mismatch at the hub,
//	         2 the appliance's own copy is damaged, 3 the offer cannot be accepted,
//	         4 the hub lost its copy, 5 the appliance cannot read its copy now: the
//	         offer ends, what the hub has of it stays
//	at       milliseconds since 1970, for people only
//
// A Put frame as bytes, 262144 bytes of offer 7 from offset 524288:
//
//	00 05 | 00 09 | 00 04 00 00 | A2 01 07 02 1A 00 08 00 00 | ...
//	type    header  body          {1: 7, 2: 524288}            data set bytes
//
// # Who says what when
//
//   - Offers have numbers that are never used twice on a connection. Have and Put
//     name the offer by its number; a Put for an offer that has ended is discarded.
//   - Lengths and offsets count data set bytes. File Meta is not sent: it is a pure
//     function of the three UIDs in the offer.
//   - Offers run ahead of Have, Have ahead of Put, Put ahead of Receipt; nothing
//     waits a round trip for an object. Offers without an end never exceed
//     the limits in Welcome, which count for each priority; one object is always
//     welcome whatever its length.
//   - Findings are about objects, and acknowledged by nothing. Why an object has the flag hold
//     stands on the same stream before its offer, each time it is offered: the hub looks at the
//     offer when the findings are durable there, so that a receipt is for both. Words are
//     codes of docs/findings.md, worst first, divided by "; ", a code by spaces
//     from the numbers that belong to it. No value that may name a person is sent. A
//     hub that knows no codes shows them as they are.
//   - Have answers each offer with the offset from which the hub wants bytes, or
//     with all: a Receipt exists and follows. Puts of one object follow each other
//     without a gap, all on one stream. Offset equal to length asks for nothing.
//   - An offer ends with Receipt, with Again (offer it later), or with Trouble.
//   - Again with IDs is about these objects alone. One that is refused again
//     and again rests longer each time. Again without IDs is about all: lost,
//     everything not archived is offered again; busy, nothing but urgent objects
//     is offered before the time is over. Short, with IDs: all appliances together offer
//     too much. These rest for the time or less, however often that is so, and before it is
//     over no more than a few are on offer at once besides what is urgent.
//   - Receipt: the object is durable at the hub, and so is the row that says so.
//   - Archived and Trouble with a seq are repeated on every connection until an
//     ArchivedAck names the seq, which is sent when the news is durable here.
//   - Trouble of kind digest: the hub has dropped its partial object. The appliance
//     reads its copy again. Damaged here: quarantine, and Trouble of kind copy.
//     Good here: offered again, from 0, after a rest that grows. A node that does so
//     with several different objects, and gives no receipt between, is set aside.
//   - Trouble of kind 3 comes instead of Have, not after it. The object rests, ever longer,
//     and another node is asked if there is one.
//   - Trouble of kind lost: the receipt for this object counts no more. The
//     appliance offers it again if it has it, unless the archive has it.
//   - A ledger id or generation other than the last one means that receipts may
//     be lost: the appliance offers everything not archived again.
//   - Study with a revision is told on one lane, and again on the next connection, until a StudyAck
//     names both: then it is durable at the hub. It may overtake objects of the study: the hub
//     waits for as many as it counts. A hub that does not know revisions acknowledges nothing.
//     Found is what is wrong with the data of the study then: codes of docs/findings.md, worst
//     first, divided by "; ", behind each a space and in how many objects it is, 0 for what only
//     all of them together show. It holds nothing, and no value that may name a person is in it.
//   - Probe is for the test of a line, and behind a proxy asks with one byte, as number
//     0, whether the hub is there: the hub throws its body away and answers with
//     Echo: the number of the last Probe that came whole, and the bytes of the bodies
//     of all Probes of this connection. One Echo may answer many Probes.
//
// A connection ends with a code: over QUIC an application error code (RFC 9000
// §10.2), where Bye is ignored; over TCP the last frame, Bye, which nothing is
// read after. A TCP connection that ends without Bye was cut.
//
//	0 done   1 a frame broke the protocol   2 busy   3 internal   4 replaced by a newer one   5 not believed
//	6 this node of the hub is leaving: another one has the same rows, go there now
package uplink
