package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"edged/hub/ledger"
	"edged/internal/quality"
)

type findingsLsCmd struct {
	Code      string `placeholder:"CODE" help:"Only studies with this finding, as docs/findings.md has it."`
	Appliance string `placeholder:"DEVICE" help:"Only of this one, as hubd devices ls shows it."`
}

// Run lists the newest: one line for each finding.
func (c findingsLsCmd) Run(e *env) error {
	if _, known := quality.Lookup(quality.Code(c.Code)); c.Code != "" && !known {
		return usageError{fmt.Errorf("code %q: docs/findings.md has the codes", c.Code)}
	}
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "FINDING\tOBJECTS\tOF\tFACILITY\tDEVICE\tSAID\tSTUDY")
		listed, more := 0, true
		for after := (ledger.FoundAfter{}); more && listed < maxListed; {
			var rows []ledger.FoundRow
			var err error
			if rows, after, more, err = l.FoundPage(e.ctx, c.Appliance, c.Code, after, maxListed-listed); err != nil {
				return err
			}
			for _, r := range rows {
				c.print(w, foundStudy(r))
			}
			listed += len(rows)
		}
		if more {
			defer fmt.Fprintf(e.errOut, "these are the newest %d studies; the API has all: /api/v1/findings\n", listed)
		}
		return w.Flush()
	})
}

// print leaves out other codes than the one that was asked for. The UID is a peer's and may
// hold anything.
func (c findingsLsCmd) print(w *tabwriter.Writer, s FoundStudy) {
	for _, f := range s.Findings {
		if c.Code == "" || f.Code == c.Code {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%.80q\n", f.Code, f.Objects, s.Objects, s.Facility, s.Appliance, s.SaidAt.UTC().Format(time.RFC3339), s.UID)
		}
	}
}
