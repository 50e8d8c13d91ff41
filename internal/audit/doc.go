// Package audit is the appliance's own record of what people did to images: who,
// when, what, why, and how it ended.
//
// It promises that an event is on the disk before Append returns, so that whoever
// writes the intent first and acts afterwards leaves no act without a row; that an
// event that was changed, taken out or put in between is found by Read; that a
// power cut in the middle of a row costs that row only; and that with a key nobody
// reads the rows, or adds one, without it.
//
// An export (Export) is a cover and the rows as they stand here; whoever has that file
// alone verifies it (Verify), with heads noted elsewhere also against a log that was cut off
// or written anew as a whole.
//
//	{"edged_audit":1,"of":"edged-7f3a","at":"...","head":"8=HEX","key":"HEX"}
//	row, row, ...
//
// It deliberately does not send anything anywhere, does not rotate by size and
// never deletes. It cannot tell by itself that the newest rows were cut off: Read
// gives the head of the chain, to be noted elsewhere.
//
// # The files
//
// DIR/YYYY-MM.log, by the month in UTC of the first event in it; a clock that was
// set back never opens an earlier file again. DIR/lock is flocked while a row is
// written, so that the daemon and a command may both write.
//
// DIR/reserve holds 128 KiB of disk, so that on a full one somebody can still be
// recorded, and so allowed, to discard; it goes then, and comes back with the room.
//
// A row is a line of JSON that ends with a newline. What has none is an unfinished
// write: nobody acted on it. A power cut may also leave the end of it without its
// beginning: up to 64 KiB at the end of the newest file that are no row are of it,
// too. The next row takes its place and an event of its own says so.
//
// A row whose sync failed is taken back, with its file where that is new: the
// kernel would call it written when it is asked again (P8).
//
//	{"seq":8,"prev":"HEX","event":{...}}            without a key
//	{"seq":8,"prev":"HEX","sealed":"BASE64"}        with one
//
//	seq     1, 2, 3, ... through all files
//	prev    SHA-256 of the line before, without its newline; zeros in the first
//	sealed  nonce, 12 random bytes | AES-256-GCM of the event's JSON | tag, 16
//	        bytes; key: HKDF-SHA256(spool key, no salt, "edged audit");
//	        additional data: seq as u64, big-endian | prev, 32 bytes
//
// From the first sealed row on a plain one is a break: whoever has no key must
// not be able to add events.
package audit
