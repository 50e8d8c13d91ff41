package ledger

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
)

// migrations lead forward only; number n brings the schema from n to n+1. One
// that was released is never edited. PRAGMA user_version counts them.
var migrations = []string{`
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('objects', 0), ('bytes', 0), ('receipts', 0), ('archived', 0), ('tests', 0);

CREATE TABLE devices (
	id TEXT PRIMARY KEY, facility TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('approved', 'revoked')),
	key_hash BLOB NOT NULL,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE codes (
	hash BLOB PRIMARY KEY, facility TEXT NOT NULL,
	created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
	used_at INTEGER, device TEXT, key_hash BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE objects (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id BLOB NOT NULL UNIQUE,
	transfer_syntax TEXT NOT NULL, sop_class TEXT NOT NULL, sop_instance TEXT NOT NULL,
	length INTEGER NOT NULL, study TEXT NOT NULL, priority INTEGER NOT NULL,
	flags INTEGER NOT NULL, calling TEXT NOT NULL, device TEXT NOT NULL,
	conflict INTEGER NOT NULL DEFAULT 0,
	received_at INTEGER NOT NULL, archived_at INTEGER
) STRICT;
CREATE INDEX objects_sop_instance ON objects (sop_instance);
CREATE INDEX objects_waiting ON objects (seq) WHERE archived_at IS NULL;

CREATE TABLE receipts (
	device TEXT NOT NULL, id BLOB NOT NULL, length INTEGER NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (device, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_id ON receipts (id);

CREATE TABLE jobs (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	object INTEGER NOT NULL REFERENCES objects (seq),
	destination TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'done', 'permanent', 'held')),
	priority INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	next_at INTEGER NOT NULL DEFAULT 0,
	lease INTEGER NOT NULL DEFAULT 0, lease_until INTEGER NOT NULL DEFAULT 0,
	words TEXT NOT NULL DEFAULT '',
	UNIQUE (object, destination)
) STRICT;
CREATE INDEX jobs_queue ON jobs (destination, state, priority, seq, next_at);
CREATE INDEX jobs_stuck ON jobs (seq) WHERE state IN ('held', 'permanent');

CREATE TABLE confirmations (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	device TEXT NOT NULL, id BLOB NOT NULL, length INTEGER NOT NULL, at INTEGER NOT NULL,
	UNIQUE (device, id)
) STRICT;
CREATE INDEX confirmations_outbox ON confirmations (device, seq);
CREATE TABLE troubles (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	device TEXT NOT NULL, id BLOB NOT NULL, destination TEXT NOT NULL,
	permanent INTEGER NOT NULL, words TEXT NOT NULL,
	UNIQUE (device, id, destination)
) STRICT;
CREATE INDEX troubles_outbox ON troubles (device, seq);

CREATE TABLE audit (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
`, `
ALTER TABLE jobs ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
`, `
ALTER TABLE objects ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE receipts ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE troubles ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
CREATE INDEX objects_lost ON objects (seq) WHERE lost = 1;
`, `
ALTER TABLE objects ADD COLUMN file INTEGER NOT NULL DEFAULT 0; -- 0 in the store, 1 to be removed, 2 removed
CREATE INDEX objects_retained ON objects (file, archived_at) WHERE archived_at IS NOT NULL AND file < 2;
`, `
ALTER TABLE devices ADD COLUMN previous_key BLOB; -- hash of the key before the present one
`, `
-- A CHECK cannot be altered, so jobs is made anew with the states of storage commitment.
CREATE TABLE jobs_new (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	object INTEGER NOT NULL REFERENCES objects (seq),
	destination TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'stored', 'unconfirmed', 'done', 'permanent', 'held')),
	priority INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	next_at INTEGER NOT NULL DEFAULT 0,             -- of a stored one: when commitment is asked for
	lease INTEGER NOT NULL DEFAULT 0, lease_until INTEGER NOT NULL DEFAULT 0,
	words TEXT NOT NULL DEFAULT '',
	unanswered INTEGER NOT NULL DEFAULT 0,
	lost INTEGER NOT NULL DEFAULT 0,
	stored_at INTEGER NOT NULL DEFAULT 0,           -- when the archive answered Success last
	asked_at INTEGER NOT NULL DEFAULT 0,            -- when commitment was asked for last
	asks INTEGER NOT NULL DEFAULT 0,                -- how often since it was stored
	resends INTEGER NOT NULL DEFAULT 0,             -- how often the archive did not have it after all
	UNIQUE (object, destination)
) STRICT;
INSERT INTO jobs_new (seq, object, destination, state, priority, attempts, next_at, lease, lease_until, words, unanswered, lost)
	SELECT seq, object, destination, state, priority, attempts, next_at, lease, lease_until, words, unanswered, lost FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;
CREATE INDEX jobs_queue ON jobs (destination, state, priority, seq, next_at);
CREATE INDEX jobs_stuck ON jobs (seq) WHERE state IN ('held', 'permanent', 'unconfirmed');
CREATE INDEX jobs_stored ON jobs (destination, next_at, seq) WHERE state = 'stored';

CREATE TABLE transactions (
	uid TEXT PRIMARY KEY, destination TEXT NOT NULL,
	asked_at INTEGER NOT NULL, reported_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX transactions_old ON transactions (asked_at);
-- What was asked for and not answered yet; an older transaction may still be.
CREATE TABLE asked (
	job INTEGER NOT NULL REFERENCES jobs (seq), uid TEXT NOT NULL REFERENCES transactions (uid) ON DELETE CASCADE,
	PRIMARY KEY (job, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX asked_uid ON asked (uid);
`, migrationNodes, migrationRoutes, migrationStudies, migrationTokens, migrationFolded, migrationQueue, migrationFound}

// migrate brings the schema from version to this program's, within a transaction of
// the engine: all of it or nothing.
func (l *Ledger) migrate(tx *sql.Tx, version int, translate func(ddl string) string) error {
	if version > len(migrations) {
		return fmt.Errorf("its schema has version %d, this program knows %d: a newer hubd has run here, install that one again", version, len(migrations))
	}
	if l.config.Beside && version > 0 && version < len(migrations) {
		return fmt.Errorf("its schema has version %d, this program knows %d: %w", version, len(migrations), ErrOlder)
	}
	for n := version; n < len(migrations); n++ {
		if migrations[n] == "" {
			continue
		}
		if _, err := tx.Exec(translate(migrations[n])); err != nil {
			return fmt.Errorf("migration %d: %w", n+1, err)
		}
	}
	if version > 0 {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO meta VALUES ('ledger_id', ?), ('generation', '1')`, newID())
	return err
}

// understands ends this program when a newer one has brought the schema forward under it.
func (l *Ledger) understands(version int) error {
	if version <= len(migrations) {
		return nil
	}
	err := fmt.Errorf("ledger %s: a newer hubd has brought its schema to version %d, this program knows %d: install the newer one here too", l.engine, version, len(migrations))
	l.fail(err)
	return err
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}
