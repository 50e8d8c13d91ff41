package ledger

// migrationFolded is for receipts folded into files, and figures by day.
//
// objects.folded: 1, the receipt of objects.device is in a file and no row any more;
// 2, so, and a row of receipts has come since. receipts.folded: 1, it is in a file
// too, and stays, because nothing else says that this device has sent the object.
const migrationFolded = `
ALTER TABLE objects ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE receipts ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX objects_unfolded ON objects (archived_at, seq) WHERE archived_at IS NOT NULL AND folded <> 1;
CREATE TABLE folded (
	study TEXT NOT NULL, part INTEGER NOT NULL,
	name TEXT NOT NULL, digest BLOB NOT NULL,          -- of the file; no name when that has expired
	objects INTEGER NOT NULL, receipts INTEGER NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (study, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX folded_at ON folded (at) WHERE name <> '';

CREATE TABLE kpi (
	day INTEGER NOT NULL,                              -- since 1970-01-01, UTC
	facility TEXT NOT NULL,                            -- '' for what belongs to none
	destination TEXT NOT NULL,                         -- '' for all together
	objects INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, studies INTEGER NOT NULL DEFAULT 0,
	receipts INTEGER NOT NULL DEFAULT 0, conflicts INTEGER NOT NULL DEFAULT 0,
	archived INTEGER NOT NULL DEFAULT 0, archived_bytes INTEGER NOT NULL DEFAULT 0,
	held INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0, lost INTEGER NOT NULL DEFAULT 0, -- at the end of the day
	seconds TEXT NOT NULL DEFAULT '',                  -- received to archived: BUCKET:NUMBER,..
	PRIMARY KEY (day, facility, destination)
) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_state (key TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`
