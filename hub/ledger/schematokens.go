package ledger

// migrationTokens is for who may do what by the API, for the trail's hash chain,
// and for lists that an administrator looks at.
const migrationTokens = `
CREATE TABLE tokens (
	name TEXT PRIMARY KEY,
	role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
	hash BLOB NOT NULL UNIQUE,                      -- SHA-256 of the token, which is kept nowhere
	created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
	expires_at INTEGER NOT NULL,                    -- 0: never
	used_at INTEGER NOT NULL DEFAULT 0,             -- the last time that was flushed
	revoked_at INTEGER NOT NULL DEFAULT 0           -- 0: it is good
) STRICT, WITHOUT ROWID;

ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN hash BLOB;             -- NULL only before the chain began

ALTER TABLE codes ADD COLUMN cancelled_at INTEGER;

CREATE TABLE seen (device TEXT PRIMARY KEY, at INTEGER NOT NULL, node TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE INDEX objects_open ON objects (device, study, seq) WHERE archived_at IS NULL AND flags & 8 = 0;
CREATE INDEX objects_study ON objects (study, device, seq);
CREATE INDEX jobs_held ON jobs (object) WHERE state = 'held';
CREATE INDEX troubles_id ON troubles (id);
`
