package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"syscall"
	"text/tabwriter"
	"time"

	"edged/hub"
	"edged/hub/enrol"
	"edged/hub/ledger"
	"edged/internal/config"
	"edged/internal/dicom"
	"edged/internal/durable"
)

type versionCmd struct{}

func (versionCmd) Run(e *env) error {
	fmt.Fprintf(e.out, "hubd %s\n", programVersion())
	return nil
}

type checkCmd struct {
	Try bool `help:"Also try everything for real: disk, database, bucket, CA, archives, ports. Stores nothing that stays."`
}

// Run shows every problem, not only the first.
func (k checkCmd) Run(e *env) error {
	c, err := e.load()
	var many config.Errors
	if errors.As(err, &many) {
		for _, one := range many[:len(many)-1] {
			fmt.Fprintf(e.errOut, "hubd: %v\n", one)
		}
		return many[len(many)-1]
	}
	if err != nil {
		return err
	}
	for _, w := range append(c.warnings(), c.diskWarnings()...) {
		fmt.Fprintf(e.errOut, "warning: %s\n", w)
	}
	fmt.Fprintln(e.out, "the configuration is good")
	if k.Try {
		return c.tryAll(e.ctx, e.out)
	}
	return nil
}

// facilityCode keeps codes fit for certificates, tables and file names.
var facilityCode = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const maxTTL = 365 * 24 * time.Hour

type codeNewCmd struct {
	Facility string `required:"" placeholder:"CODE" help:"Code of the facility where the appliance will stand."`
	TTL      string `default:"7d" placeholder:"TIME" help:"How long the code is valid, as 12h or 7d."`
}

// Run prints the code alone on standard output, what to do with it on standard error.
func (c codeNewCmd) Run(e *env) error {
	ttl, err := codeWishes(c.Facility, c.TTL)
	if err != nil {
		return usageError{err}
	}
	return e.withLedger(func(cfg Config, l *ledger.Ledger) error {
		ca, err := openCA(e.ctx, cfg, l)
		if err != nil {
			return err
		}
		code, expires, err := enrol.NewCode(e.ctx, enrol.Config{Authority: ca, Store: l}, c.Facility, ttl, actor())
		if err != nil {
			return err
		}
		fmt.Fprintln(e.out, code)
		fmt.Fprintf(e.errOut, "For one appliance of facility %s, valid until %s. It is shown this once. On the appliance:\n  edged enroll --hub HOST:PORT --code %s\n",
			c.Facility, expires.Format("2006-01-02 15:04 MST"), code)
		return nil
	})
}

// codeWishes judges what a new code is to be.
func codeWishes(facility, ttl string) (time.Duration, error) {
	if !facilityCode.MatchString(facility) {
		return 0, fmt.Errorf("facility %q: want 1 to 64 letters, digits, dots, - and _", facility)
	}
	d, err := config.ParseDuration(ttl)
	if err != nil || d < time.Minute || d > maxTTL {
		return 0, fmt.Errorf("ttl %q: want a time from 1m to 365d, as 12h or 7d", ttl)
	}
	return d, nil
}

type devicesLsCmd struct{}

func (devicesLsCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		devices, err := l.Devices(e.ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "DEVICE\tFACILITY\tSTATE\tENROLLED")
		for _, d := range devices {
			state := "approved"
			if !d.Approved {
				state = "revoked"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.ID, d.Facility, state, d.Created.UTC().Format(time.RFC3339))
		}
		return w.Flush()
	})
}

type approveCmd struct {
	Device string `arg:"" help:"As hubd devices ls shows it."`
}

func (c approveCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error { return l.SetApproved(e.ctx, c.Device, true, actor()) })
}

type revokeCmd struct {
	Device string `arg:"" help:"As hubd devices ls shows it."`
}

func (c revokeCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error { return l.SetApproved(e.ctx, c.Device, false, actor()) })
}

// maxListed bounds a list on a terminal.
const maxListed = 1000

