package main

import (
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// scaleRows are a fleet's: 8,700 appliances, a million objects of which the last
// hundred thousand are not archived, some of these held or refused.
const scaleRows = `
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 8699)
INSERT INTO devices (id, facility, state, key_hash, created_at) SELECT printf('%08x%04x', i * 48271 % 2147483647, i), printf('F%03d', i % 1200), 'approved', x'00', 1790000000000 + i FROM n;
INSERT INTO seen (device, at, node) SELECT id, 1790000000000, 'n1' FROM devices;
CREATE TEMP TABLE box (i INTEGER PRIMARY KEY, id TEXT);
INSERT INTO box SELECT row_number() OVER (ORDER BY id) - 1, id FROM devices;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, received_at, archived_at)
SELECT randomblob(32), '1.2.840.10008.1.2.4.70', '1.2.840.10008.5.1.4.1.1.2', printf('1.2.826.0.1.3680043.8.498.%d.%d', i / 250, i), 524288,
	printf('1.2.826.0.1.3680043.8.498.%d', i % 40 + i / 10000 * 40), 1, 0, 'CT1', (SELECT id FROM box WHERE box.i = (n.i % 40 + n.i / 10000 * 40) % 8700),
	1790000000000 + i, CASE WHEN i < 900000 THEN 1790000000000 + i ELSE NULL END FROM n;
INSERT INTO jobs (object, destination, state, priority, words) SELECT seq, 'vna',
	CASE WHEN seq <= 900000 THEN 'done' WHEN seq % 10 = 0 THEN 'permanent' WHEN seq % 10 = 1 THEN 'held' ELSE 'pending' END, 1,
	CASE WHEN seq > 900000 AND seq % 10 = 0 THEN '0122 SOP class not supported' ELSE '' END FROM objects;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
INSERT INTO audit (at, actor, action, subject, detail) SELECT 1790000000000 + i, 'cli:root', 'retry', printf('%064x', i), '1 jobs' FROM n;
`

// TestPagesAtScale measures how long a page of a large hub takes:
//
//	HUBD_SCALE=1 go test -run PagesAtScale -v ./cmd/hubd
func TestPagesAtScale(t *testing.T) {
	if os.Getenv("HUBD_SCALE") == "" {
		t.Skip("set HUBD_SCALE=1: it writes a ledger of a gigabyte first")
	}
	d := newDesk(t, func(c *Config) { c.Destinations = c.Destinations[:1] })
	db, err := sql.Open("sqlite", "file:"+filepath.Join(d.h.cfg.DataDir, "ledger.db")+"?_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)&_pragma=cache_size(-200000)")
	d.must(err)
	db.SetMaxOpenConns(1)
	begin := time.Now()
	_, err = db.Exec(scaleRows)
	d.must(err)
	d.must(db.Close())
	t.Logf("rows written in %v", time.Since(begin).Round(time.Second))
	b := d.logIn("admin")
	var key string
	for _, path := range []string{"/", "/appliances", "/appliances?search=F11", "/appliances?connected=no", "/appliances?quiet=7d", "/trouble", "/trouble?state=held",
		"/studies", "/destinations", "/nodes", "/codes", "/audit", "/audit?subject=fffff", "/tokens"} {
		var took []time.Duration
		for range 7 {
			begin := time.Now()
			if w := b.do("GET", path, nil); w.Code != http.StatusOK {
				t.Fatalf("%s: %d", path, w.Code)
			}
			took = append(took, time.Since(begin))
		}
		first := took[0]
		slices.Sort(took)
		t.Logf("%-28s first %8v  median %8v  worst %8v", path, first.Round(100*time.Microsecond), took[3].Round(100*time.Microsecond), took[6].Round(100*time.Microsecond))
		if took[3] > 100*time.Millisecond {
			t.Errorf("%s: %v", path, took[3])
		}
	}
	for _, item := range d.get("/api/v1/studies?limit=1", d.token("viewer"))["items"].([]any) {
		key = item.(node)["key"].(string)
	}
	begin = time.Now()
	b.do("GET", "/studies/"+key, nil)
	t.Logf("one study: %v", time.Since(begin))
	begin = time.Now()
	_, err = d.h.status(t.Context())
	d.must(err)
	t.Logf("figures without the cache: %v", time.Since(begin))
}
