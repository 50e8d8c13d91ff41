package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"edged/hub"
)

// rowsOfVersion1 are what a hub of the first version may have had, in columns that
// every later version has.
const rowsOfVersion1 = `
INSERT INTO meta VALUES ('ledger_id', 'old'), ('generation', '3');
UPDATE counters SET n = 3 WHERE name = 'objects';
UPDATE counters SET n = 1 WHERE name = 'archived';
INSERT INTO devices (id, facility, state, key_hash, created_at) VALUES ('a', 'F1', 'approved', %[1]s, 5), ('b', 'F2', 'revoked', %[1]s, 6);
INSERT INTO codes (hash, facility, created_at, expires_at) VALUES (%[1]s, 'F1', 5, 9000000000000);
INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, received_at, archived_at)
	VALUES (%[1]s, 't', 'c', '1.2.1', 101, 's', 1, 0, 'AE', 'a', 7, 8), (%[2]s, 't', 'c', '1.2.2', 102, 's', 1, 0, 'AE', 'a', 7, NULL), (%[3]s, 't', 'c', '1.2.3', 103, 's', 0, 0, 'AE', 'a', 7, NULL);
INSERT INTO receipts (device, id, length, at) VALUES ('a', %[1]s, 101, 7), ('a', %[2]s, 102, 7), ('a', %[3]s, 103, 7);
INSERT INTO jobs (object, destination, state, priority, attempts) VALUES (1, 'vna', 'done', 1, 1), (2, 'vna', 'pending', 1, 4), (3, 'vna', 'leased', 0, 0);
INSERT INTO confirmations (device, id, length, at) VALUES ('a', %[1]s, 101, 8);
INSERT INTO troubles (device, id, destination, permanent, words) VALUES ('a', %[2]s, 'vna', 0, 'w');
INSERT INTO audit (at, actor, action, subject, detail) VALUES (5, 'admin', 'approve', 'a', '');`

func oldRows(literal string) string {
	id := func(n int) string { return fmt.Sprintf(literal, strings.Repeat(fmt.Sprintf("%02x", n), 32)) }
	return fmt.Sprintf(rowsOfVersion1, id(1), id(2), id(3))
}

// ofVersion is a ledger as a program of an earlier version has left it.
func ofVersion(t *testing.T, version int) Config {
	t.Helper()
	c := place(t, Config{Destinations: []Destination{{Name: "vna", Required: true}}})
	var statements []string
	if overPostgres() {
		for _, m := range migrations[:version] {
			statements = append(statements, definition(m))
		}
		statements = append(statements, oldRows(`'\x%s'`), fmt.Sprintf(`CREATE TABLE version (n BIGINT NOT NULL); INSERT INTO version VALUES (%d)`, version))
	} else {
		statements = append(statements, migrations[:version]...)
		statements = append(statements, oldRows(`x'%s'`), fmt.Sprintf(`PRAGMA user_version = %d`, version))
	}
	db := bare(t, c)
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// bare is the database without a ledger.
func bare(t *testing.T, c Config) *sql.DB {
	t.Helper()
	if c.Database == "" {
		db, err := sql.Open("sqlite", dsn(c.Path, "immediate", ""))
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	config, err := pgx.ParseConfig(c.Database)
	if err != nil {
		t.Fatal(err)
	}
	return stdlib.OpenDB(*config)
}

// From every earlier version on, all rows come through and answer as before.
func TestRowsOfEveryEarlierVersionAnswer(t *testing.T) {
	for version := 1; version < len(migrations); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			w := start(t, ofVersion(t, version))
			id := func(n byte) (id hub.ID) {
				for i := range id {
					id[i] = n
				}
				return id
			}
			_, generation, err := w.Identity(w.ctx)
			w.must(err)
			w.want("generation", generation, 3)
			known, err := w.Known(w.ctx, "a", []hub.ID{id(1), id(2), id(3), id(4)})
			w.must(err)
			w.want("known", len(known), 3)
			w.want("confirmed", w.confirmed("a"), []hub.ID{id(1)})
			jobs := w.lease("vna", 9)
			if len(jobs) != 2 || jobs[0].Object.ID != id(3) || jobs[1].Object.ID != id(2) || jobs[1].Attempts != 4 || jobs[1].Object.Calling != "AE" {
				t.Fatalf("jobs %+v", jobs)
			}
			for _, j := range jobs {
				w.must(w.Done(w.ctx, j, ""))
			}
			w.want("archived", w.stats().Archived, 3)
			w.receive(object("a", 9, "x"))
			w.want("the next job", w.one("vna").Object.Names.SOPInstance, "1.2.9")
			out, err := w.Revoked(w.ctx)
			w.must(err)
			w.want("revoked", out, []string{"b"})
			w.want("trail", w.count(`SELECT count(*) FROM audit WHERE action = 'approve'`), 1)
			_, err = w.Claim(w.ctx, id(1), [32]byte{7}, "new", "")
			w.must(err)
		})
	}
}

