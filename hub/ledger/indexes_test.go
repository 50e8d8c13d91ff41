package ledger

import (
	"fmt"
	"strings"
	"testing"
)

// plan is how SQLite finds what a query asks for.
func (w *world) plan(query string, args ...any) string {
	w.Helper()
	rows, err := w.read.QueryContext(w.ctx, `EXPLAIN QUERY PLAN `+query, args...)
	w.must(err)
	var out []string
	w.must(eachRow(rows, func(scan func(...any) error) error {
		var id, parent, x int
		var detail string
		err := scan(&id, &parent, &x, &detail)
		out = append(out, detail)
		return err
	}))
	return strings.Join(out, "; ")
}

// Each index is written with every object that is received: no two serve the same. (Of two
// that are UNIQUE or partial, each says something of its own.)
func TestNoIndexIsWrittenForWhatAnotherOneServes(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	rows, err := w.read.QueryContext(w.ctx, `SELECT m.name || ' ' || i.name || ' ' || c.name FROM sqlite_schema m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) c
		WHERE m.type = 'table' AND i."unique" = 0 AND i.partial = 0 AND c.seqno = 0 ORDER BY 1`)
	w.must(err)
	list, err := collect[string](rows)
	w.must(err)
	first := map[string]string{}
	for _, one := range list {
		f := strings.Fields(one)
		key := f[0] + "." + f[2]
		if other := first[key]; other != "" {
			t.Errorf("%s and %s both begin with %s", other, f[1], key)
		}
		first[key] = f[1]
	}
	if len(first) < 8 {
		t.Errorf("only %v", first)
	}
}

// What asks for a study, with each of them, finds it by the one index over studies.
func TestAStudyIsFoundByItsIndex(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	for n, query := range []string{
		`SELECT o.seq FROM objects o WHERE ` + strings.NewReplacer("?1", "'s'", "?2", "5", "?3", "'vna'").Replace((&Fold{configured: w.config.allNames()}).foldable(3)) + ` ORDER BY o.seq LIMIT 5000`,
		`SELECT o.seq FROM objects o WHERE o.study = 's' AND o.seq <= 9 AND o.flags & 8 = 0 AND NOT EXISTS (SELECT 1 FROM described d WHERE d.object = o.seq) ORDER BY o.seq LIMIT 5`,
		`SELECT count(*) FROM objects o WHERE o.study = 's'`,
		`SELECT EXISTS (SELECT 1 FROM studies_said s WHERE ` + sentSome + `)`,
	} {
		if plan := w.plan(query); !strings.Contains(plan, "objects_study (study=?") {
			t.Error(fmt.Sprint(n, " ", plan))
		}
	}
}
