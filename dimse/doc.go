// Package dimse speaks DICOM over the network: the upper layer of PS3.8 and, on
// top of it, the services of PS3.7 and PS3.4 that a node beside modalities needs,
// as acceptor (Server) and as requestor (Client): Verification, Storage, Storage
// Commitment, Modality Performed Procedure Step, Query and Retrieve.
//
// # What it promises
//
//   - A data set reaches the Handler, and leaves the Client, byte for byte as it
//     is: nothing is decoded, re-encoded, padded or corrected, no retired group
//     length left out (PS3.5 §7.2). Its end is
//     io.EOF, and only its end is; abort, cut, violation and silence are other
//     errors, in the middle of an object as anywhere.
//   - Every storage SOP class in every transfer syntax is accepted, also private
//     ones and those that nobody has heard of.
//   - No object is ever whole in memory. An association costs one goroutine and
//     one read buffer, whatever is sent over it; back-pressure is TCP's. Nothing
//     is allocated by a length that a peer declares, and receiving a fragment
//     allocates nothing. Lengths of objects are 64 bits: native pixel data ends at
//     4 GiB (PS3.5 §7.1.1), a message does not.
//   - Every wait ends: half a minute before an association stands, some minutes
//     between messages, and inside a message the peer keeps a least pace, 64 KiB
//     in a minute. Only time spent waiting for it counts, never the total and
//     never the Handler's.
//   - A peer that breaks the protocol loses its association and nothing else. A
//     request that we do not know is answered with a status.
//   - A slot of MaxAssociations belongs to an established association, and one
//     address or title has as many as it may. Who only connects takes none, and
//     gives way to who comes later, first those of the address that has the most.
//   - What an acceptor has to tell goes out between two messages of the peer, never
//     inside one, from whatever goroutine it comes; a peer that leaves or does not
//     answer harms nothing.
//   - New functions start nothing. Serve returns when all it started has ended.
//
// # What it deliberately does not do
//
// It does not look into instances, does not know files or Part 10, does not
// pool or retry associations, does not send several requests at a time, and
// grants nothing by user identity. It knows no other package of this module but
// dataset below it, for data sets that are no instances. It keeps nothing: what a
// commitment or a procedure step comes to is up to who implements the services;
// the packages commitment, steps and query beside this one do.
//
// # The layers
//
//	Handler, CommitmentSCP, StepSCP, QuerySCP       methods of Client
//	   |                                             |
//	commitment.go, step.go, find.go, move.go, get.go, clientcommitment.go, clientquery.go
//	   |
//	scp.go, association.go, client.go      messages: a command set and, perhaps, a data set
//	nservice.go, memory.go, errands.go     small data sets, and their memory; requests of an acceptor
//	   |
//	command.go (pure)                      command sets, Implicit VR Little Endian
//	pdata.go                               P-DATA-TF as io.Reader and io.Writer
//	   |
//	negotiate.go (pure)                    request and policy in, answer out
//	state.go (pure)                        the table of PS3.8 §9.2
//	pdu.go, userinfo.go (pure)             the seven PDUs
//	upper.go                               reads PDUs, feeds the table, does what it says
//	   |
//	wire.go, pace.go                       deadlines, the least pace, interruption, TCP_QUICKACK
//	limits.go                              who may be there, and who gives way
//
// # The wire
//
// Every PDU begins alike; lengths of PDUs and items are big-endian (PS3.8
// §9.3.1):
//
//	 0     1     2                 6
//	+-----+-----+-----------------+----------------
//	|type | 00  | length u32      | length bytes
//	+-----+-----+-----------------+----------------
//	 01 A-ASSOCIATE-RQ   02 -AC   03 -RJ   04 P-DATA-TF
//	 05 A-RELEASE-RQ     06 -RP   07 A-ABORT
//
// A-ASSOCIATE-RQ and -AC (PS3.8 §9.3.2, §9.3.3), and their items:
//
//	 6         8       10          26           42            74
//	+---------+-------+-----------+------------+-------------+-------
//	| version | 00 00 | called AE | calling AE | 32 reserved | items
//	+---------+-------+-----------+------------+-------------+-------
//
//	 0     1     2              4
//	+-----+-----+--------------+-------------
//	|type | 00  | length u16   | value
//	+-----+-----+--------------+-------------
//	 10 application context
//	 20 proposed context: ID 00 00 00, then items 30 abstract syntax, 40 transfer syntax...
//	 21 answered context: ID 00 result 00, then item 40
//	 50 user information: 51 maximum length, 52 implementation class, 53 asynchronous window,
//	    54 role, 55 implementation version, 56 extended negotiation, 58 and 59 user identity
//
// A-ASSOCIATE-RJ is 03 00 00000004 00 result source reason; A-ABORT is
// 07 00 00000004 00 00 source reason.
//
// P-DATA-TF carries one or more presentation data values, each a fragment of a
// command set or of a data set (PS3.8 §9.3.5, Annex E). The length that a peer
// can receive counts everything behind the first six bytes:
//
//	 6                10        11        12
//	+----------------+---------+---------+----------------+---
//	| length u32     | context | control | length-2 bytes | next one
//	+----------------+---------+---------+----------------+---
//	                              bit 0: command, bit 1: last of its command or data set
//
// A command set is elements of group 0000, little-endian (PS3.7 §6.3.1):
//
//	+-------+---------+------------+-------
//	| 00 00 | tag u16 | length u32 | value    the first is (0000,0000), the length of the rest
//	+-------+---------+------------+-------
package dimse
