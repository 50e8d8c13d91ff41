package ledger

// migrationRoutes is for destinations that are for some objects only, and for data
// findings that hold. Of a hold, 1 is P5 and 2 a finding.
const migrationRoutes = `
ALTER TABLE objects ADD COLUMN modality TEXT NOT NULL DEFAULT '';
ALTER TABLE objects ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE objects ADD COLUMN unrouted INTEGER NOT NULL DEFAULT 0; -- 1: no required destination is for it
CREATE INDEX objects_unrouted ON objects (seq) WHERE unrouted = 1;
UPDATE objects SET hold = 1 WHERE conflict = 1 AND archived_at IS NULL
	AND NOT EXISTS (SELECT 1 FROM jobs k WHERE k.object = objects.seq AND k.state <> 'held');
CREATE TABLE findings (
	device TEXT NOT NULL, id BLOB NOT NULL,
	flags INTEGER NOT NULL, words TEXT NOT NULL, at INTEGER NOT NULL,
	released INTEGER NOT NULL DEFAULT 0,            -- when it holds no more, 0 while it may
	received INTEGER NOT NULL DEFAULT 0,            -- 1: the device has sent the object
	PRIMARY KEY (device, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX findings_id ON findings (id);
CREATE INDEX findings_early ON findings (device) WHERE received = 0;
`
