// Package objects keeps instances at the hub: what has arrived so far of an object that
// an appliance is sending, and whole objects by their ID, on one of two shelves.
//
//	DIR/partial/DD.../ID       preface and the data set bytes so far; DD... is the
//	                           first half of SHA-256 of the appliance's id, in hexadecimal.
//	                           Sealed and not yet Recorded: a second name of the object's file
//	DIR/reset.key              32 secret bytes for the listener, see Store.ResetKey
//
//	a directory                a bucket (Config.Bucket)
//	DIR/objects/A/ID.dcm       PREFIX/objects/A/ID.dcm   a whole Part 10 file; A is the first digit of ID
//	DIR/docs/NAME              PREFIX/docs/NAME          a small document, see Store.Put
//	DIR/docs/.new/RANDOM                                 one that is being written
//	                           PREFIX/damaged/ID         empty: that object's bytes were found to be others
//	                           PREFIX/hubd.txt           written at each start, to prove that we may
//
// It promises:
//   - a whole object has the digest in its name: it gets its name only after the digest
//     of its bytes was compared and they were flushed, or taken by the bucket;
//   - when Seal returns nil for an object it is durable;
//   - until Recorded it is still its appliance's partial object, with all bytes: rows
//     that cannot be written cost no transfer. Nothing is written to its file again;
//   - a partial object belongs to one appliance and one claim: a newer claim
//     pre-empts the older one, another appliance sees nothing of it;
//   - partial objects are always files of this node; they survive a restart of the hub (not
//     necessarily a power cut, they are never flushed: the digest guards them) and are
//     bounded for each appliance;
//   - they are bounded in number, too, and so are the descriptors that they hold: the files
//     of those that are written to are open, of a few thousand (OpenFiles);
//   - a process without descriptors, or a machine without memory, is ErrFull, and loses nothing;
//   - no byte of a peer reaches a path or a key, every file is opened below an os.Root (SPOOL-10);
//   - a bucket that is full, slow, away or refuses us is ErrFull, within a bounded time: the
//     partial object stays and appliances keep their copies. Trouble says what is wrong;
//   - fs.ErrNotExist is returned exactly when an object is not there, never in an outage:
//     its appliances are asked for it again then.
//
// # Order in a directory
//
// Compare the digest, fdatasync(file), link (rename where there is one), fsync
// (directory), shared by all objects of one call. The commit point is the directory
// flush. File before name, other than in the spool, because here an object may
// be sealed again over a durable first copy (two appliances, one instance) and
// that must never be replaced by bytes that are not durable.
//
// An error of fdatasync or fsync is final for the Store (P8): from then on every Seal
// returns ErrFailed; restart the hub.
//
// # Order in a bucket
//
//	up to 16 MiB    digest and SHA-256 in one reading; PUT with that SHA-256, which the
//	                server compares.                          commit point: its answer 200
//	                (above 2 MiB beside the others of a Seal, see Partial.Prepare)
//	above           HEAD: is it there with this size, and no damaged/ID? then it is done
//	                ListMultipartUploads, ListParts: an unfinished upload of this object?
//	                else CreateMultipartUpload
//	                for each part (8 MiB; more above 80 GB): SHA-256 and digest in one
//	                reading; has the upload a part of this size and checksum? else PUT,
//	                8 at a time of all objects, the most urgent first
//	                the digest of all that was read is compared
//	                CompleteMultipartUpload                   commit point: its answer
//	                HEAD: has it the size? DELETE damaged/ID
//
// The parts of an object are cut by its size alone, so any node goes on with any upload:
// a hub that was killed sends what is missing and no more; two nodes that send one object
// at once write the same bytes into the same parts, and whoever completes second finds
// the object there. Uploads that were begun three days ago are aborted.
//
// To believe HEAD relies on: a key appears only with a complete request, whose bytes were
// proven here and compared there; nobody else writes below PREFIX; and who reads bytes
// that are not the object's leaves damaged/ID. Small objects are put again instead.
//
// Reading is one GET from head to end. DataSet compares the digest in passing (P14); a
// request that is cut goes on from where it was. A 404 counts only when the bucket's own
// listing has not the key either: something in between may answer 404, too.
//
// # What the bucket must be
//
// S3 with signature version 4; PUT that replaces as a whole or not at all; read, list and
// HEAD that see what was answered before (read-after-write); multipart uploads with their
// listings; x-amz-checksum-sha256, or else an ETag that is the MD5 of a part. Open writes
// and reads a probe. The keys may s3:PutObject, GetObject, DeleteObject, ListBucket,
// AbortMultipartUpload, ListMultipartUploadParts, ListBucketMultipartUploads.
//
// It breaks the promise, and cannot be seen from here, when: the server answers before the
// bytes are on stable storage (a cache that writes back, versitygw's posix backend on a
// machine that loses power: it never flushes; a single MinIO drive without its default
// syncs); a lifecycle rule expires or moves objects below PREFIX, or tiers them where GET
// waits for hours; another program writes or deletes there; a failover to an asynchronous
// replica loses what was answered; reads are served from a replica that lags. Versioning
// is harmless, but then Remove frees nothing until a rule removes old versions.
//
// Below Config.ReserveBytes free on the disk nothing new is taken (ErrFull), so
// that whoever keeps rows beside it can always write them. An object that would
// go below it while there is room for others is refused alone (ErrTooBig). With a bucket
// the reserve is of the disk with the partial objects.
//
// What is sealed and never gets a row stays on the shelf for good, when its appliance
// never offers it again and its partial object has expired: a hub that ended between the
// two, an appliance that was revoked or lost then. Nobody collects that: what has no row
// now may have one of another node in a moment, or of a backup that is restored, and to remove
// an object whose row comes is the one error that loses an image. It is at most what was in
// flight at such an end. Whoever needs the room compares names below objects/ with the rows of
// a backup that was made while no hub ran.
//
// A store that gets a bucket goes on to serve what it has in its directory; nothing is
// moved. It deliberately knows no ledger: which objects are wanted is decided elsewhere.
// It knows no other credentials than two keys.
package objects
