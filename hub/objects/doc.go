// Package objects keeps instances as files at the hub: what has arrived so far
// of an object that an appliance is sending, and whole objects by their ID.
//
//	DIR/partial/DD.../ID       preface and the data set bytes so far; DD... is the
//	                           first half of SHA-256 of the appliance's id, in hexadecimal.
//	                           Sealed and not yet Recorded: a second name of the object's file
//	DIR/objects/A/ID.dcm       a whole Part 10 file; A is the first digit of ID
//	DIR/reset.key              32 secret bytes for the listener, see Store.ResetKey
//
// It promises:
//   - a file below objects/ is whole and has the digest in its name: it gets its
//     name only after the digest of its bytes was compared and they were flushed;
//   - when Seal returns nil for an object, file and directory entry are durable;
//   - until Recorded it is still its appliance's partial object, with all bytes: rows
//     that cannot be written cost no transfer. Nothing is written to its file again;
//   - a partial object belongs to one appliance and one claim: a newer claim
//     pre-empts the older one, another appliance sees nothing of it;
//   - partial objects survive a restart of the hub (not necessarily a power cut,
//     they are never flushed: the digest guards them) and are bounded for each appliance;
//   - no byte of a peer reaches a path, every file is opened below an os.Root (SPOOL-10).
//
// The order of Seal is: compare the digest, fdatasync(file), link (rename where there is one), fsync
// (directory), shared by all objects of one call. The commit point is the directory
// flush. File before name, other than in the spool, because here an object may
// be sealed again over a durable first copy (two appliances, one instance) and
// that must never be replaced by bytes that are not durable.
//
// Below Config.ReserveBytes free on the disk nothing new is taken (ErrFull), so
// that whoever keeps rows beside it can always write them. An object that would
// go below it while there is room for others is refused alone (ErrTooBig).
//
// An error of fdatasync or fsync is final for the Store (P8): from then on every Seal
// returns ErrFailed; restart the hub. It deliberately knows no ledger: which
// objects are wanted is decided elsewhere.
package objects
