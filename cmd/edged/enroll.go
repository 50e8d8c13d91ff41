package main

import (
	"fmt"
	"path/filepath"

	"edged/agent/enrol"
)

// identityDir holds the appliance's key, certificate and the hub's CA.
const identityDir = "identity"

func (c *Config) identityDir() string { return filepath.Join(c.DataDir, identityDir) }

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
	id, err := enrol.Enrol(p.ctx, enrol.Config{Hub: c.Hub, Code: c.Code, Dir: cfg.identityDir()})
	if err != nil {
		return err
	}
	d := id.Device()
	_, err = fmt.Fprintf(p.stdout, "enrolled as %s of facility %s until %s; `edged run` sends as soon as uplink.hubs names the hub\n",
		d.ID, d.Facility, id.Cert.NotAfter.Format("2006-01-02"))
	return err
}
