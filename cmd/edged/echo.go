package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
)

// scuFlags are shared by the commands that call a DICOM node.
type scuFlags struct {
	To      string        `required:"" placeholder:"AET@HOST:PORT" help:"The node to call."`
	Calling string        `default:"EDGED" help:"The AE title to call with."`
	Timeout time.Duration `default:"30s" help:"For connecting and negotiating."`
	tlsFlags
}

// dial opens an association.
func (f *scuFlags) dial(ctx context.Context, to target, contexts []dimse.Proposal) (*dimse.Client, error) {
	if err := f.named(); err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(to.address)
	over, err := f.config(host)
	if err != nil {
		return nil, err
	}
	a, err := dimse.Dial(ctx, dimse.ClientConfig{
		Address: to.address, TLS: over, Called: to.title, Calling: f.Calling, Contexts: contexts, Associate: f.Timeout,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	})
	return a, f.advise(to, err)
}

// advise says what to do about a rejection that one of the two names has caused
// (PS3.8 §9.3.4).
func (f *scuFlags) advise(to target, err error) error {
	var r dimse.Reject
	switch errors.As(err, &r); r {
	case dimse.RejectCalling:
		return fmt.Errorf("%w; there, add AE title %s to dicom.devices (with this machine's address, or with none), or name a listed one with --calling", err, f.Calling)
	case dimse.RejectCalled:
		return fmt.Errorf("%w; the node does not call itself %s: its AE title stands before the @ of --to", err, to.title)
	}
	return err
}

// named refuses what cannot be an AE title of ours: no retry mends that.
func (f *scuFlags) named() error {
	if len(f.Calling) == 0 || len(f.Calling) > 16 {
		return usagef("--calling %q: an AE title has 1 to 16 characters", f.Calling)
	}
	return nil
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
