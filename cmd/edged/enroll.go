package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"edged/agent/enrol"
	"edged/uplink"
)

// identityDir holds the appliance's key, certificate and the hub's CA.
const identityDir = "identity"

func (c *Config) identityDir() string { return filepath.Join(c.DataDir, identityDir) }

// enrolment says how the hub is spoken to beside the lanes: by the way they take.
func (c *Config) enrolment(hub, code string) enrol.Config {
	e := enrol.Config{Hub: hub, Code: code, Dir: c.identityDir()}
	if c.Uplink.Proxy != "" {
		e.Dial = uplink.Through(c.Uplink.Proxy)
	}
	return e
}

// enrollCmd turns a claim code into this appliance's certificate (RFC 7030).
type enrollCmd struct {
	configFlag
	Hub  string `required:"" placeholder:"HOST:PORT" help:"The hub that made the code."`
	Code string `required:"" help:"The claim code that hubd code new printed."`
}

func (c *enrollCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if err := cfg.mustNotBeRetired(); err != nil {
		return err
	}
	if err := cfg.asOwner(); err != nil {
		return err
	}
	id, err := enrol.Enrol(p.ctx, cfg.enrolment(c.Hub, c.Code))
	if err != nil {
		return err
	}
	cfg.wrapAtEnrolment(p, c.Hub)
	d := id.Device()
	_, err = fmt.Fprintf(p.stdout, "enrolled as %s of facility %s until %s; `edged run` sends as soon as uplink.hubs names the hub\n",
		d.ID, d.Facility, id.Cert.NotAfter.Format("2006-01-02"))
	return err
}

// asOwner is becomeOwner where data_dir is there already: root makes a new one for itself.
func (c *Config) asOwner() error {
	if _, err := os.Stat(c.DataDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return becomeOwner(c.DataDir)
}

// wrapAtEnrolment makes the disk readable for the holder of the region's recovery
// key before the first image is on it (D-S12). It does not undo the enrolment when
// it fails: the daemon tries again when it starts, and each day.
func (c *Config) wrapAtEnrolment(p *process, hub string) {
	log := slog.New(slog.DiscardHandler)
	if !c.Spool.Encryption {
		return
	}
	_, err := c.openKey(log)
	if err == nil {
		err = c.wrapToHub(p.ctx, []string{hub}, log)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "edged: warning: the key of the spool is not wrapped to a recovery key: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}
