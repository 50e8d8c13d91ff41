package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"edged/agent/status"
	"edged/internal/audit"
)

// auditCmd is about the audit log.
type auditCmd struct {
	Show   auditShowCmd   `cmd:"" default:"withargs" help:"Every row, and whether the chain is whole."`
	Export auditExportCmd `cmd:"" help:"Write the log to a file that can be verified without this appliance."`
	Verify auditVerifyCmd `cmd:"" help:"Verify such a file, and nothing else."`
}

// auditShowCmd reads the audit log and proves its chain, whether the daemon runs or
// not.
type auditShowCmd struct {
	configFlag
	knownHeads
	JSON bool `help:"One JSON object a line, as it was recorded."`
}

// knownHeads were noted elsewhere.
type knownHeads struct {
	Head []string `placeholder:"NUMBER=SHA256" help:"A row that was noted elsewhere, as the messages to the audit repository have it: what was cut off, or written anew, since then is told."`
}

func (k knownHeads) heads() (all []audit.Head, err error) {
	for _, s := range k.Head {
		h, err := audit.ParseHead(s)
		if err != nil {
			return nil, usageError{err}
		}
		all = append(all, h)
	}
	return all, nil
}

func (c *auditShowCmd) Run(p *process) error {
	known, err := c.heads()
	if err != nil {
		return err
	}
	cfg, key, err := withSpoolKey(c.Config)
	if err != nil {
		return err
	}
	var rep audit.Report
	err = auditTable(p, c.JSON, func(row func(audit.Event) error) (err error) {
		rep, err = audit.ReadSince(filepath.Join(cfg.DataDir, auditDir), key, known, row)
		return err
	})
	if err != nil {
		return err
	}
	return judge(p, rep)
}

// withSpoolKey is a configuration, and the key that the audit log of its appliance needs.
func withSpoolKey(file string) (cfg Config, key []byte, err error) {
	if cfg, err = loadConfig(file); err != nil {
		return cfg, nil, err
	}
	key, err = cfg.spoolKey()
	return cfg, key, err
}

// auditTable prints what read visits.
func auditTable(p *process, asJSON bool, read func(row func(audit.Event) error) error) error {
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	row := func(e audit.Event) error { return printEvent(w, e) }
	if asJSON {
		out := json.NewEncoder(p.stdout)
		row = func(e audit.Event) error { return out.Encode(e) }
	} else {
		fmt.Fprintln(w, "SEQ\tAT\tWHO\tACTION\tOUTCOME\tOBJECT\tREASON\tEXPORT")
	}
	return errors.Join(read(row), w.Flush())
}

// auditExportCmd writes the rows as they stand in the log, behind a cover.
type auditExportCmd struct {
	configFlag
	Sealed bool   `help:"Without the key of the rows: the chain can be verified, and nothing be read."`
	To     string `arg:"" name:"file" help:"File to write; it must not be there."`
}

func (c *auditExportCmd) Run(p *process) error {
	cfg, key, err := withSpoolKey(c.Config)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	rep, err := audit.Export(f, filepath.Join(cfg.DataDir, auditDir), key, cfg.Facility.Code, time.Now(), !c.Sealed)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if !c.Sealed && key != nil {
		fmt.Fprintln(p.stderr, "edged: the file has the key of its rows: whoever has it reads who did what; it opens no image")
	}
	return judge(p, rep)
}

// auditVerifyCmd needs neither a configuration nor a data directory.
type auditVerifyCmd struct {
	knownHeads
	JSON bool   `help:"One JSON object a line, as it was recorded."`
	File string `arg:"" help:"What edged audit export wrote."`
}

func (c *auditVerifyCmd) Run(p *process) error {
	known, err := c.heads()
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	var rep audit.Report
	var cover audit.Cover
	err = auditTable(p, c.JSON, func(row func(audit.Event) error) (err error) {
		cover, rep, err = audit.Verify(f, known, row)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "exported from %s at %s\n", cmp.Or(line1(cover.Of), "an appliance without a code"), cover.At.Format(time.RFC3339))
	if len(known) == 0 {
		fmt.Fprintln(p.stderr, "edged: nothing noted elsewhere was given (--head): that the log was written anew as a whole, or cut off before it was exported, would not show")
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
