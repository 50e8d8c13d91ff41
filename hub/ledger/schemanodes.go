package ledger

// migrationNodes is for several nodes over one database. writers has the number of the
// last transaction of each process over PostgreSQL (see postgres.commit).
const migrationNodes = `
CREATE TABLE nodes (
	id TEXT PRIMARY KEY, address TEXT NOT NULL, version TEXT NOT NULL,
	started_at INTEGER NOT NULL, seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE writers (id TEXT PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN node TEXT NOT NULL DEFAULT '';     -- who has leased it
ALTER TABLE jobs ADD COLUMN done_at INTEGER NOT NULL DEFAULT 0; -- 0 of what was done before there was this
`
