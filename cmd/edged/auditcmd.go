package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"edged/agent/status"
	"edged/internal/audit"
)

// auditCmd reads the audit log and proves its chain, whether the daemon runs or
// not.
type auditCmd struct {
	configFlag
	JSON bool `help:"One JSON object a line, as it was recorded."`
}

func (c *auditCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	key, err := cfg.spoolKey()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	row := func(e audit.Event) error { return printEvent(w, e) }
	if c.JSON {
		out := json.NewEncoder(p.stdout)
		row = func(e audit.Event) error { return out.Encode(e) }
	} else {
		fmt.Fprintln(w, "SEQ\tAT\tWHO\tACTION\tOUTCOME\tOBJECT\tREASON\tEXPORT")
	}
	rep, err := audit.Read(filepath.Join(cfg.DataDir, auditDir), key, row)
	if err = errors.Join(err, w.Flush()); err != nil {
		return err
	}
	return judge(p, rep)
}

// printEvent shows what people typed as hostile text.
func printEvent(w *tabwriter.Writer, e audit.Event) error {
	outcome := e.Outcome
	if e.Of != 0 {
		outcome = fmt.Sprintf("%s (of %d)", outcome, e.Of)
	}
	_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Seq, e.At.Format("2006-01-02T15:04:05Z"), status.Shown(e.Who), status.Shown(e.Action),
		line1(outcome), line1(e.Object), line1(e.Reason), line1(e.Export))
	return err
}

// judge tells what was found about the log as a whole, on standard error, so that
// the events can be read by machines.
func judge(p *process, rep audit.Report) error {
	for _, b := range rep.Breaks {
		fmt.Fprintln(p.stderr, "edged: audit log:", b)
	}
	for _, seq := range rep.Without {
		fmt.Fprintf(p.stderr, "edged: audit log: %d has no outcome: it was cut off, look whether it was done\n", seq)
	}
	if rep.Torn > 0 {
		fmt.Fprintf(p.stderr, "edged: audit log: %d bytes of an unfinished row at the end; nothing was done on its strength\n", rep.Torn)
	}
	if rep.Broken > 0 {
		return fmt.Errorf("audit: the chain is broken in %d places: rows were changed, added or removed by somebody else than edged", rep.Broken)
	}
	if rep.Seq > 0 {
		fmt.Fprintf(p.stderr, "the chain is whole: %d events, the last is number %d with SHA-256 %s\n", rep.Events, rep.Seq, rep.Head)
	}
	return nil
}

// line1 keeps what people typed from moving the cursor or breaking the table.
func line1(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			out[i] = '\uFFFD'
		}
	}
	return string(out)
}
