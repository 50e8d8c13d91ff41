package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/internal/dicom"
)

// heard takes the reports of commitment.
type heard struct {
	mu      sync.Mutex
	results []dimse.CommitmentResult
}

func (h *heard) CommitmentReported(_ context.Context, _ *dimse.Association, r dimse.CommitmentResult) dimse.Answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.results = append(h.results, r)
	return dimse.Answer{Status: dimse.StatusSuccess}
}

func (h *heard) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

// Store is not what this server is for.
func (h *heard) Store(context.Context, *dimse.Association, dimse.StoreRequest, io.Reader) dimse.Status {
	return dimse.StatusSOPClassNotSupported
}

func (h *heard) all() []dimse.CommitmentResult {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.results)
}

// askCommitment stores an instance with a peer and asks for its safekeeping. The
// report comes on the same association, or on one to a server of ours; want is how
// many instances of a transaction are committed and refused.
func (l *lab) askCommitment(ctx context.Context, title, port, cell string, report func(ctx context.Context, c *dimse.Client, h *heard) error) error {
	o, err := l.object(syntaxes[1], title, commitOut, cell)
	if err != nil {
		return err
	}
	if _, err := l.call(ctx, l.program("edged"), "send", "--to", title+"@127.0.0.1:"+port, o.path); err != nil {
		return err
	}
	h := &heard{}
	cfg := l.dial(title, port)
	cfg.Contexts = []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ExplicitVRLE, dimse.ImplicitVRLE}}}
	c, err := dimse.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	missing := o.SOPInstance + ".1"
	rq := dimse.CommitmentRequest{TransactionUID: o.study + ".2", References: []dimse.Reference{{SOPClassUID: o.SOPClass, SOPInstanceUID: o.SOPInstance}, {SOPClassUID: o.SOPClass, SOPInstanceUID: missing}}}
	r, err := c.RequestCommitment(ctx, rq)
	if err == nil && r.Status != dimse.StatusSuccess {
		err = fmt.Errorf("N-ACTION: status %v", r.Status)
	}
	if err == nil {
		err = report(ctx, c, h)
	}
	if err = errors.Join(err, c.Release(ctx)); err != nil {
		return err
	}
	return partitioned(h.all(), rq)
}

// partitioned wants one report, with the first instance committed and the second
// refused.
func partitioned(all []dimse.CommitmentResult, rq dimse.CommitmentRequest) error {
	if len(all) != 1 {
		return fmt.Errorf("%d reports", len(all))
	}
	got := all[0]
	if got.TransactionUID != rq.TransactionUID || len(got.Committed) != 1 || len(got.Failed) != 1 ||
		got.Committed[0].SOPInstanceUID != rq.References[0].SOPInstanceUID || got.Failed[0].Reason != dimse.FailureNoSuchInstance {
		return fmt.Errorf("the report is %d committed, %d failed", len(got.Committed), len(got.Failed))
	}
	return nil
}

// onSame waits for the report on our association.
func onSame(ctx context.Context, c *dimse.Client, h *heard) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return c.AwaitCommitment(ctx, h)
}

// hearing is a server of package dimse that takes reports, until stop.
func (l *lab) hearing(h *heard) (port string, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server, err := dimse.NewServer(dimse.ServerConfig{Titles: []string{ourTitle}, Handler: h, CommitmentSCU: h,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
	if err != nil {
		return "", nil, errors.Join(err, listener.Close())
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, func() error {
		server.Close()
		if err := <-done; !errors.Is(err, dimse.ErrServerClosed) {
			return err
		}
		return nil
	}, nil
}

const (
	rowCommitSame = "N-ACTION, report on the same association: one committed, one refused (0112)"
	rowCommitNew  = "N-ACTION, report on an association that it opens: one committed, one refused (0112)"
	rowStepOut    = "N-CREATE, N-SET COMPLETED"
)

// Tags of a performed procedure step.
const (
	tagStepStatus dataset.Tag = 0x00400252
	tagStepID     dataset.Tag = 0x00400253
	tagModality   dataset.Tag = 0x00080060
)

// reportStep begins and ends a step at a peer.
func (l *lab) reportStep(ctx context.Context, title, port string) error {
	cfg := l.dial(title, port)
	cfg.Contexts = []dimse.Proposal{{AbstractSyntax: dimse.PerformedProcedureStep, TransferSyntaxes: []string{dimse.ExplicitVRLE}}}
	c, err := dimse.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	uid := private + ".1"
	err = stepSaid(c.CreateStep(ctx, uid, stepState("IN PROGRESS")))
	if err == nil {
		err = stepSaid(c.SetStep(ctx, uid, stepState("COMPLETED")))
	}
	return errors.Join(err, c.Release(ctx))
}

func stepSaid(r dimse.Response, err error) error {
	if err == nil && r.Status != dimse.StatusSuccess {
		err = fmt.Errorf("status %v", r.Status)
	}
	return err
}

func stepState(state string) dimse.DataSet {
	var s dataset.Set
	s.Set(tagModality, "CS", "CT")
	s.Set(tagStepStatus, "CS", state)
	s.Set(tagStepID, "SH", "1")
	b, _ := s.Append(nil, dimse.ExplicitVRLE) // three short elements
	return dimse.DataSet{TransferSyntaxUID: dimse.ExplicitVRLE, Bytes: b}
}
