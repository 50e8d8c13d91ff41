package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"edged/hub"
)

// archived receives objects and has the destination take them.
func (w *world) archived(os ...hub.Object) {
	w.Helper()
	w.receive(os...)
	for _, j := range w.lease("vna", 100) {
		w.must(w.Done(w.ctx, j, ""))
	}
}

// foldable names the studies that can be folded now.
func (w *world) foldNow(study string, age time.Duration) *Fold {
	w.Helper()
	f, err := w.FoldOf(w.ctx, study, w.now.Add(-age))
	w.must(err)
	return f
}

func (w *world) rowsOf(table string) (n int) {
	w.Helper()
	w.must(w.read.QueryRowContext(w.ctx, `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

func (w *world) fold(study string) *Fold {
	w.Helper()
	f := w.foldNow(study, 24*time.Hour)
	if f == nil {
		w.Fatalf("study %s cannot be folded", study)
	}
	w.must(w.Folded(w.ctx, f, fmt.Sprintf("receipts/%d", f.Part), [32]byte{byte(f.Part)}))
	return f
}

// The rows of receipts go, and still the appliance that sent the object is known, by
// its row, and is told again that it is archived; another appliance is not (P11).
func TestAFoldedReceiptIsStillKnownToItsApplianceAlone(t *testing.T) {
	w := start(t, Config{})
	a, both := object("a", 1, "x"), object("a", 2, "y")
	w.archived(a, both)
	second := both
	second.Device = "b"
	w.receive(second)
	for _, d := range []string{"a", "b"} {
		cs, err := w.Confirmations(w.ctx, d, 0, 10)
		w.must(err)
		for _, c := range cs {
			w.must(w.AcknowledgeConfirmations(w.ctx, d, []uint64{c.Seq}))
		}
	}
	w.now = w.now.Add(48 * time.Hour)
	f := w.fold("1.2.3")
	w.want("objects, receipts of the second", []int{len(f.Objects), len(f.Objects[1].Receipts)}, []int{2, 2})
	w.want("by", f.Objects[0].Destinations, []string{"vna"})
	w.want("rows of receipts", w.rowsOf("receipts"), 1)
	for device, want := range map[string]map[hub.ID]int64{"a": {a.ID: 101, both.ID: 102}, "b": {both.ID: 102}, "c": {}} {
		known, err := w.Known(w.ctx, device, []hub.ID{a.ID, both.ID})
		w.must(err)
		w.want("known to "+device, known, want)
		w.want("confirmed again to "+device, len(w.confirmed(device)), len(want))
	}
	if f := w.foldNow("1.2.3", time.Hour); f != nil {
		t.Errorf("folded twice: %+v", f)
	}
	studies, _, err := w.Foldable(w.ctx, w.now, FoldCursor{}, 10)
	w.must(err)
	w.want("left to fold", len(studies), 0)
}

// What comes later for a study, from whoever, goes into a second part.
func TestLateObjectsAndReceiptsGoIntoAFurtherPart(t *testing.T) {
	w := start(t, Config{})
	first := object("a", 1, "x")
	w.archived(first)
	w.now = w.now.Add(48 * time.Hour)
	w.fold("1.2.3")
	again := first
	again.Device = "b"
	w.archived(object("a", 2, "late"), again)
	w.now = w.now.Add(48 * time.Hour)
	f := w.fold("1.2.3")
	w.want("part", f.Part, 2)
	var devices []string
	for _, o := range f.Objects {
		for _, r := range o.Receipts {
			devices = append(devices, r.Device)
		}
	}
	w.want("receipts in it", devices, []string{"b", "a"})
	files, err := w.FoldedOf(w.ctx, "1.2.3")
	w.must(err)
	w.want("files", len(files), 2)
	if f := w.foldNow("1.2.3", time.Hour); f != nil {
		t.Errorf("more to fold: %+v", f)
	}
}

// Nothing is folded while something of the study is young, waits, is held, or is not
// archived; self-test objects hold nothing up.
func TestOnlyWhatIsOverIsFolded(t *testing.T) {
	for name, more := range map[string]func(*world){
		"young":        func(w *world) { w.now = w.now.Add(-47 * time.Hour) },
		"not archived": func(w *world) { w.receive(object("a", 2, "y")) },
		"held":         func(w *world) { w.receive(object("a", 1, "other contents")) },
		"a new receipt": func(w *world) {
			o := object("b", 1, "x")
			w.receive(o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, Config{})
			test := object("a", 9, "t")
			test.Flags = hub.FlagTest
			w.archived(object("a", 1, "x"), test)
			w.now = w.now.Add(48 * time.Hour)
			if w.foldNow("1.2.3", 24*time.Hour) == nil {
				t.Fatal("it cannot be folded to begin with")
			}
			more(w)
			if f := w.foldNow("1.2.3", 24*time.Hour); f != nil {
				t.Errorf("folded: %+v", f)
			}
		})
	}
}

// What is stuck until a person decides, and that may be never, keeps no receipts of the others of
// its study as rows. When it is archived after all it gets a part of its own.
func TestWhatIsStuckKeepsTheOthersFromNoFold(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	held, refused := object("a", 1, "other contents"), object("a", 2, "y")
	w.archived(object("a", 1, "x"))
	w.receive(held, refused)
	w.must(w.Refuse(w.ctx, w.one("vna"), "A900"))
	for _, j := range w.lease("copy", 9) {
		w.must(w.Done(w.ctx, j, ""))
	}
	if f := w.foldNow("1.2.3", 24*time.Hour); f != nil {
		t.Errorf("young, and folded: %+v", f)
	}
	w.now = w.now.Add(48 * time.Hour)
	w.want("objects", len(w.fold("1.2.3").Objects), 1)
	w.want("rows of receipts", w.rowsOf("receipts"), 2)
	w.must(w.Retry(w.ctx, refused.ID, "admin"))
	if f := w.foldNow("1.2.3", 24*time.Hour); f != nil {
		t.Errorf("it moves again, and is folded: %+v", f)
	}
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	w.now = w.now.Add(48 * time.Hour)
	f := w.fold("1.2.3")
	w.want("then", []any{f.Part, len(f.Objects), f.Objects[0].ID}, []any{2, 1, refused.ID})
}

// Two nodes fold one study at the same time: one does, and the rows are as with one.
// A receipt that comes between reading and recording is in no file and stays.
func TestAStudyIsFoldedOnceAndLosesNoReceipt(t *testing.T) {
	w := start(t, Config{})
	o := object("a", 1, "x")
	w.archived(o)
	w.now = w.now.Add(48 * time.Hour)
	mine, other := w.foldNow("1.2.3", 24*time.Hour), w.foldNow("1.2.3", 24*time.Hour)
	late := o
	late.Device = "b"
	w.receive(late)
	w.must(w.Folded(w.ctx, other, "receipts/other", [32]byte{2}))
	if err := w.Folded(w.ctx, mine, "receipts/mine", [32]byte{1}); !errors.Is(err, ErrFoldChanged) {
		t.Errorf("got %v", err)
	}
	files, err := w.FoldedOf(w.ctx, "1.2.3")
	w.must(err)
	w.want("files", len(files), 1)
	w.now = w.now.Add(48 * time.Hour)
	f := w.fold("1.2.3")
	w.want("then", []any{f.Part, f.Objects[0].Receipts[0].Device, len(f.Objects[0].Receipts)}, []any{2, "b", 1})
}

// An object whose study nobody could read waits for no other.
func TestObjectsWithoutAStudyAreFoldedByTheirOwnAge(t *testing.T) {
	w := start(t, Config{})
	old, young := object("a", 1, "x"), object("a", 2, "y")
	old.Study, young.Study = "", ""
	w.archived(old)
	w.now = w.now.Add(48 * time.Hour)
	w.receive(young)
	f := w.fold("")
	w.want("folded", len(f.Objects), 1)
}

// The walk and the look at one study go by an index, however many rows there are.
func TestFoldingReadsNoWholeTable(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	f := &Fold{configured: w.config.allNames()}
	for _, q := range []string{
		`SELECT o.study FROM objects o WHERE o.archived_at IS NOT NULL AND o.folded <> 1 AND o.archived_at <= 1 AND o.archived_at >= 0 AND (o.archived_at > 0 OR o.seq > 0) ORDER BY o.archived_at, o.seq LIMIT 1`,
		`SELECT count(*) FROM receipts r WHERE ` + f.ofFold(),
		`UPDATE receipts AS r SET folded = 1 WHERE ` + f.ofFold(),
	} {
		rows, err := w.write.QueryContext(w.ctx, `EXPLAIN QUERY PLAN `+q, "s", 1, 2, 3, "vna")
		if err != nil {
			rows, err = w.write.QueryContext(w.ctx, `EXPLAIN QUERY PLAN `+q)
		}
		w.must(err)
		for rows.Next() {
			var id, parent, x int
			var what string
			w.must(rows.Scan(&id, &parent, &x, &what))
			if len(what) > 4 && what[:4] == "SCAN" {
				t.Errorf("%s: %s", q, what)
			}
		}
		rows.Close()
	}
}

// Each part has the digest of the one before. When files expire numbers do not begin
// again, and what comes later still has the digest of a file that is gone.
func TestNumbersOfPartsNeverBeginAgain(t *testing.T) {
	w := start(t, Config{})
	for n := 1; n <= 4; n++ {
		w.archived(object("a", n, "x"))
		w.now = w.now.Add(48 * time.Hour)
		f := w.fold("1.2.3")
		w.want("part", f.Part, n)
		if n == 1 && f.Before != nil || n > 1 && !bytes.Equal(f.Before, append([]byte{byte(n - 1)}, make([]byte, 31)...)) {
			t.Errorf("part %d has before it %x", n, f.Before)
		}
		if n == 2 || n == 3 { // all that there are
			old, err := w.FoldedBefore(w.ctx, w.now.Add(time.Hour), 10)
			w.must(err)
			w.want("files to expire", len(old), map[int]int{2: 2, 3: 1}[n])
			w.must(w.FoldExpired(w.ctx, old, "hubd"))
			files, err := w.FoldedOf(w.ctx, "1.2.3")
			w.must(err)
			w.want("files left", len(files), 0)
			if old, err = w.FoldedBefore(w.ctx, w.now.Add(time.Hour), 10); err != nil || len(old) != 0 {
				t.Errorf("they expire again: %+v %v", old, err)
			}
		}
	}
	var rows int
	w.must(w.read.QueryRowContext(w.ctx, `SELECT count(*) FROM folded`).Scan(&rows))
	w.want("rows: the last part alone", rows, 1)
}
