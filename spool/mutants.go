package spool

// A mutant is this package with one promise broken on purpose, by a build tag.
// A test builds each of them and demands that the suite turns red (D-S10,
// SPOOL-26). Without a tag the constant mutant is "none" and the compiler
// removes every one of these branches.
const (
	mutantNoFileSync   = "nofilesync"   // SPOOL-1: content is not synced
	mutantNoDirSync    = "nodirsync"    // SPOOL-1: the name is not synced
	mutantNoParentSync = "noparentsync" // SPOOL-3: the directory's own name is not synced
	mutantEarlyAnswer  = "earlyanswer"  // SPOOL-2: a receipt is answered before the journal is flushed
	mutantNoSealCheck  = "nosealcheck"  // SPOOL-6: whatever lies there is believed
	mutantEarlyDelete  = "earlydelete"  // SPOOL-17: the file goes before the row that allows it
	mutantNoSyncFS     = "nosyncfs"     // D-S5: recovery does not end with syncfs
	mutantSecondSync   = "secondsync"   // SPOOL-4: a failed sync is tried again and believed
	mutantIndexAhead   = "indexahead"   // SPOOL-12: a row of the index names what is not durable yet
	mutantClockOrder   = "clockorder"   // D-S7: order by the wall clock
	mutantEarlyNote    = "earlynote"    // D-S4: a note is answered before the journal is flushed
)
