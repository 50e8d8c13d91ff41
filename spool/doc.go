// Package spool keeps opaque objects until they may be forgotten: crash-safe
// store and forward. It knows bytes, priorities and groups; it knows neither
// DICOM nor QUIC. Linux only.
//
// # What it promises
//
//   - When Writer.Commit returns without an error, the object survives SIGKILL,
//     power loss and reboot, byte for byte (P1, P3).
//   - Nothing is forgotten before a receipt that allows it is durable here, or
//     before an administrator has discarded it by name (P2).
//   - The same object any number of times, also at the same time, is one object,
//     and its first copy is never touched again (P4).
//   - A full disk is transient, takes nothing away, and ends by itself when the
//     archive's confirmations come (P7). Any other error of a write, and every
//     error of an fsync, ends the spool: it has to be opened again (P8).
//   - Nobody gets all of an object whose bytes are not what was stored (P14).
//   - Wall-clock time decides neither order nor deletion (D-S7).
//   - Inside a priority the sources (Config.Source) take turns by bytes: whoever has
//     little to send waits for at most one object of each other (see turns).
//   - When NoteSet returns without an error, the note is as safe as an object.
//
// # What it deliberately does not do
//
// It does not parse content, does not keep keys (it is given one, and whoever
// gives it sees to its copies), does not encrypt anew what lies there plain, does
// not recycle space that is not confirmed, does not retry a failed fsync, and does
// not believe a file because it is there.
//
// # Assumptions
//
//  1. fdatasync of a file makes its bytes and length durable, fsync of a
//     directory the names in it, syncfs everything; a device that answers a
//     flush has done it. A lying disk defeats P1: what it loses behind the mark
//     (below) is found by recovery or by Checked, told and quarantined; whole
//     files that it loses are found where the journal or the index knows of them.
//  2. rename is atomic: after a crash a name shows the old file or the new one.
//  3. After a failed fsync nothing is known about the pages of that file.
//  4. A crash leaves of what was not synced any mixture of old bytes, new
//     bytes and zeros, and any mixture of old and new names.
//  5. Two files with equal SHA-256 are equal.
//
// A process that may open nothing more is no failing disk: Create says ErrFull,
// and everything behind it (rename, the syncs, receipts, forgetting) needs no
// descriptor, because a directory in which a name waits for its fsync is kept
// open. So no sync is ever missing because it could not be started.
//
// CheckFilesystem refuses file systems that are known to break 1 (D-S9).
//
// # A disk that lies
//
// It answers a flush and keeps nothing, or gives back later what was never written.
// Then P1 cannot hold; what is left to do is to see it, tell it, and pass nothing on.
//
//	what it lost or changed               who sees it, and when
//	bytes of an object, from the mark on  the next start; the file goes to quarantine and alarms, unless
//	                                      its ID cannot be told: then it looks like what a power cut
//	                                      leaves of an object that was being stored, and counts as Unfinished
//	bytes of an object, below the mark    header and seal: the next start; content: Scrub, or Checked
//	                                      before its last byte leaves, whichever comes first
//	an object's name                      the next start, if the journal or the index knows the object; its
//	                                      row in the index follows the commit within a second
//	the end of the journal                nobody: it looks like an unfinished write. Receipts are asked for
//	                                      again, holds and quarantines are forgotten, nothing is deleted by it
//	the middle of the journal             the next start: it is told, and everything not archived is offered again
//	the whole journal                     every object is proved and offered again, counters begin anew; that it
//	                                      was there is not known
//	a forgotten file comes back           the next start, from its tombstone; after that it is offered again
//	the index                             the probe, or a row's checksum; it is made again
//
// # The directory
//
//	lock                              flock: one owner
//	objects/SSSSSSSSSSSSS/NNNNNNNNNNNNNNNN.obj   containers; N is the sequence number in
//	                                  hexadecimal, S is N without its last three digits
//	tmp/                              unfinished objects; emptied by recovery
//	journal/GGGGGGGGGGGGGGGG.log      obligations; one segment at a time
//	quarantine/                       files that did not prove to be whole; see What is lost
//	index.db                          bbolt, a cache, may be deleted at any time
//	ballast                           zeros, given up when the journal needs room
//	calm                              empty; becomes suspect by a rename, which needs no room
//	suspect                           there after a failed sync: the next recovery rewrites
//
// # The container, version 2
//
// All numbers are big-endian. Seed, group, Meta and preface are opaque; preface
// and content lie together, so that a Part 10 file is one contiguous run.
//
//	offset size
//	     0    8  "EDGEDOBJ"
//	     8    2  version, 2; 1 had no part
//	    10    1  priority: 0 urgent, 1 routine, 2 back-fill
//	    11    1  bits: 1 = test object
//	    12    4  flags, opaque
//	    16    4  length of the seed      at most  16 KiB
//	    20    4  length of the group     at most   1 KiB
//	    24    4  length of Meta          at most 256 KiB
//	    28    4  length of the preface   at most 256 KiB
//	    32    4  length of the part      at most   1 KiB
//	    36   16  of the name: the first bytes of SHA-256("edged name|" | name); zero: none
//	    52    8  zero
//	    60    4  CRC-32C of bytes 0 to 59
//	    64       seed | group | part | Meta | preface | content | seal
//
//	the seal, the last 128 bytes of the file
//	     0    8  "EDGEDSEA"
//	     8    8  sequence number; equals the file's name
//	    16    8  length of the content
//	    24    8  when it was received, Unix nanoseconds; shown, never decides
//	    32   32  the ID: SHA-256(seed | content)
//	    64   32  SHA-256 of everything before the content
//	    96    4  flags that only the end of the content told, opaque: Object.Flags has both
//	   100   24  a note about it, opaque; zero in both: nothing to tell, or written before there were any
//	   124    4  CRC-32C of the seal's bytes 0 to 123
//
// The seal covers everything: itself by its checksum, header to preface by one
// digest, content by the ID, which is computed in the one pass in which the
// bytes arrive. The lengths must add up to the file's size.
//
// # Encryption
//
// With Config.Key everything that a caller gave is encrypted on the disk (D-S12):
// objects, the journal's payloads, keys and values of the index. What stays
// readable is how many files there are, how long they are and when they were
// written. All keys come of Config.Key by HKDF-SHA256, all encryption is
// AES-256-GCM; only the index's keys are single AES blocks.
//
// An encrypted file is a header and the container in chunks of 16 KiB, the last
// one of 1 to 16 KiB. No chunk is ever written again (D-S3).
//
//	header                                    chunk
//	 0  8  "EDGEDENC"                          0  n  ciphertext, n = 16384 but in the last chunk
//	 8  2  version, 1                          n 16  tag
//	10  2  chunk size as a power of two, 14
//	12  4  zero
//	16  8  key id: HKDF(key, "", "edged key id")
//	24 32  salt, random
//	56  4  zero
//	60  4  CRC-32C of 0 to 59
//
//	file key  HKDF(key, salt, "edged object v1")
//	nonce     number of the chunk, 11 bytes | 1 in the last chunk, else 0
//	AAD       the header
//
// Every file has a salt, so a key, of its own, and its writer seals each chunk
// once, in order, and nothing any more after an error: no nonce is used twice. A
// cut between two chunks shows, because then no chunk says that it is the last;
// so do chunks that changed places, or files. What is rewritten after a failed
// sync is copied as it lies there: the same bytes under the same nonce say nothing
// new. A Writer holds its last chunk back and writes it before the rename, so a
// crash finds what it would find without encryption.
//
// A chunk that does not authenticate is damage like a wrong digest: told,
// quarantined. Of a file whose last chunk is damaged no ID is known but by the
// journal, because the seal is in there. A header that is damaged takes all of
// the file with it. Reading decrypts only the chunks that are asked for.
//
// Plain and encrypted files live side by side, so that encryption can be switched
// on; what was plain stays so until it is forgotten, and what was unlinked is as
// gone as the disk makes it. But only what was there before is plain. The first start
// with a key writes an encrypted segment before any object is encrypted; so a plain
// segment beside an encrypted one with a lower generation, or beside an encrypted
// object, was written by somebody who has not the key. It is not believed, told, and
// moved to quarantine, and the journal counts as damaged. So does a segment under
// another name than its own. A plain object with a number from which on all are
// encrypted (kind 14, or the lowest encrypted one that is here) is set aside as damaged.
// Who writes a plain object under a number from before that passes, if nothing holds
// another ID against it; so does who sets the whole disk back in time.
//
// What is encrypted with a key that we have not makes
// Open end with ErrKey before a byte was changed. Erasing the key makes all of
// it worthless.
//
// # Storing an object
//
// The order (D-S1): write to tmp, write the seal, rename into objects,
// fdatasync(file), fsync(directory), answer. The commit point is the return of
// that fsync; all who wait share it, and whoever is alone waits for nobody. The
// directory itself was made and its parent fsynced before (SPOOL-3).
//
// The kernel is asked to write out every 128 KiB, and the last part before the
// rename, while bytes still arrive: the fdatasync then finds little to do. That
// proves nothing and is believed by nobody. Measured with 512 KiB objects and one
// writer, medians of 14 interleaved runs: 520 objects a second without, 864 with it.
//
//	a crash                          leaves
//	before the rename                a name in tmp; recovery removes it. It was never acknowledged
//	after it, before the fdatasync   nothing, a whole object, or a file that its seal or digest
//	                                 gives away: it goes to quarantine
//	after it, before the fsync       nothing, or a whole object
//	after the fsync                  the object
//
// # The journal
//
// Receipts, confirmations, holds, quarantine, forgetting, discarding, events of
// groups, notes, counters. A segment is a header and records; everybody who asks while one flush runs shares the next.
// The commit point is fdatasync of the segment.
//
//	segment header                    record
//	 0  8  "EDGEDJNL"                  0  4  length of the payload, at most 1 MiB
//	 8  4  version: 1, or 2 encrypted   4  4  CRC-32C of generation | number | length | payload
//	12  8  generation                  8  8  number: 0, 1, 2, ...
//	20  8  zero                       16     payload
//	28  4  CRC-32C of 0 to 27
//	version 2 goes on:
//	32  8  key id
//	40 32  salt, random
//	72  4  zero
//	76  4  CRC-32C of 0 to 75
//
// In version 2 a payload is what is below, sealed: under HKDF(key, salt, "edged
// journal v1"), nonce the record's number, AAD the 80 bytes of the header; the
// checksum is over the ciphertext, so that a torn end is told from a wrong key.
// Why no number seals two payloads stands above segment.seal.
//
//	payload: mark u64 | next sequence number u64 | age u64 |
//	         counters u16, each: length u16, name, value u64 |
//	         obligations, each: kind u8, length u32, body
//	body:    sequence number u64 | ID, 32 bytes | by kind:
//	         1 at hub: when u64, whose receipt
//	         8 was at hub once: whose receipt
//	         4 held, 5 released, 7 offer all again, 9 end of snapshot,
//	         10 offer this one again: nothing
//	         2 archived: when u64, age u64, whose word
//	           (whose: the first 8 bytes of SHA-256("edged hub|" + Receipt.From). Rows of
//	           earlier versions end before it: nobody knows, and a confirmation counts
//	           after a new receipt; those versions read no further, and forget it)
//	         3 forgotten: content length u64, when u64, bits u8 (1 test, 2 healed: the first
//	           number is the good copy's sequence number, 4 discarded, 8 its group is not
//	           known, 16 it had a name, 32 discarded, and the hub had it or may have),
//	           length u16, group, length u16, part; if discarded: length u16, by whom,
//	           length u16, reason; if it had a name: 16 bytes of it, as in the container
//	         6 quarantined: bits u8 (1 damaged, 2 unfinished), length u16, reason
//	         11 a group's event (the first number is the newest that it speaks of, the ID
//	           zero): when u64, revision u32, bits u8 (1 all test, 2 told, 4 moved since),
//	           objects u64, bytes u64, length u16, group, number of parts u16,
//	           each: length u16, part, objects u64, bytes u64
//	         12 told (no number, no ID): revision u32, length u16, group
//	         13 scrubbed (the first number is the last that was read): end of the last
//	           whole pass u64
//	         14 in snapshots of version 2 (the first number is the lowest from which on every
//	           object is encrypted; no ID): nothing
//	         15 note (no number, no ID): length u16, key, and its body up to the end
//	         16 note gone (no number, no ID): length u16, key
//
// Unknown kinds are skipped, and so is what stands behind a body that is known: an
// earlier version takes a discarded object for a forgotten one. A segment begins with a snapshot of all that
// matters; when it has outgrown that, and at every start, the next one is made
// under a temporary name, synced, renamed, its directory synced, and only then
// the older one unlinked. Invalid bytes at the end are an unfinished write.
// Invalid bytes with valid records behind them are damage: it is told, what
// stands behind still counts, and every object that is not archived is offered
// again, because the lost record may have said so. Lost obligations can cost
// bandwidth, never an image.
//
// Bits that rot in exactly the last record pass for an unfinished write: a power cut
// leaves the same. After a clean end that record is Close's, with the mark, the
// counters and nothing else; the files say the rest again.
//
// # Forgetting
//
// Row before unlink: the confirmation is durable, the row "forgotten" is
// durable, then the file goes. Only archived objects (with KeepHub: those at the
// hub that are not held) are chosen, by sequence, after RetainArchived of
// running time, or at once when space is short. A crash may bring a file back;
// recovery unlinks it again as long as its row is among the last
// Config.MaxTombstones, and after that it is simply offered again: the hub has it.
//
// # Discarding
//
// The other way out, and the last one: an administrator's Discard, in whatever
// state an object is, also for files of which nobody knows what they were. The row
// tells who and why, and the rest is as above: row before unlink, the lease ends,
// recovery unlinks again whatever has that number, since a number is never given
// away twice. A damaged copy that gives way to a good one in the same flush was not
// discarded, and ErrUnknown says so. Neither export nor the audit trail is made here. Nothing but these
// two, and Healing, unlinks an object.
//
//	a crash               leaves
//	before the row        the object as it was
//	after it              nothing, or a file that recovery unlinks
//
// # Names
//
// Of New.Name sixteen bytes are kept, in the container and in the row that lets it go.
// Objects of one name and different contents are in conflict, all of them (P5). So is one
// that comes after others of its name went, as long as their rows are remembered
// (Config.MaxTombstones), because the archive has those; but what was discarded before the
// hub can have heard of it clashes with nothing. Whether an object is in conflict is not
// written down: a start finds it out from the same names.
//
// # Notes
//
// A note is an obligation of the caller's own, a key and a body: who is owed an answer,
// what was said of a study. It lives in the journal and in memory, is in each snapshot
// until it is dropped, and is encrypted like the rest. The commit point of NoteSet and
// NoteDrop is that of receipts, and they share its flush.
//
//	a crash                    leaves
//	before the fdatasync       the note before it, or none, or this one
//	after it                   this one
//
// A key has 1 to 256 bytes, a body at most 256 KiB, and all together take 64 MiB, each
// 64 bytes more than its key and body: beyond that NoteSet says ErrFull. Damage of the
// journal can take notes, and can bring dropped ones back: that is told as a damaged
// journal, and whoever is owed an answer asks again.
//
// # Groups
//
// A group is complete when no association works on it (OpenGroup, CloseGroup) and
// either as many objects came as ExpectGroup said, of the parts that it said, or
// nothing came for its quiet time. Then its event, with counts by part, becomes a row of the journal, and
// waits in GroupEvents until AckGroup, over every start. What comes or is
// discarded later makes the next revision when it is quiet again; confirmations
// and forgetting change nothing. Of a group only the newest event waits.
//
// Quiet time is time of running: steps of the wall clock above a minute do not
// count, and after a start it begins anew for each group of which something came,
// or was discarded, behind its last event; New.Quiet, open associations and
// expectations are forgotten then. What is kept of a group goes, its event too,
// with the last that is remembered of its objects (Config.MaxTombstones). A row speaks
// of numbers below the mark only: what was on its way then may come late, and is a
// change, at the price of one revision too many after a start.
//
// # The mark
//
// The mark is the lowest sequence number that is not proved durable. Each record
// carries it; Run moves it every second and every 256 MiB. Recovery reads the
// content of all files from the mark on and compares digests, and of all that were
// ever taken for damaged, wherever they lie. For others below it structure and seal
// are checked, and the content when it leaves (Content.Checked) or when Verify is
// asked: reading a full spool at every start would keep the modalities waiting for
// hours.
//
// # Recovery
//
// Open always runs it; killed anywhere and run again it ends the same
// (SPOOL-14, 15). In this order: compare keys; make directories; read the journal;
// read every file, prove those from the mark on; ask the index who is missing; empty
// tmp; move what failed to quarantine; look again at what was taken for damaged;
// after a failed sync rewrite those from the mark on to new files, each copy proved
// before it replaces anything; find out what is lost; begin a new journal segment;
// unlink again what was forgotten; syncfs. Before that last
// step nothing was listed, leased, or used to answer a duplicate: a whole file
// may be only in the page cache (D-S5). It never deletes what could be an
// acknowledged object (SPOOL-16).
//
// One bad place of the disk holds nothing up. A file that cannot be opened stays
// where it is and is told as missing; so is what is known of a directory that cannot
// be read, and nothing new is put there; what cannot be unlinked is told, and the
// next start tries again. Only the folders themselves, the journal, and a lack of
// descriptors end a start.
//
// What failed and finds no room in the quarantine folder, not even that of the ballast,
// stays in its place, is told as missing, and is moved by a start that has room.
//
// The marker "suspect" needs no sync: it has to live exactly as long as the page
// cache that it warns of. It needs no room either: it is a file that is always there
// and changes its name, because every error of a sync is final, also ENOSPC, which is
// how a thin pool refuses one. If not even that works, the kernel still
// reports the error of the failed writeback to the first syncfs afterwards, the
// start fails, and that leaves the marker.
//
// A failed sync ends the spool before anybody else's turn comes: Linux tells an error
// once, and would say yes to the next who asks about the same directory. The start
// after it makes names anew as well: those of rewritten files, and of empty folders.
//
// # The index
//
// bbolt, from sequence number to ID and Meta, written by Run, checked first by a
// child process (ProbeMain), thrown away on any doubt. It saves opening files for
// lists, and at a start it is a witness: see What is lost. No promise depends on it,
// nothing waits for it. A fault in its mapped file while it is open leaves that file
// alone, mapped until the process ends, and a new one is made; after eight there is
// none until the next start. Writing it never holds up Run for more than a fraction of a
// second at once, and stops below ReserveBytes free.
//
//	bucket "objects 1"   sequence number, 8 bytes -> CRC-32C of key and value | ID | Meta
//	bucket "objects 2"   AES("edgedrow" | sequence number) -> nonce, 12 bytes | sealed row of "objects 1"
//
// The second one, with encryption: the key under HKDF(key, "", "edged index key"),
// the value under HKDF(key, "", "edged index value"), its nonce random, its AAD the
// encrypted key. The child gets no key and looks at the structure; the parent
// opens every row before it believes one. Rows of another key, or both buckets in
// one file, are a doubt.
//
// # Space
//
// Below ReserveBytes free, or from MaxBytes on, Create says ErrFull; at twice
// the reserve, or nine tenths, back-filling is refused first and archived
// objects go before their time. A write that meets ENOSPC or EDQUOT is ErrFull
// too, and the partial file goes. The ballast is given up for the journal, so
// that confirmations can be taken and files deleted with no byte free.
//
// A start that finds no room for its journal, and no ballast, makes the room that
// it may make: files that durable rows let go, then the index. If that is not
// enough it shows and sends what is here, the older segment stays, and receipts
// are answered with ErrFull until there is room. Only a start after a failed sync
// needs room for copies first, and says ErrFull.
//
// Stats.FillsIn is the room, with what may be forgotten at once, by what came in
// the last 24 hours of running. It is shown and decides nothing.
//
// Notes must not take the room of receipts. NoteSet says ErrFull when less than the
// reserve is free, or without a ballast, and before it writes it has the ballast made
// larger by what notes take, in steps that double: a snapshot with all notes in it finds
// room then, also at a start. It becomes smaller again when it is given up.
//
// With the ballast used up, 8 MiB are 40,000 receipts or more, receipts too are
// answered with ErrFull until somebody makes room; nothing is lost by that.
//
// # Scrubbing
//
// Scrub reads everything again at ScrubRate, in the order of arrival, and compares
// digests. Its place is in the journal each minute. A wrong digest, a missing seal
// or file is damage. A read error is damage when two opens meet it and another
// object behind it can be read; else it is the disk's, is told, and the next pass
// comes by again. Wherever damage is found, the reason says whether the hub has a
// good copy. What was taken for damaged and is in its place is read as well, and is an
// object again when it proves whole, as by Verify: no row says so, because the next
// start reads it anyhow.
//
// # Healing
//
// A damaged object that is sent again is the same object: the good copy gets a
// number of its own and takes over how far the object has come, what is shown and
// counted stays one, and once a row for that is durable the damaged copy goes.
//
// # What is lost
//
// A start that finds a file without its seal, or with other bytes from the mark
// on, moves it to the quarantine folder; one that finds no file that it can open for
// what the journal or the index knows takes the object for missing. Both are told as
// errors, are kept in the journal as quarantined and damaged, and stay in every list
// and in Stats.SetAside or Stats.Missing, start after start.
//
// Proof ends that, and nothing else has to: each start reads again what was taken for
// damaged, in its place too, because a loose cable passes, and only the bytes say
// whether they are what was stored. What lies in quarantine and is whole is copied
// to the place that its seal names, if nothing is there; the copy is synced and proved,
// its name is synced, and the file in quarantine goes when a segment without the mark
// of damage is durable. A file under a name that the disk altered comes back in the
// same way, or, damaged, is moved to quarantine; a name that is of no object at all
// is left alone and counted in Recovery.Foreign.
//
//	a crash                      leaves
//	before the copy has a name   the file in quarantine; the next start begins again
//	after it                     both: the next start proves the copy, and lets the other go
//	after the segment            the object, and perhaps the other, as before
//
// From the mark on a power cut leaves such files of objects that were being
// stored. What was acknowledged was synced and is whole there, unless the disk
// lies. So one of which no ID is known counts as Unfinished, with that reason, and
// alarms nobody; with an ID it is told like the others, and ends when the modality,
// which got no answer, sends it again. When the journal is damaged or gone nothing
// says where the mark was, and all are told.
//
// The object itself ends it when it is sent again (Healing: the file that was set
// aside goes with the row), and so does the archive's confirmation, after which
// it counts under Stats.Damaged, because the disk is bad, until it is forgotten.
// Discard ends it, too. Nothing else deletes a file there. The ID is known from the
// journal, from the index, from a seal that proves itself, or from content that proves
// the ID in a seal that does not; a file of which no ID is known is listed with a zero
// one for as long as it lies there, and a re-send cannot end that.
//
// A row of the index without a file is believed when no row of the journal let that
// number go, because it was written behind its commit. It proves nothing when the
// journal is damaged or gone, and, once as many objects were forgotten as are
// remembered (Config.MaxTombstones), nothing of numbers below the oldest of those:
// an index that the disk set back in time must not cry wolf. An object of which
// neither journal nor index knew (no receipt yet, and its row not yet written, which
// takes a second, or lost as well) is not missed when its file is gone.
package spool
