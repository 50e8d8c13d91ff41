package ledger

// migrationStudies is for studies, and who is told of them. No column names a person,
// but headers.body and events.body: what stands there is for sinks alone, and no
// listing reads it (P10).
const migrationStudies = `
CREATE TABLE studies_said (                     -- what each appliance said last of a study
	study TEXT NOT NULL, device TEXT NOT NULL,
	revision INTEGER NOT NULL,                      -- in the life of the study there
	complete INTEGER NOT NULL,                      -- 0: changed
	objects INTEGER NOT NULL,                       -- that it counts
	at INTEGER NOT NULL,
	received INTEGER NOT NULL DEFAULT 0,            -- 1: the device has sent something of it
	PRIMARY KEY (study, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX studies_said_early ON studies_said (device) WHERE received = 0;
CREATE TABLE studies (
	study TEXT PRIMARY KEY,
	revision INTEGER NOT NULL DEFAULT 0,            -- of its last event, 0: none yet
	objects INTEGER NOT NULL DEFAULT 0,             -- in that event
	archived INTEGER NOT NULL DEFAULT 0,            -- of these
	open_at INTEGER NOT NULL,                       -- since when it waits for the next
	look_at INTEGER                                 -- when to look whether that is due; NULL: none is waited for
) STRICT, WITHOUT ROWID;
CREATE INDEX studies_look ON studies (look_at) WHERE look_at IS NOT NULL;

CREATE TABLE events (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	study TEXT NOT NULL, revision INTEGER NOT NULL,
	at INTEGER NOT NULL,
	last INTEGER NOT NULL,                          -- it lists the objects of the study up to this one
	objects INTEGER NOT NULL,
	body BLOB,                                      -- what sinks are told, packed; NULL: not made yet, or needed no more
	built INTEGER NOT NULL,                         -- 0: it is still to be made
	UNIQUE (study, revision)
) STRICT;
CREATE INDEX events_old ON events (at);
CREATE INDEX events_unbuilt ON events (seq) WHERE built = 0;
CREATE TABLE deliveries (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	sink TEXT NOT NULL, event INTEGER NOT NULL REFERENCES events (seq), study TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'done', 'failed', 'superseded')),
	attempts INTEGER NOT NULL DEFAULT 0,
	next_at INTEGER NOT NULL DEFAULT 0,
	lease INTEGER NOT NULL DEFAULT 0, lease_until INTEGER NOT NULL DEFAULT 0, node TEXT NOT NULL DEFAULT '',
	words TEXT NOT NULL DEFAULT '',
	at INTEGER NOT NULL,                            -- when it was made
	UNIQUE (event, sink)
) STRICT;
CREATE INDEX deliveries_queue ON deliveries (sink, seq) WHERE state IN ('pending', 'leased');
CREATE INDEX deliveries_study ON deliveries (sink, study, seq);
CREATE INDEX deliveries_failed ON deliveries (sink, seq) WHERE state = 'failed';

CREATE TABLE headers (                          -- what headers say above the instance, each text once a study
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	study TEXT NOT NULL, digest BLOB NOT NULL,
	body TEXT NOT NULL,                             -- JSON
	UNIQUE (study, digest)
) STRICT;
CREATE TABLE described (                        -- what the header of an object says
	object INTEGER NOT NULL, series TEXT NOT NULL,
	own TEXT NOT NULL,                              -- JSON, of the instance
	part INTEGER NOT NULL, whole INTEGER NOT NULL,  -- headers of its series and of its study, 0: none
	problem TEXT NOT NULL,                          -- why there is nothing, in our words
	PRIMARY KEY (object)
) STRICT, WITHOUT ROWID;
`
