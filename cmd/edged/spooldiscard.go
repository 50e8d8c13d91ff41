package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"edged/internal/durable"
	"edged/spool"
)

// writable is a spool that can be changed: that of the running daemon, or one
// that was opened because none runs. Every change is in the audit log before it
// is made.
type writable interface {
	inside
	release(ctx context.Context, rq releaseRequest) (releaseAnswer, error)
	discard(ctx context.Context, rq discardRequest) error
}

var (
	_ writable = (*client)(nil)
	_ writable = (*opened)(nil)
)

// releaseRequest and the like are bodies on the control socket.
type releaseRequest struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
}

type releaseAnswer struct {
	Was   string `json:"was"`
	State string `json:"state"`
}

type discardRequest struct {
	Seq    uint64 `json:"seq"`
	ID     string `json:"id"`
	Reason string `json:"reason"`
	Export string `json:"export"` // the copy; "" where there is no file to be copied
	SHA256 string `json:"sha256"` // of the copy
	Bytes  int64  `json:"bytes"`
	Raw    bool   `json:"raw"`
}

type releaseCmd struct {
	configFlag
	Reason string   `help:"Why; it goes into the audit log."`
	IDs    []string `arg:"" name:"ID" help:"Objects, by ID or its first digits, or seq:N."`
}

func (c *releaseCmd) Run(p *process) error {
	in, rows, err := c.openWritable(p.ctx, c.IDs)
	if err != nil {
		return err
	}
	defer in.Close()
	failed := 0
	for _, o := range rows {
		a, err := in.release(p.ctx, releaseRequest{ID: o.ID, Reason: c.Reason})
		if err != nil {
			failed++
			fmt.Fprintf(p.stderr, "edged: seq %d %s: %v\n", o.Seq, o.ID, err)
			continue
		}
		fmt.Fprintf(p.stdout, "seq %d %s: was %s, is %s\n", o.Seq, o.ID, a.Was, a.State)
	}
	if failed < len(rows) {
		fmt.Fprintln(p.stdout, "released on this appliance only: what the hub holds back, `hubd objects release` lets go there")
	}
	if failed > 0 {
		return fmt.Errorf("release: %d of %d objects could not be released", failed, len(rows))
	}
	return nil
}

type discardCmd struct {
	configFlag
	Reason string   `help:"Why, in at most 512 bytes; it goes into the audit log."`
	Export string   `help:"Folder for the copies, outside data_dir; made if it is missing." type:"path" placeholder:"DIR"`
	IDs    []string `arg:"" name:"ID" help:"Objects, by ID or its first digits, or seq:N."`
}

// check refuses what P2 does not allow: no discard without a reason, and none
// without an export that survives it.
func (c *discardCmd) check() error {
	switch {
	case strings.TrimSpace(c.Reason) == "":
		return usagef("discard: give a --reason; it goes into the audit log")
	case len(c.Reason) > 512:
		return usagef("discard: the --reason has %d bytes, at most 512 are kept", len(c.Reason))
	case c.Export == "":
		return usagef("discard: give a folder for the copies with --export; nothing is deleted before its copy was read back")
	}
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if err := cfg.mayExportTo(c.Export); err != nil {
		return err
	}
	return c.lasts(&cfg)
}

// lasts refuses a folder whose file system may lose, at a power cut, the only copy
// that is left.
func (c *discardCmd) lasts(cfg *Config) error {
	doubt, err := durable.Doubt(c.Export)
	if err != nil || doubt == "" || cfg.Spool.AllowUnsafeFilesystem {
		return err
	}
	return usagef("discard: --export %s is on %s, which may lose the copies at a power cut, and they would be the only ones; take a USB disk, or another disk of this machine", c.Export, doubt)
}

func (c *discardCmd) Run(p *process) error {
	if err := c.check(); err != nil {
		return err
	}
	in, rows, err := c.openWritable(p.ctx, c.IDs)
	if err != nil {
		return err
	}
	defer in.Close()
	e := &exporter{in: in, dir: c.Export, prove: true}
	if err := e.begin(rows); err != nil {
		return err
	}
	if err := settleFolder(c.Export); err != nil {
		return err
	}
	failed := 0
	for _, o := range rows {
		said, err := c.one(p.ctx, in, e, o)
		if err != nil {
			failed++
			fmt.Fprintf(p.stderr, "edged: seq %d %s: not discarded: %v\n", o.Seq, o.ID, err)
			if p.ctx.Err() != nil || errors.Is(err, errDaemonStarts) {
				return err
			}
			continue
		}
		fmt.Fprintf(p.stdout, "seq %d %s: discarded here; %s\n", o.Seq, o.ID, said)
	}
	fmt.Fprintf(p.stdout, "%d of %d objects discarded on this appliance; what the hub has of them stays there. `edged audit` shows it\n", len(rows)-failed, len(rows))
	if failed > 0 {
		return fmt.Errorf("discard: %d of %d objects were not discarded", failed, len(rows))
	}
	return nil
}

