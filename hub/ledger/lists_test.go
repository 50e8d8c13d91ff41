package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"edged/hub"
)

// Who reads the trail over a slow line holds no connection and no snapshot meanwhile, and
// gets each row that there was when he began, once.
func TestASlowReaderOfTheTrailHoldsNothing(t *testing.T) {
	w := start(t, Config{})
	const rows = 2*auditPiece + 7
	w.must(w.change(w.ctx, func(b *batch) error {
		for n := range rows {
			if err := b.audit("cli:test", "nothing", fmt.Sprint(n), ""); err != nil {
				return err
			}
		}
		return nil
	}))
	want, next := int64(len(w.entries())), int64(1)
	if want != 1000 { // that is one page of them
		t.Fatalf("%d rows", want)
	}
	var got []Entry
	w.must(w.EachAudit(w.ctx, func(e *Entry) error {
		for name, db := range map[string]*sql.DB{"lists": w.lists, "read": w.read} {
			if n := db.Stats().InUse; n != 0 {
				t.Errorf("row %d: %d connections of %s are held", e.Seq, n, name)
			}
		}
		if e.Seq != next {
			t.Errorf("row %d, want %d", e.Seq, next)
		}
		if next++; next == 5 {
			w.must(w.Audit(w.ctx, "cli:test", "later", "x", ""))
		}
		got = append(got, *e)
		return nil
	}))
	if last := got[len(got)-1]; last.Action != "nothing" || last.Subject != fmt.Sprint(rows-1) {
		t.Errorf("ends with %+v", last)
	}
	enough := errors.New("enough")
	if err := w.EachAudit(w.ctx, func(*Entry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// While all that people may ask at once is being asked, and hangs, the hub goes on: who is
// sent away, whether it is ready, who connects, what is offered, whose token it is.
func TestListingsThatHangKeepNobodyElseWaiting(t *testing.T) {
	w := start(t, Config{})
	w.enrol("box", "ASL1", 1)
	hash := sha256.Sum256([]byte("token"))
	w.must(w.AddToken(w.ctx, Token{Name: "anna", Role: "viewer"}, hash, "cli:test"))
	for range w.lists.Stats().MaxOpenConnections {
		c, err := w.lists.Conn(w.ctx)
		w.must(err)
		defer c.Close()
	}
	asked, cancel := context.WithTimeout(w.ctx, 200*time.Millisecond)
	defer cancel()
	for name, list := range map[string]func(context.Context) error{
		"trouble":     func(ctx context.Context) error { _, err := w.TroublePage(ctx, TroubleFilter{}, 0, 1); return err },
		"studies":     func(ctx context.Context) error { _, _, err := w.StudyPage(ctx, "", 0, 1); return err },
		"appliances":  func(ctx context.Context) error { _, err := w.DevicePage(ctx, DeviceFilter{}, "", 1); return err },
		"audit":       func(ctx context.Context) error { _, _, err := w.AuditPage(ctx, AuditFilter{}, 0, 1); return err },
		"each audit":  func(ctx context.Context) error { return w.EachAudit(ctx, func(*Entry) error { return nil }) },
		"audit chain": func(ctx context.Context) error { _, err := w.VerifyAudit(ctx); return err },
		"figures":     func(ctx context.Context) error { _, err := w.KPI(ctx, w.now, w.now, ""); return err },
		"tokens":      func(ctx context.Context) error { _, err := w.Tokens(ctx, "", 1); return err },
	} {
		if err := list(asked); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s is asked elsewhere: %v", name, err)
		}
	}
	ctx, stop := context.WithTimeout(w.ctx, time.Minute)
	defer stop()
	for name, goes := range map[string]func() error{
		"revoked": func() error { _, err := w.Revoked(ctx); return err },
		"ready":   func() error { return w.Ready(ctx) },
		"device":  func() error { _, err := w.Device(ctx, "box"); return err },
		"known":   func() error { _, err := w.Known(ctx, "box", []hub.ID{{1}}); return err },
		"token":   func() error { _, err := w.TokenOf(ctx, hash); return err },
		"receive": func() error { return w.Receive(ctx, []hub.Object{object("box", 1, "x")}) },
		"figures": func() error { _, err := w.Stats(ctx); return err },
	} {
		if err := goes(); err != nil {
			t.Errorf("%s waits for them: %v", name, err)
		}
	}
}
