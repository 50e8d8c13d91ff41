package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"edged/agent/enrol"
	"edged/internal/audit"
	"edged/spool"
	"edged/spool/vault"
)

// retireCmd ends the life of an appliance: it proves that everything is archived,
// and makes the disk worthless by erasing its key.
type retireCmd struct {
	configFlag
	Yes bool `help:"Do it. Without it, only whether it may be done is said."`
}

func (c *retireCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if findDaemon(p.ctx, &cfg) != nil {
		return errors.New("retire: the daemon runs: stop edged first, so that nothing arrives meanwhile")
	}
	key, err := cfg.spoolKey()
	if err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	r, err := spool.OpenReadOnly(cfg.spoolDir(), key)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("retire: no spool at %s: is this the right configuration (-c)?", cfg.spoolDir())
	}
	if err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	defer r.Close() // its lock keeps a daemon out until the key is gone
	archived, err := allArchived(p.ctx, r)
	if err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	if !c.Yes {
		_, err = fmt.Fprintf(p.stdout, "everything that was received here is archived, %d objects are still here; `edged retire --yes` erases the keys, and nothing brings them back\n", archived)
		return err
	}
	return cfg.retire(p, key, archived)
}

// allArchived refuses as long as one object is here, or lost here, that the archive
// has not confirmed (P2), in whatever state. Test objects never get there.
func allArchived(ctx context.Context, r *spool.Reader) (archived int, err error) {
	waiting := make(map[string]int)
	err = r.Each(func(o spool.Object) error {
		switch {
		case o.Test:
		case o.State == spool.Archived && !o.Lost:
			archived++
		default:
			waiting[waitsAs(o)]++
		}
		return ctx.Err()
	})
	if err != nil || len(waiting) == 0 {
		return archived, err
	}
	var words []string
	sum := 0
	for state, n := range waiting {
		words = append(words, fmt.Sprintf("%d %s", n, state))
		sum += n
	}
	slices.Sort(words)
	return archived, fmt.Errorf("%d objects are not archived (%s): let edged run until they are, or discard what is in quarantine (`edged spool ls`, `edged spool discard`)", sum, strings.Join(words, ", "))
}

func waitsAs(o spool.Object) string {
	if o.Lost {
		return "lost"
	}
	return o.State.String()
}

// retire erases.
//
// Order: the row of the audit log, the marker, the certificate, the wrapped key, the
// copies of the key. While one copy is there, whoever was cut short runs it again, and
// it proves again that everything is archived.
func (c *Config) retire(p *process, key []byte, archived int) error {
	trail := newTrail(c, key)
	e := audit.Event{Who: whoami(), Action: "retire", Object: fmt.Sprintf("%d objects, all archived", archived), Outcome: audit.Intended}
	seq, err := trail.Append(e)
	if err != nil {
		return fmt.Errorf("retire: this cannot be recorded, so nothing is erased: %w", err)
	}
	if err := c.eraseKeys(); err != nil {
		return err
	}
	if key == nil { // else there is nothing any more to seal the outcome with
		e.Outcome, e.Of = audit.Done, seq
		if _, err := trail.Append(e); err != nil {
			fmt.Fprintf(p.stderr, "edged: the end of it is not in the audit log: %v\n", err)
		}
	}
	plain, err := c.plainFiles()
	return tellErased(p.stdout, plain, err)
}

func (c *Config) eraseKeys() error {
	if err := c.markRetired(time.Now()); err != nil {
		return err
	}
	if err := enrol.Forget(c.identityDir()); err != nil {
		return err
	}
	return vault.Erase(c.keysDir())
}

// tellErased calls a disk worthless only when every file was looked into and none
// of them tells of an image.
func tellErased(out io.Writer, plain []string, looked error) error {
	switch {
	case looked != nil:
		return fmt.Errorf("retire: the keys are erased, but whether all was encrypted is not known: destroy the disk, or overwrite it whole (%w)", looked)
	case len(plain) > 0:
		return fmt.Errorf("retire: the keys are erased, but %d files are not encrypted and can be read by anybody (%s): destroy the disk, or overwrite it whole", len(plain), someOf(plain))
	}
	_, err := fmt.Fprintln(out, "the keys of the spool and of the certificate are erased: what is on the disk is worthless now, and no hub lets this appliance in; let the hub's administrator revoke it (hubd devices revoke)")
	return err
}
