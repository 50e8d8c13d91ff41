package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"edged/internal/tools/lab"
)

// Who fails is tried no more, keeps what was measured of it, and takes no other with it:
// the table has a cell for each and says what was not measured and why.
func TestAWayThatFailsTakesNoOtherWithIt(t *testing.T) {
	calls := 0
	good := &way{once: func(context.Context) (float64, error) { return 100, nil }}
	bad := &way{once: func(context.Context) (float64, error) {
		calls++
		return 0, errors.New("it has ended: a | b\nand more")
	}}
	absent := &way{missing: errors.New("Orthanc is not installed")}
	for range 3 {
		for _, w := range []*way{good, bad, absent} {
			w.run(t.Context(), time.Minute)
		}
	}
	if len(good.rates) != 3 || good.failed != nil || calls != 1 {
		t.Errorf("the good one has %v, %v; the bad one was called %d times", good.rates, good.failed, calls)
	}
	for _, c := range []struct{ got, want string }{
		{good.says(), "100 (100–100)"},
		{bad.says(), "not measured: it has ended: a / b"},
		{absent.says(), "not measured: Orthanc is not installed"},
		{good.over(bad, "%.1f×"), "-"},
		{good.over(good, "%.1f×"), "1.0×"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if absent.failed != nil {
		t.Error("what is not installed is a failure of the measuring")
	}
}

// A hub that hangs ends with its cell, and the error says which bound it was.
func TestAWayThatHangsEndsWithItsCell(t *testing.T) {
	hangs := &way{once: func(ctx context.Context) (float64, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}}
	hangs.run(t.Context(), time.Millisecond)
	if got := hangs.says(); got != "not measured: the cell was given 1ms" {
		t.Errorf("got %q", got)
	}
}

// What PostgreSQL or S3 lack is told in the table, and the other rows are measured.
func TestAPlaceThatIsMissingIsNoFailure(t *testing.T) {
	at := place{rows: "PostgreSQL", objects: "files", missing: errors.New("PostgreSQL is not installed")}
	s := lab.Section{Head: make([]string, 11)}
	if err := receiveRow(t.Context(), &bench{report: &lab.Report{}}, &s, at, small, 16); err != nil {
		t.Error(err)
	}
	if len(s.Rows) != 1 || !strings.Contains(s.Markdown(), "| not measured: PostgreSQL is not installed |") || !strings.HasSuffix(s.Markdown(), "| ≥ 1100 | not measured |\n") {
		t.Errorf("got\n%s", s.Markdown())
	}
}

func TestTheTimeOfRowsIsReadBehindTheWarnings(t *testing.T) {
	if got, err := rowsTime("a warning\n" + rowsPrefix + "1234\n"); err != nil || got != 1234*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := rowsTime("a panic"); err == nil {
		t.Error("a hub that said nothing has a time")
	}
}
