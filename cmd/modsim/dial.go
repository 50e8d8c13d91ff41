package main

import (
	"context"
	"io"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// dialer opens associations to one peer. It proposes, for each calling AE title,
// exactly what its instances need: a peer can refuse a transfer syntax, but
// nothing is ever sent in another one.
type dialer struct {
	to      target
	answer  time.Duration
	propose map[string][]dimse.Proposal
}

// newDialer looks over all instances that will be sent.
func newDialer(to target, answer time.Duration, all []synth.Instance) dialer {
	needs := map[string][]dimse.Need{}
	for _, i := range all {
		needs[i.Calling] = append(needs[i.Calling], dimse.Need{SOPClassUID: i.Names.SOPClass, TransferSyntaxUID: i.Names.TransferSyntax})
	}
	d := dialer{to: to, answer: answer, propose: map[string][]dimse.Proposal{}}
	for calling, n := range needs {
		d.propose[calling], _ = dimse.Propose(n...) // a profile has a dozen needs, 128 fit
	}
	return d
}

func (d dialer) dial(ctx context.Context, calling string) (association, error) {
	c, err := dimse.Dial(ctx, dimse.ClientConfig{
		Address: d.to.Address, Called: d.to.AET, Calling: calling, Contexts: d.propose[calling],
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: "MODSIM",
		Associate: associateLimit, Response: d.answer,
	})
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

// associateLimit bounds connecting, negotiating and releasing.
const associateLimit = 10 * time.Second

// client is an association by the dimse package.
type client struct{ *dimse.Client }

var _ association = client{}

// Store sends i as it is.
func (c client) Store(ctx context.Context, i synth.Instance, dataSet io.Reader) (dimse.Status, error) {
	r, err := c.Client.Store(ctx, dimse.StoreRequest{SOPClassUID: i.Names.SOPClass,
		SOPInstanceUID: i.Names.SOPInstance, TransferSyntaxUID: i.Names.TransferSyntax}, dataSet)
	return r.Status, err
}

// Close releases in order; what does not release is closed all the same.
func (c client) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), associateLimit)
	defer cancel()
	c.Release(ctx) // its error changes nothing: every answer is already in
}
