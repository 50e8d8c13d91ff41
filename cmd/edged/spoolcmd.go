package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"edged/internal/audit"
	"edged/spool"
)

// spoolCmd looks into the spool: through the control socket of the running
// daemon, or at the files, read-only, while none is running. What is damaged or
// lost stays listed until it is sent again, archived, or discarded by somebody
// with a name and a reason.
type spoolCmd struct {
	Ls      lsCmd      `cmd:"" help:"List the objects, one a line."`
	Show    showCmd    `cmd:"" help:"All that is known of one object."`
	Studies studiesCmd `cmd:"" help:"List the studies with their series, and what is still missing."`
	Export  exportCmd  `cmd:"" help:"Write plain Part 10 files named ID.dcm; all objects when none is named."`
	Verify  verifyCmd  `cmd:"" help:"Read every byte again and check it; exit code 1 on any damage."`
	Release releaseCmd `cmd:"" help:"End a quarantine or a hold here. What the hub holds back, only the hub releases."`
	Discard discardCmd `cmd:"" help:"Export objects, prove the copies, then delete them here without the archive's word."`

	RecoverKey recoverKeyCmd `cmd:"" help:"Give the spool its key back, with the recovery key of the region."`
}

// inside is a spool seen from outside.
type inside interface {
	objects(ctx context.Context, visit func(objectRow) error) error
	studies(ctx context.Context, visit func(studyRow) error) error
	file(ctx context.Context, o objectRow, w io.Writer) error // as a plain Part 10 file
	raw(ctx context.Context, o objectRow, w io.Writer) error  // the bytes that are on the disk
	verify(ctx context.Context, o objectRow) error
	exported(ctx context.Context, n exportNote) (seq uint64, err error) // records it
	Close() error
}

// openInside finds the spool of a configuration, whoever holds it.
func (c *configFlag) openInside(ctx context.Context) (inside, error) {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return nil, err
	}
	if d := findDaemon(ctx, &cfg); d != nil {
		return d, nil
	}
	dir := filepath.Join(cfg.DataDir, spoolDir)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("no spool at %s: is this the right configuration (-c)? (%w)", dir, err)
	}
	key, err := cfg.spoolKey()
	if err != nil {
		return nil, err
	}
	r, err := spool.OpenReadOnly(dir, key)
	if errors.Is(err, spool.ErrLocked) {
		return nil, fmt.Errorf("the daemon is starting or does not answer on %s; try again", cfg.socketPath())
	}
	if err != nil {
		return nil, err
	}
	return stopped{r, newTrail(&cfg, key), newGiveWay(&cfg)}, nil
}

// stopped is the spool of a daemon that is not running.
type stopped struct {
	*spool.Reader
	trail *audit.Log
	way   *giveWay
}

func (s stopped) objects(ctx context.Context, visit func(objectRow) error) error {
	return s.Each(func(o spool.Object) error {
		if err := errors.Join(ctx.Err(), s.way.look(ctx)); err != nil {
			return err
		}
		return visit(rowOf(o))
	})
}

func (s stopped) file(ctx context.Context, o objectRow, w io.Writer) error {
	if err := s.way.look(ctx); err != nil {
		return err
	}
	c, err := s.Open(o.Seq)
	if err != nil {
		return err
	}
	defer c.Close()
	return writePart10(w, c)
}

func (s stopped) raw(_ context.Context, o objectRow, w io.Writer) error {
	return copyRaw(w, func() (io.ReadCloser, error) { return s.Raw(o.Seq) })
}

func (s stopped) exported(_ context.Context, n exportNote) (uint64, error) {
	return s.trail.Append(n.event(whoami()))
}

func (s stopped) verify(ctx context.Context, o objectRow) error {
	if err := s.way.look(ctx); err != nil {
		return err
	}
	return s.Verify(ctx, o.Seq)
}

