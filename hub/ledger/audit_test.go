package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"edged/hub/enrol"
)

// tamper changes rows behind the ledger's back.
func (w *world) tamper(query string, args ...any) {
	w.Helper()
	w.must(w.change(w.ctx, func(b *batch) error {
		_, err := b.exec(query, args...)
		return err
	}))
}

func (w *world) entries() []Entry {
	w.Helper()
	e, _, err := w.AuditPage(w.ctx, AuditFilter{}, 0, 1000)
	w.must(err)
	return e
}

// Each change is in the trail with who, from where, what and on what; each row
// vouches for the one before.
func TestTheTrailIsAChain(t *testing.T) {
	w := start(t, Config{})
	w.must(w.AddCode(w.ctx, [32]byte{1}, "ASL1", w.now.Add(time.Hour), Who("token:anna", "10.1.2.3")))
	w.must(w.Audit(w.ctx, Who("token:anna", "10.1.2.3"), "log in", "console", ""))
	got := w.entries()
	if len(got) != 3 || got[0].Action != "log in" || got[1].Actor != "token:anna" || got[1].Origin != "10.1.2.3" || got[1].Subject != "ASL1" || got[2].Action != chainAction {
		t.Fatalf("got %+v", got)
	}
	v, err := w.VerifyAudit(w.ctx)
	w.must(err)
	w.want("rows", v.Rows, 3)
	w.want("last hash", fmt.Sprintf("%x", v.Last), fmt.Sprintf("%x", got[0].Hash))
}

// Many at once, in shared transactions: still one chain.
func TestTheTrailIsOneChainWhoeverWritesAtOnce(t *testing.T) {
	w := start(t, Config{})
	const writers, each = 8, 20
	errs := make(chan error, writers)
	for n := range writers {
		go func() {
			var err error
			for k := range each {
				err = errors.Join(err, w.Audit(w.ctx, fmt.Sprintf("token:t%d", n), "nothing", fmt.Sprint(k), ""))
			}
			errs <- err
		}()
	}
	for range writers {
		w.must(<-errs)
	}
	v, err := w.VerifyAudit(w.ctx)
	w.must(err)
	w.want("rows", v.Rows, writers*each+1)
}

// Two processes with one database, as several nodes, or the command line beside a
// running hub: still one chain.
func TestTheTrailIsOneChainOverTwoProcesses(t *testing.T) {
	w := start(t, Config{})
	other, err := Open(w.ctx, w.config)
	w.must(err)
	defer other.Close()
	const each = 25
	errs := make(chan error, 2)
	for _, l := range []*Ledger{w.Ledger, other} {
		go func() {
			var err error
			for n := range each {
				err = errors.Join(err, l.Audit(w.ctx, "cli:root", "nothing", fmt.Sprint(n), ""))
			}
			errs <- err
		}()
	}
	w.must(<-errs)
	w.must(<-errs)
	v, err := other.VerifyAudit(w.ctx)
	w.must(err)
	w.want("rows", v.Rows, 2*each+1)
}

