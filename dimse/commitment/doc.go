// Package commitment is the engine behind the Storage Commitment Push Model as
// its SCP (PS3.4 Annex J): it keeps what devices ask, asks the program what has
// become of the instances, and tells the devices until they have heard it.
//
// # What it promises
//
//   - Success to a request means that it is durable (Store.Put has returned), and
//     will be answered; it says nothing about the instances (PS3.4 §J.3.2.1.3).
//   - The result is reported until the device has answered the report with
//     success, across restarts, with growing pauses, for GiveUp; then it is given
//     up and told. A request is dropped after that answer, never before.
//   - The result comes when all instances of the request are decided, those that
//     wait (say, for the archive) too. After Patience the report goes out with
//     what is decided; the others have failed with 0110, processing failure.
//   - An instance that nobody knows fails with 0112 only when Grace has passed
//     since the request: modalities ask right behind the last C-STORE.
//   - Committed and failed partition the request; an instance that it names twice
//     is reported once.
//   - The same request again is the same transaction and its result comes again;
//     the same Transaction UID with other instances is refused with 0131.
//   - Requests and references are bounded, for each device and in all; more are
//     refused with 0213. But what there is no way to answer (the device has no
//     address and has left) is not in the way of new requests: when there is no
//     room, the oldest of that gives way and is told as given up.
//   - A device that cannot be reached delays only its own results; one whose
//     associations are busy is waited for without a slot of Parallel.
//   - A result that the device cannot stand has pauses of its own and delays no
//     other; only a call that fails, or three results in a row, put off all. News
//     (Changed) hurries what is undecided and undoes no pause; a request of the
//     device does.
//   - Time is counted while the engine runs. A clock that jumps gives up nothing.
//
// # What it deliberately does not do
//
// It does not know what safe means: Config.Judge does. It does not store: Store
// does. It knows no addresses: Reach does, and what the peer's own association
// says of its address is never used.
//
// # On which association
//
// A device that keeps its association open is told there, between two messages;
// one that has left, or leaves, hangs up or stays silent instead of answering, is
// told on a new association, with the SCP role proposed (PS3.4 §J.3.3.1.2), as the
// AE title that it had called, which modalities insist on, and in Implicit or Explicit VR
// Little Endian, whichever it takes. Same says which devices want only the one or
// the other. Where there is no other way, the device's own association is waited
// for longer, and what could not be told is told on the next that it opens with
// commitment (Opened, which an Observer is to call).
//
// # A stored transaction
//
//	+------+------------------------------------------------------------
//	| 01   | deflated (RFC 1951):
//	+------+
//	  spent uvarint seconds, calling, called, Transaction UID,
//	  n uvarint classes: SOP class UID...,
//	  n uvarint references: class uvarint (its place above), SOP instance UID...
//
// Strings stand behind their length as uvarint.
package commitment