// file, verify and Close make the running daemon an inside.
func (c *client) file(ctx context.Context, o objectRow, w io.Writer) error {
	body, err := c.do(ctx, "GET", "/objects/"+o.ID+"/file", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// The daemon cuts off what proves damaged in passing, so that no half is taken
	// for the whole; why, it can only say when it is asked.
	if damage := c.verify(ctx, o); damage != nil {
		return damage
	}
	return err
}

func (c *client) raw(ctx context.Context, o objectRow, w io.Writer) error {
	return copyRaw(w, func() (io.ReadCloser, error) { return c.do(ctx, "GET", fmt.Sprintf("/raw/%d", o.Seq), nil) })
}

func copyRaw(w io.Writer, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

func (c *client) verify(ctx context.Context, o objectRow) error {
	var r verifyRow
	if err := c.ask(ctx, "POST", "/objects/"+o.ID+"/verify", nil, &r); err != nil {
		return err
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return nil
}

func (c *client) Close() error { return nil }

type lsCmd struct {
	configFlag
	JSON bool `help:"One JSON object a line: id, sop_instance_uid, study, state, bytes, ..."`
}

func (c *lsCmd) Run(p *process) error {
	in, err := c.openInside(p.ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	return show(p, c.JSON, in.objects, listObjects)
}

// show prints rows as JSON, one a line, or as a table.
func show[T any](p *process, asJSON bool, rows func(context.Context, func(T) error) error, table func(io.Writer, func(func(T) error) error) error) error {
	if asJSON {
		out := json.NewEncoder(p.stdout)
		return rows(p.ctx, func(row T) error { return out.Encode(row) })
	}
	return table(p.stdout, func(visit func(T) error) error { return rows(p.ctx, visit) })
}

// listObjects prints a table of all objects that each visits.
func listObjects(out io.Writer, each func(func(objectRow) error) error) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SEQ\tID\tSTATE\tMODALITY\tFROM\tBYTES\tRECEIVED\tREMARKS")
	err := each(func(o objectRow) error {
		_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", o.Seq, clip(o.ID, 16), o.State, o.Modality,
			o.Calling, o.Bytes, o.when(), o.remarks())
		return err
	})
	return errors.Join(err, w.Flush())
}

type showCmd struct {
	configFlag
	ID string `arg:"" help:"The object's ID or its first digits, or seq:N."`
}

func (c *showCmd) Run(p *process) error {
	in, rows, err := c.openPicked(p.ctx, []string{c.ID})
	if err != nil {
		return err
	}
	defer in.Close()
	out := json.NewEncoder(p.stdout)
	out.SetIndent("", "  ")
	return out.Encode(rows[0])
}

// named says whether name means o: seq:N, or a beginning of its ID.
func (o objectRow) named(name string) bool {
	if n, ok := strings.CutPrefix(name, "seq:"); ok {
		seq, err := strconv.ParseUint(n, 10, 64)
		return err == nil && seq == o.Seq
	}
	return len(name) >= minDigits && strings.HasPrefix(o.ID, name) && o.ID != noID
}

// minDigits of an ID name an object: fewer are a slip, and fit too many.
const minDigits = 4

// noID is the ID of a file of which nobody knows what it was.
var noID = spool.ID{}.String()

// pick finds the objects that are named, each by its number or an unambiguous
// beginning of its ID; all of them when none is named.
func pick(ctx context.Context, in inside, names []string) (rows []objectRow, err error) {
	for _, n := range names {
		if !strings.HasPrefix(n, "seq:") && len(n) < minDigits {
			return nil, usagef("object %q: give at least %d digits of its ID, or seq:N", n, minDigits)
		}
	}
	found := make([]int, len(names))
	err = in.objects(ctx, func(o objectRow) error {
		if len(names) == 0 {
			rows = append(rows, o)
		}
		for i, n := range names {
			if o.named(n) {
				found[i]++
				rows = append(rows, o)
			}
		}
		return nil
	})
	for i, n := range found {
		switch {
		case err != nil:
		case n == 0:
			err = fmt.Errorf("object %s is not in the spool", names[i])
		case n > 1:
			err = fmt.Errorf("%s stands for %d objects: give more digits", names[i], n)
		}
	}
	return rows, err
}

// openPicked is openInside and pick.
func (c *configFlag) openPicked(ctx context.Context, names []string) (inside, []objectRow, error) {
	in, err := c.openInside(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows, err := pick(ctx, in, names)
	if err != nil {
		in.Close()
	}
	return in, rows, err
}

type verifyCmd struct {
	configFlag
	IDs []string `arg:"" optional:"" name:"ID" help:"Objects, by ID or its first digits, or seq:N; all when none is named."`
}

func (c *verifyCmd) Run(p *process) error {
	in, rows, err := c.openPicked(p.ctx, c.IDs)
	if err != nil {
		return err
	}
	defer in.Close()
	damaged, bytes := 0, int64(0)
	for _, o := range rows {
		if err := verify(p.ctx, in, o); err != nil {
			if p.ctx.Err() != nil || errors.Is(err, errDaemonStarts) {
				return err
			}
			damaged++
			fmt.Fprintf(p.stderr, "edged: seq %d %s: %v\n", o.Seq, o.ID, err)
		}
		bytes += o.Bytes
	}
	fmt.Fprintf(p.stdout, "%d objects, %d bytes read again, %d damaged\n", len(rows), bytes, damaged)
	if damaged > 0 {
		return fmt.Errorf("verify: %d of %d objects are damaged", damaged, len(rows))
	}
	return nil
}

// verify reads an object again, if there is a file to be read.
func verify(ctx context.Context, in inside, o objectRow) error {
	if err := o.lost(); err != nil {
		return err
	}
	return in.verify(ctx, o)
}
