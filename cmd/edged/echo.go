package main

import (
	"context"
	"fmt"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
)

// scuFlags are shared by the commands that call a DICOM node.
type scuFlags struct {
	To      string        `required:"" placeholder:"AET@HOST:PORT" help:"The node to call."`
	Calling string        `default:"EDGED" help:"The AE title to call with."`
	Timeout time.Duration `default:"30s" help:"For connecting and negotiating."`
}

// dial opens an association.
func (f *scuFlags) dial(ctx context.Context, to target, contexts []dimse.Proposal) (*dimse.Client, error) {
	if len(f.Calling) == 0 || len(f.Calling) > 16 {
		return nil, usagef("--calling %q: an AE title has 1 to 16 characters", f.Calling)
	}
	return dimse.Dial(ctx, dimse.ClientConfig{
		Address: to.address, Called: to.title, Calling: f.Calling, Contexts: contexts, Associate: f.Timeout,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	})
}

// echoCmd asks a node for a sign of life.
type echoCmd struct{ scuFlags }

func (c *echoCmd) Run(p *process) error {
	to, err := parseTarget(c.To)
	if err != nil {
		return err
	}
	began := time.Now()
	a, err := c.dial(p.ctx, to, nil)
	if err != nil {
		return err
	}
	defer a.Abort()
	r, err := a.Echo(p.ctx)
	if err != nil {
		return fmt.Errorf("C-ECHO to %s: %w", c.To, err)
	}
	if !r.Status.IsSuccess() {
		return fmt.Errorf("C-ECHO to %s: answered %s", c.To, r.Status)
	}
	_, peer := a.Implementation()
	if err := a.Release(p.ctx); err != nil {
		return fmt.Errorf("C-ECHO to %s: answered, but %w", c.To, err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s answered C-ECHO in %s (%s)\n", c.To, time.Since(began).Round(time.Millisecond), peer)
	return err
}
