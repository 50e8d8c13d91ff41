// Package vault keeps the key that encrypts a spool (D-S12): 32 random bytes, in
// two files, as they are or sealed in a TPM, and once more wrapped to the recovery
// key of the region.
//
//	DIR/1/spool.key          a copy
//	DIR/2/spool.key          the other copy
//	DIR/recovery.pub         the recovery public key that the hub has given, with a PEM header "Mark"
//	DIR/recovery.wrapped     the key, wrapped to it (package recovery)
//
// A copy is text, so that it can be read over the telephone if it must be:
//
//	edged spool key 1        format and version
//	protect file             file: the key; tpm: a sealed blob, TSS2 PRIVATE KEY in DER
//	id 0123456789abcdef      names the key: SHA-256 of a label and the key, first 8 bytes
//	key BASE64
//	sum 0123456789abcdef     SHA-256 of the lines above, first 8 bytes
//
// # What it promises
//
// Open returns a key only after both copies of it are durable: files, names, and
// the directories above them. So whoever opens the spool with what Open returned
// answers no Success before (P1). That holds as well when the copies were there
// already, because the process that wrote them may have died before it synced.
//
// A key is made only while nothing needs one (Config.Needed) and no copy of one is
// there. What a cut during the making can leave:
//
//	nothing, or empty directories     no key was used; one is made
//	copy 1                            it was not used; it is taken, copy 2 is written
//	both                              it is taken
//
// WriteFile of package durable never leaves half a copy, so one that is damaged was
// damaged by the disk or by somebody. It is written anew from the other one, and
// that is logged. Two good copies of different keys are an error: nobody here can
// know which is right, and the wrong one would make the right one look superfluous.
//
// A copy whose fsync failed is in doubt for ever, whatever a second fsync says (P8):
// it is taken away, and the next Open, Recover or Wrap writes a new file. A directory
// above the copies is changed instead, so that its next fsync has something to write.
//
// The mark is HMAC-SHA256 of the 32 bytes of the public key, under HKDF(key, "",
// "edged recovery public key mark 1"): who can write the disk, and has not the key, cannot
// have the key wrapped to a recovery key of his own. Without a good mark only the hub's
// word counts (Rewrap and Wrap).
//
// What a cut leaves under a temporary name may be the key as it is: Open and Recover
// remove it.
//
// Sealed to the TPM means: under its storage root key (TCG's ECC template H-2),
// without a policy on PCRs, so that an update of the firmware or of the kernel does
// not lock the appliance out; the key crosses the bus encrypted in a session that
// is salted to the storage root key. A disk in another machine gives ErrTPM.
//
// # What it deliberately does not do
//
// It does not protect from who has the whole running machine, and, with "file", not
// from who has the whole disk: then encryption is for the disk that is returned,
// thrown away or erased in a second (Erase). With "tpm" it is for the stolen disk as
// well. It does not change the key of a spool, and it knows nothing of the spool.
package vault
