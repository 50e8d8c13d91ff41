// Package syslog5424 brings messages to a syslog receiver: format of RFC 5424, TLS of
// RFC 5425, and on the way a spool of its own on the disk, as the audit trail of DICOM
// wants it (PS3.15 §A.6; IHE ITI-20).
//
// It promises that a message is on the disk before Append returns, and that Append waits
// for nothing but that: one append to a file and an fsync that is shared by all who wait;
// that a message stays there until the receiver ended its side of a connection in order
// after it, so that it arrives at least once, perhaps twice, and in order except for what
// arrives twice; that the spool keeps to its quota, drops its oldest messages first, and
// tells the receiver how many; that nothing is said to a receiver whose certificate does
// not prove that it is the one; and that New starts nothing, Run starts no goroutine, and
// a file that was cut anywhere costs nothing that Append had promised.
//
// It deliberately does not encrypt its files (mode 0600 in a directory 0700: what may be
// told of a person is decided where messages are made), sends nothing over UDP or plain
// TCP, never reads what the receiver says, and does not retry an fsync: after one failed,
// Append gives ErrBroken until the spool is opened anew (P8).
//
// # What arrived
//
// RFC 5425 has no acknowledgement. What can be known is this, and a segment is removed
// only then: all of it was written; close_notify was sent (RFC 5425 §4.4); then the
// receiver ended its side without an alert and without a reset, and its TCP had
// acknowledged every byte. A receiver that refuses our certificate, in TLS 1.3 only after
// we began to write, sends an alert; one that dies with bytes unread, a reset. So each
// connection carries one segment and ends. A receiver that never ends its side is
// believed after 10 s in which its TCP acknowledged every byte and nothing was complained of.
//
// Gap: what the receiver does after its system took the bytes nobody tells us. One that
// loses power between reading and writing loses messages.
//
// # The message
//
//	<85>1 2026-11-22T18:20:14.250000+01:00 edged-7f3a edged 4711 DICOM+RFC3881 - BOM MSG
//
//	85      facility 10 (security) * 8 + severity 5 (notice); 13 is "log audit"
//	1       version; then TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID, STRUCTURED-DATA (none)
//	BOM     ef bb bf, without a blank after it; MSG is UTF-8
//
// On the wire (RFC 5425 §4.3): length of the message in decimal, a blank, the message;
// nothing between two of them.
//
// # The files
//
// DIR/lock is flocked while the spool is open. DIR/NNNNNNNNNNNNNNNN.seg, the number in
// hexadecimal, is a segment, the oldest has the smallest number:
//
//	 0  8  "EDGSYSL1"
//	then records, one behind the other:
//	 0  4  length n of the body, big-endian, 1 to 32768
//	 4  1  kind: 1 message, 2 lost
//	 5  n  body: of a message, itself as above, without its length;
//	       of lost, how many (8) | when, in microseconds since 1970 (8), both big-endian
//	5+n 4  CRC-32C of the number of the segment (8, big-endian) and the 5+n bytes
//
// Append: write(record), fsync(file); for a new file then fsync(directory). The commit
// point is the last of them. The file ends at the first record that is not whole. In the
// newest one that is what a power cut left, and goes; in another one it is damage, and
// counted as one message lost, because nobody knows how many.
//
// What is lost is a record before its file is removed: after a crash between the two it
// is told although it still arrives. The segment that is being sent is never dropped.
package syslog5424