// Whoever changes, takes out or puts in a row breaks the chain at that place.
func TestAChangedTrailIsSeen(t *testing.T) {
	for name, query := range map[string]string{
		"changed":       `UPDATE audit SET actor = 'token:berta' WHERE action = 'two'`,
		"taken out":     `DELETE FROM audit WHERE action = 'two'`,
		"put in":        `INSERT INTO audit (seq, at, actor, origin, action, subject, detail, hash) SELECT seq + 100, at, actor, origin, action, subject, detail, hash FROM audit WHERE action = 'two'`,
		"hash taken":    `UPDATE audit SET hash = NULL WHERE action = 'two'`,
		"begins anew":   `DELETE FROM audit WHERE action = 'chain begins'`,
		"an older lie":  `UPDATE audit SET subject = 'another' WHERE action = 'old'`,
		"an older lost": `DELETE FROM audit WHERE action = 'old'`,
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, Config{})
			w.tamper(`INSERT INTO audit (at, actor, action, subject, detail) VALUES (1, 'cli:root', 'old', 'x', '')`)
			w.tamper(`INSERT INTO audit (at, actor, action, subject, detail) VALUES (2, 'cli:root', 'older', 'x', '')`)
			for _, action := range []string{"one", "two", "three"} {
				w.must(w.Audit(w.ctx, "cli:root", action, "s", ""))
			}
			v, err := w.VerifyAudit(w.ctx)
			w.must(err)
			w.want("rows", fmt.Sprint(v.Rows, v.Old), "4 2")
			w.tamper(query)
			if _, err := w.VerifyAudit(w.ctx); !errors.Is(err, ErrChain) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Rows of before there was a chain are counted and vouched for where it begins.
func TestTheChainSaysWhereItBegins(t *testing.T) {
	w := start(t, Config{})
	w.tamper(`INSERT INTO audit (at, actor, action, subject, detail) VALUES (1, 'cli:root', 'revoke', 'x', '')`)
	if v, err := w.VerifyAudit(w.ctx); err != nil || v.Old != 1 || v.Last != nil {
		t.Fatalf("%+v %v", v, err)
	}
	w.must(w.Audit(w.ctx, "cli:root", "one", "s", ""))
	got := w.entries()
	if len(got) != 3 || got[1].Action != chainAction || !strings.HasPrefix(got[1].Detail, "1 rows before it, SHA-256 ") || got[2].Hash != nil {
		t.Errorf("got %+v", got)
	}
}

// The row and what it tells are one transaction: what failed is not in the trail.
func TestWhatFailedIsNotInTheTrailAsDone(t *testing.T) {
	w := start(t, Config{})
	if err := w.SetApproved(w.ctx, "nobody", false, "cli:root"); !errors.Is(err, enrol.ErrNoDevice) {
		t.Fatal(err)
	}
	w.want("rows", len(w.entries()), 0)
}

func TestTheTrailIsPagedAndFiltered(t *testing.T) {
	w := start(t, Config{})
	for n := range 10 {
		w.must(w.Audit(w.ctx, fmt.Sprintf("token:t%d", n%2), "act", fmt.Sprintf("subject %d_%%", n), ""))
	}
	var got []string
	for before := int64(0); ; {
		page, next, err := w.AuditPage(w.ctx, AuditFilter{Actor: "token:t1"}, before, 2)
		w.must(err)
		for _, e := range page {
			got = append(got, e.Subject[8:9])
		}
		if before = next; next == 0 {
			break
		}
	}
	w.want("subjects", strings.Join(got, ""), "97531")
	page, _, err := w.AuditPage(w.ctx, AuditFilter{Subject: "3_%"}, 0, 10)
	w.must(err)
	w.want("by a text with the pattern's own characters", len(page), 1)
}

// A filter that matches nothing looks at a bounded number of rows at a time, and gets
// to the end all the same.
func TestAFilterThatMatchesNothingIsBounded(t *testing.T) {
	w := start(t, Config{})
	w.must(w.Audit(w.ctx, "cli:root", "needle", "s", ""))
	w.tamper(`UPDATE audit SET seq = seq + 50000`)
	w.must(w.Audit(w.ctx, "cli:root", "hay", "s", ""))
	pages, found := 0, 0
	for before := int64(0); ; {
		page, next, err := w.AuditPage(w.ctx, AuditFilter{Action: "hay"}, before, 10)
		w.must(err)
		pages, found = pages+1, found+len(page)
		if before = next; next == 0 {
			break
		}
	}
	w.want("pages and rows", fmt.Sprint(pages, found), "3 1")
}

// Whoever can write rows can take all hashes out, and with them the proof, or write
// another chain: neither is a trail from before there was one.
func TestATrailWithoutItsHashesIsNotGood(t *testing.T) {
	w := start(t, Config{})
	v, err := w.VerifyAudit(w.ctx)
	w.must(err)
	w.want("rows of none", v.Rows, 0)
	for range 3 {
		w.must(w.Audit(w.ctx, "cli:root", "revoke", "edge-1", ""))
	}
	strip := func() {
		w.tamper(`DELETE FROM audit WHERE action = ?`, chainAction)
		w.tamper(`UPDATE audit SET hash = NULL, actor = 'cli:somebody else'`)
	}
	strip()
	if v, err := w.VerifyAudit(w.ctx); !errors.Is(err, ErrChain) {
		t.Errorf("stripped: %+v %v", v, err)
	}
	w.must(w.Audit(w.ctx, "cli:root", "revoke", "edge-2", "")) // begins a chain
	if v, err := w.VerifyAudit(w.ctx); !errors.Is(err, ErrChain) {
		t.Errorf("written anew: %+v %v", v, err)
	}
	w.tamper(`DELETE FROM audit`)
	if v, err := w.VerifyAudit(w.ctx); !errors.Is(err, ErrChain) {
		t.Errorf("emptied: %+v %v", v, err)
	}
}

// A hash that was kept elsewhere shows what the rows alone cannot: the end cut off, and
// a chain that was written anew together with what meta says.
func TestAHashKeptElsewhereShowsACutTrail(t *testing.T) {
	w := start(t, Config{})
	var kept [][]byte
	for range 3 {
		w.must(w.Audit(w.ctx, "cli:root", "revoke", "edge-1", ""))
		v, err := w.VerifyAudit(w.ctx, kept...)
		w.must(err)
		kept = append(kept, v.Last)
	}
	w.tamper(`DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)`)
	_, err := w.VerifyAudit(w.ctx)
	w.must(err) // nobody sees it without
	if _, err := w.VerifyAudit(w.ctx, kept[2]); !errors.Is(err, ErrNotInChain) {
		t.Errorf("cut off: %v", err)
	}
	_, err = w.VerifyAudit(w.ctx, kept[1], kept[0])
	w.must(err)
	w.tamper(`DELETE FROM audit`)
	w.tamper(`DELETE FROM meta WHERE key = 'audit_chain'`)
	w.must(w.Audit(w.ctx, "cli:root", "revoke", "edge-2", ""))
	if _, err := w.VerifyAudit(w.ctx, kept[0]); !errors.Is(err, ErrNotInChain) {
		t.Errorf("written anew: %v", err)
	}
}

// From the row of a code one finds who has used it, and from where: both name it as
// lists do.
func TestTheTrailLeadsFromACodeToWhoUsedIt(t *testing.T) {
	w := start(t, Config{})
	hash := [32]byte{0xab, 1}
	w.must(w.AddCode(w.ctx, hash, "ASL1", w.now.Add(time.Hour), Who("token:anna", "10.1.2.3")))
	_, err := w.Claim(w.ctx, hash, [32]byte{2}, "box1", "10.9.8.7")
	w.must(err)
	codes, err := w.Codes(w.ctx, false, CodeMark{}, 1)
	w.must(err)
	got := w.entries()
	if e := got[0]; e.Action != "enrol" || e.Subject != "box1" || e.Origin != "10.9.8.7" || !strings.Contains(e.Detail, codes[0].ID) || !strings.Contains(e.Detail, "ASL1") {
		t.Errorf("enrol: %+v", e)
	}
	if e := got[1]; e.Action != "code new" || !strings.Contains(e.Detail, codes[0].ID) {
		t.Errorf("code new: %+v", e)
	}
}
