package ledger

import (
	"fmt"
	"math"
	"testing"
	"time"

	"edged/hub"
)

// day is the day of the world's clock, so many later.
func (w *world) figures(by string, days int) []KPIRow {
	w.Helper()
	w.must(w.AddUp(w.ctx))
	out, err := w.KPI(w.ctx, time.UnixMilli(1_790_000_000_000), time.UnixMilli(1_790_000_000_000).AddDate(0, 0, days), by)
	w.must(err)
	return out
}

func line(r KPIRow) string {
	return fmt.Sprintf("%s|%s|%s objects %d %d studies %d receipts %d conflicts %d archived %d %d held %d refused %d lost %d",
		r.Day.Format("01-02"), r.Facility, r.Destination, r.Objects, r.Bytes, r.Studies, r.Receipts, r.Conflicts, r.Archived, r.ArchivedBytes, r.Held, r.Refused, r.Lost)
}

func lines(rows []KPIRow) (out []string) {
	for _, r := range rows {
		out = append(out, line(r))
	}
	return out
}

// Two appliances of two facilities, two days, a refusal and a conflict: each figure
// stands where it belongs, and adding up again, or folding receipts, changes nothing.
func TestFiguresStandInTheirDayFacilityAndDestination(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	for n, f := range []string{"F1", "F2"} {
		w.must(w.AddCode(w.ctx, [32]byte{byte(n)}, f, w.now.Add(time.Hour), "cli:test"))
		_, err := w.Claim(w.ctx, [32]byte{byte(n)}, [32]byte{byte(n)}, string(rune('a'+n)), "")
		w.must(err)
	}
	other := object("b", 2, "y")
	other.Study = "1.2.4"
	w.receive(object("a", 1, "x"), other)
	w.now = w.now.Add(10 * time.Second)
	for _, j := range w.lease("vna", 10) {
		w.must(w.Done(w.ctx, j, ""))
	}
	w.must(w.Refuse(w.ctx, w.lease("copy", 1)[0], "no"))
	w.must(w.AddUp(w.ctx))
	w.now = w.now.Add(24 * time.Hour)
	w.receive(object("a", 1, "other contents"), object("b", 1, "x"))
	total := []string{"01-01|| objects 3 304 studies 2 receipts 4 conflicts 1 archived 2 203 held 1 refused 1 lost 0"}
	for range 2 {
		w.want("all", lines(w.figures("", 1)), total)
		w.want("by day", lines(w.figures("day", 1)), []string{
			"09-21|| objects 2 203 studies 2 receipts 2 conflicts 0 archived 2 203 held 0 refused 1 lost 0",
			"09-22|| objects 1 101 studies 0 receipts 2 conflicts 1 archived 0 0 held 1 refused 1 lost 0"})
		w.want("by facility", lines(w.figures("facility", 1)), []string{
			"01-01|F1| objects 2 202 studies 1 receipts 0 conflicts 1 archived 1 101 held 1 refused 1 lost 0",
			"01-01|F2| objects 1 102 studies 1 receipts 0 conflicts 0 archived 1 102 held 0 refused 0 lost 0"})
		w.want("by destination", lines(w.figures("destination", 1)), []string{
			"01-01||copy objects 0 0 studies 0 receipts 0 conflicts 0 archived 0 0 held 1 refused 1 lost 0",
			"01-01||vna objects 0 0 studies 0 receipts 0 conflicts 0 archived 2 203 held 1 refused 0 lost 0"})
	}
	if r := w.figures("", 1)[0]; math.Abs(r.Median()-10) > 0.5 || math.Abs(r.P95()-10) > 0.5 {
		t.Errorf("median %v, 95 %% %v, want 10 s", r.Median(), r.P95())
	}
}

// A confirmation that is younger than clocks may differ waits for the next time.
func TestWhatIsConfirmedJustNowIsCountedLaterAndOnce(t *testing.T) {
	w := start(t, Config{})
	for n := range 5 {
		w.archived(object("a", n, "x"))
		w.want("archived", w.figures("", 3)[0].Archived, int64(0))
		w.now = w.now.Add(time.Second)
	}
	w.now = w.now.Add(settledAfter)
	for range 3 {
		w.want("archived", w.figures("", 3)[0].Archived, int64(5))
	}
}

// More than a page, and two nodes that count at the same time: each object once.
func TestNodesThatAddUpTogetherCountEachObjectOnce(t *testing.T) {
	w := start(t, Config{})
	const n = 2*kpiPage + 7
	var list []hub.Object
	for i := range n {
		list = append(list, object("a", i, "x"))
	}
	w.receive(list...)
	done := make(chan error, 3)
	for range cap(done) {
		go func() { done <- w.AddUp(w.ctx) }()
	}
	for range cap(done) {
		w.must(<-done)
	}
	r := w.figures("", 1)[0]
	w.want("objects, studies, receipts", []int64{r.Objects, r.Studies, r.Receipts}, []int64{n, 1, n})
}

// A quantile is within 5 % of the true one, from a hundredth of a second to a year.
func TestQuantilesAreWithinFivePercent(t *testing.T) {
	for _, base := range []float64{0.02, 1, 17, 86_400, 3e7} {
		var h histogram
		for i := range 1000 {
			h.count(base * (1 + float64(i)/1000))
		}
		back, err := parseHistogram(h.String())
		if err != nil {
			t.Fatal(err)
		}
		for q, want := range map[float64]float64{0.5: base * 1.5, 0.95: base * 1.95} {
			if got := back.quantile(q); math.Abs(got/want-1) > 0.055 {
				t.Errorf("%v of %v: got %v, want %v", q, base, got, want)
			}
		}
	}
	if got := (histogram{}).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