type objectsLsCmd struct{}

func (objectsLsCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		stuck, err := l.Stuck(e.ctx, maxListed)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tDESTINATION\tSTATE\tSOP INSTANCE UID\tWHY")
		for _, s := range stuck {
			// The UID is a peer's and may hold anything.
			fmt.Fprintf(w, "%s\t%s\t%s\t%.80q\t%s\n", s.ID, s.Destination, s.State, s.SOPInstance, s.Words)
		}
		return w.Flush()
	})
}

// releaseWarning says what a Success for the second of two contents may be worth.
const releaseWarning = "warning: two contents under one SOP Instance UID now go to the archive. An archive that silently ignores the second answers Success all the same,\n" +
	"and then the object counts as archived though the archive has other contents: compare what it shows.\n"

type releaseCmd struct {
	ID string `arg:"" help:"The object's ID, 64 hexadecimal digits."`
}

func (c releaseCmd) Run(e *env) error {
	return e.withObject(c.ID, func(l *ledger.Ledger, id hub.ID) error {
		conflict, err := l.HeldByConflict(e.ctx, id)
		if err != nil {
			return err
		}
		if err := l.Release(e.ctx, id, actor()); err != nil {
			return err
		}
		if conflict {
			fmt.Fprint(e.errOut, releaseWarning)
		}
		return nil
	})
}

type restoredCmd struct{}

// Run is for after a restore and before the next hubd run; beside a running hub
// it counts for each connection that is made from then on.
func (restoredCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		n, err := l.Restored(e.ctx, actor())
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "generation %d: appliances offer everything that is not archived when they connect next\n", n)
		return nil
	})
}

func (e *env) withObject(text string, do func(*ledger.Ledger, hub.ID) error) error {
	id, err := dicom.ParseID(text)
	if err != nil {
		return usageError{err}
	}
	return e.withLedger(func(_ Config, l *ledger.Ledger) error { return do(l, id) })
}

// withLedger opens the ledger beside a running hub, or before the first run.
func (e *env) withLedger(do func(Config, *ledger.Ledger) error) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if err := durable.Mkdir(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	c := ledgerConfig(cfg)
	c.Beside = true
	for _, w := range surprises(cfg.DataDir, c, os.Geteuid()) {
		fmt.Fprintf(e.errOut, "note: %s\n", w)
	}
	l, err := ledger.Open(e.ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(do(cfg, l), l.Close())
}

// surprises are what somebody who types a command may not have meant: a directory where no
// hub has been, and files that the hub's own user cannot write to.
func surprises(dir string, c ledger.Config, uid int) (out []string) {
	if c.Database == "" {
		if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) {
			out = append(out, fmt.Sprintf("there was no ledger in %s, an empty one is made: if a hub has run here, this is another configuration or data_dir", dir))
		}
	}
	if info, err := os.Stat(dir); err == nil && uid == 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			out = append(out, fmt.Sprintf("%s belongs to user %d and you are root: what root makes there the hub may not be able to write to; use sudo -u", dir, st.Uid))
		}
	}
	return out
}

func objectsDir(c Config) string { return filepath.Join(c.DataDir, "objects") }

func ledgerConfig(c Config) ledger.Config {
	lc := ledger.Config{Path: filepath.Join(c.DataDir, "ledger.db"), Database: c.Database, Version: programVersion(), Deliver: c.Conflict == "deliver"}
	lc.Routes, lc.Sinks, lc.Received = c.routes(), c.Events.sinkNames(), c.Events.When == "received"
	for _, d := range c.Destinations {
		lc.Destinations = append(lc.Destinations, ledger.Destination{Name: d.Name, Required: d.Required, Confirm: d.Confirm})
	}
	return lc
}

// actor is who stands in the audit trail for what the command line does.
func actor() string {
	if u, err := user.Current(); err == nil {
		return "cli:" + u.Username
	}
	return fmt.Sprintf("cli:uid %d", os.Getuid())
}
