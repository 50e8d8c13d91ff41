// Package events tells others which studies are complete, and which have changed
// after that: a list of all that came of a study, for whoever builds a Key Object
// Selection (PS3.3 §A.35.4) or an IHE MADO manifest from it.
//
// It promises:
//   - An event is a row of the ledger and lasts until every sink has it, over every
//     end of this process; what a node had begun another one goes on with.
//   - Whoever is told twice is told the same bytes: what was made first is kept. A
//     crash between two steps costs a repetition, never an event.
//   - Of one study a sink hears in order. No study waits for another, no sink for
//     another. What a sink does not take is tried again, later each time, for ever;
//     what it refuses waits for an administrator and is shown, and later events of the
//     study do not wait for it, because each says everything anew.
//   - Nothing is left out: an instance that is held, refused, lost or not legible is
//     listed with that, and what an appliance counts and did not send is counted.
//   - Values are told as they were sent: as text where the character set allows it, and
//     as bytes where that is not the same. None is corrected or made up.
//   - A header is read from the hub's own copy, bounded, and never stops anything. What
//     is long before the patient is passed over; what is too long to be told is left out
//     before the patient's identifiers, which never are, and the instance says so.
//
// The event as JSON: docs/study-event.schema.json. It names a person: Patient's Name,
// Patient ID, Birth Date and Sex are what the Patient Module of a Key Object Selection
// must have (PS3.3 §C.7.1.1, type 2), and identifiers are what the receiver looks a person
// up by. They travel to sinks alone. Of them nothing is in logs, metrics, words of
// failures or listings of the ledger (P10); in the ledger they stand in headers.body
// and, packed, in events.body until every sink has the event.
//
// Where the hub's copy is gone before the first event of a study is made (it goes when
// it was archived for retain_archived, at once where space is short), the rows say what
// they can, and the instance says so. What was read is kept for later events.
//
//	file   PATH/YYYY-MM-DD/STUDY-REVISION.json: written beside, fsync, rename, fsync of the
//	       directory. The day is the event's, in UTC. STUDY is the UID where that is legal,
//	       else study- and a digest of it. Another file of that name, as after the ledger was
//	       restored, is left alone: eight digits of the new one's digest are added.
//	       PATH must exist: a mount point without its disk is waited for. A file .incoming-
//	       that a crash has left there goes when it is a day old.
//	http   POST, Content-Type application/json, without following redirects
//
//	          Idempotency-Key: SHA-256 of the body, in hexadecimal
//	          Edged-Signature: t=SECONDS,v1=HEX
//
//	       HEX is HMAC-SHA256 (RFC 2104) of SECONDS (since 1970, in decimal), a dot, and the
//	       body, with the bytes of secret_file less its last line end as the key. With
//	       openssl, of a body in the file body and SECONDS in T:
//
//	          { printf '%s.' "$T"; cat body; } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(head -c -1 secret | xxd -p -c 999)"
//
//	       A receiver compares in constant time, and refuses what is older than some minutes.
//	       Each sink has a secret of its own: with a common one a receiver could pass on
//	       what it got to another as if the hub had sent it. The sink's name is not signed.
//
//	       2xx      it has it.
//	       400, 413, 415, 422
//	                it refuses this event for good, and hears of the next.
//	       3xx, 401, 403, 404, 405, 407, 410, 421, 426, 429, 502, 503, 504, 511, and no connection
//	                it, or how it is configured, is away: everything waits, is tried again,
//	                and the console says why.
//	       All else, and no answer in time
//	                this event is tried again later, each time later.
//
// It deliberately builds no DICOM object, decides nothing about archiving, and knows no
// receiver's own format.
package events