// one exports an object, makes the copy durable, and only then discards it (P2).
func (c *discardCmd) one(ctx context.Context, in writable, e *exporter, o objectRow) (said string, err error) {
	rq := discardRequest{Seq: o.Seq, ID: o.ID, Reason: strings.TrimSpace(c.Reason)}
	x, err := e.keep(ctx, o)
	switch {
	case errors.Is(err, errNoFile):
		said = "there was no file to copy"
	case err != nil:
		return "", fmt.Errorf("export: %w", err)
	default:
		rq.Export, rq.SHA256, rq.Bytes, rq.Raw = filepath.Join(e.dir, x.file), x.sha256, x.bytes, x.raw
		said = "copy in " + rq.Export
	}
	return said, in.discard(ctx, rq)
}

var errNoFile = errors.New("there is no file")

// keep writes the best copy there is, with its receipt, and makes both durable.
func (e *exporter) keep(ctx context.Context, o objectRow) (x exported, err error) {
	whole := errors.New("damaged")
	if !o.Lost && o.ID != noID {
		x, whole = e.object(ctx, o)
	}
	if errors.Is(whole, errDaemonStarts) {
		return x, whole
	}
	if whole != nil {
		if !o.Lost && !o.Damaged && e.in.verify(ctx, o) == nil {
			return x, whole // the object is whole: the export has failed, not the object
		}
		x, err = e.damaged(ctx, o)
	}
	if errors.Is(err, spool.ErrUnknown) {
		return x, errNoFile
	}
	if err == nil {
		err = e.receipt(x)
	}
	if err == nil {
		err = e.settle(x)
	}
	return x, err
}

// settle makes the names of a copy durable, or takes away those that this export
// made: asked once more, the kernel would call them durable (P8).
func (e *exporter) settle(x exported) error {
	err := durable.SyncDir(e.dir)
	if err != nil && x.made {
		err = errors.Join(err, os.Remove(filepath.Join(e.dir, x.file)), os.Remove(filepath.Join(e.dir, x.receiptName())))
	}
	return err
}

// openWritable finds the running daemon, or opens the spool itself: with its
// recovery, as a daemon would.
func (c *configFlag) openWritable(ctx context.Context, names []string) (writable, []objectRow, error) {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return nil, nil, err
	}
	var in writable
	if d := findDaemon(ctx, &cfg); d != nil {
		in = d
	} else if in, err = openStopped(ctx, &cfg); err != nil {
		return nil, nil, err
	}
	rows, err := pick(ctx, in, names)
	if err != nil {
		in.Close()
	}
	return in, rows, err
}

// openStopped opens the spool of a daemon that is not running, for a change. The
// files that recovery writes must belong to the daemon's user, or the daemon could
// not go on with them.
func openStopped(ctx context.Context, cfg *Config) (*opened, error) {
	dir := filepath.Join(cfg.DataDir, spoolDir)
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("no spool at %s: is this the right configuration (-c)? (%w)", dir, err)
	}
	if owner := ownerOf(info); owner != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to %s: run this as that user, or while the daemon runs", dir, userName(owner))
	}
	log := Log{Level: "warn"}.logger() // what a recovery tells every time is not for whoever typed a command
	key, err := cfg.openKey(log)
	if err != nil {
		return nil, err
	}
	sc := cfg.spool(log)
	sc.Key, sc.Progress = key, nil
	s, err := spool.Open(ctx, sc)
	if errors.Is(err, spool.ErrLocked) {
		return nil, fmt.Errorf("the daemon is starting or does not answer on %s; try again", cfg.socketPath())
	}
	if err != nil {
		return nil, err
	}
	return &opened{desk{s, newTrail(cfg, key)}, cmp.Or(whoami(), "unknown"), newGiveWay(cfg)}, nil
}