// Nodes that are started at the same time over an old schema bring it up once.
func TestNodesThatOpenAnOldLedgerAtOnce(t *testing.T) {
	c := ofVersion(t, 6)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			c := c
			c.Node = fmt.Sprint(n)
			l, err := Open(context.Background(), c)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(l.Start(context.Background()), l.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w := start(t, c)
	w.want("jobs", len(w.lease("vna", 9)), 2)
}

// A command beside an older hub that runs leaves its rows as they are: it would have to
// end. New rows are made by whoever comes first.
func TestACommandBringsNoRowsForward(t *testing.T) {
	c := ofVersion(t, len(migrations)-1)
	c.Beside = true
	for range 2 {
		l, err := Open(t.Context(), c)
		if !errors.Is(err, ErrOlder) {
			t.Fatalf("got %v", err)
		}
		if err == nil {
			l.Close()
		}
	}
	tried, err := Try(t.Context(), c)
	if err != nil || tried.Schema != len(migrations)-1 {
		t.Errorf("schema %d, %v", tried.Schema, err)
	}
	c.Beside = false
	start(t, c)
	c.Beside = true
	start(t, c)
	start(t, place(t, Config{Beside: true}))
}

// A node that runs ends when a newer program has changed the schema under it, before it
// writes anything.
func TestAnOlderNodeEndsWhenTheSchemaIsNewer(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("a", 1, "x"))
	newer := fmt.Sprintf(`PRAGMA user_version = %d`, len(migrations)+1)
	if overPostgres() {
		newer = `UPDATE version SET n = n + 1`
	}
	db := bare(t, w.config)
	defer db.Close()
	_, err := db.Exec(newer)
	w.must(err)
	if err := w.Receive(w.ctx, []hub.Object{object("a", 2, "x")}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got %v", err)
	}
	isClosed(w, "failed", w.Failed())
	if w.Err() == nil {
		t.Error("no cause")
	}
	w.want("objects", w.count(`SELECT count(*) FROM objects`), 1)
}

// A server that confirms what it may lose is refused, at the beginning and whenever it
// changes, with words that say what to do.
func TestAServerThatLosesWhatItConfirmsIsRefused(t *testing.T) {
	s := ownServer(t)
	url := s.Database(t)
	refused := func(what string) {
		t.Helper()
		l, err := Open(t.Context(), Config{Database: url})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
		if err == nil {
			l.Close()
		}
	}
	again := func(options ...string) {
		t.Helper()
		s.Kill()
		if err := s.Start(options...); err != nil {
			t.Fatal(err)
		}
	}
	again("-c fsync=off")
	refused("fsync off")
	again("-c full_page_writes=off")
	refused("full_page_writes off")
	again("-c synchronous_commit=off")
	refused("synchronous_commit is off")
	again()
	for _, whose := range []string{"DATABASE t1", "ROLE postgres"} {
		set(t, s.Exec, "ALTER "+whose+" SET synchronous_commit = off")
		refused("synchronous_commit is off")
		set(t, s.Exec, "ALTER "+whose+" RESET synchronous_commit")
	}
	set(t, s.Exec, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	url = s.URL("latin")
	refused("ENCODING 'UTF8'")

	w := start(t, Config{Database: s.URL("t1")})
	w.engine.(*postgres).patient = 100 * time.Millisecond
	w.receive(object("a", 1, "x"))
	set(t, s.Exec, "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
	unsafe := func() error { return w.Receive(w.ctx, []hub.Object{object("a", 2, "x")}) }
	eventually(t, "refused while it runs", func() bool {
		err := unsafe()
		return err != nil && strings.Contains(err.Error(), "full_page_writes off")
	})
	set(t, s.Exec, "ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()")
	eventually(t, "taken again", func() bool { return unsafe() == nil })
}

func set(t *testing.T, exec func(string) error, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually: a server takes a new configuration in its own time.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Errorf("%s: not within 20 s", what)
}
