package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"edged/dimse"
	"edged/hub/forward"
	"edged/internal/dicom"
)

// maxArchives bounds the associations of archives that report.
const maxArchives = 32

// makeDICOM makes the door for archives that report on an association of their
// own (PS3.4 §J.3.3.1.2). It takes no images and answers no queries.
func (h *theHub) makeDICOM() (err error) {
	if h.cfg.DICOM.Listen == "" {
		return nil
	}
	h.dicom, err = dimse.NewServer(dimse.ServerConfig{
		Handler: noStorage{}, CommitmentSCU: h.forward,
		Titles: h.cfg.reportTitles(), Admit: h.cfg.admitReporter,
		Accepts: func(_ dimse.Peer, abstractSyntax string) bool {
			return abstractSyntax == dimse.Verification || abstractSyntax == dimse.StorageCommitmentPush
		},
		Log: h.log, MaxAssociations: maxArchives,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	})
	return err
}

// reportTitles are ours: that of the door, and those under which we call archives,
// because an archive calls back whoever asked.
func (c *Config) reportTitles() []string {
	titles := []string{c.DICOM.AETitle}
	for _, d := range c.Destinations {
		if d.Confirm == "commitment" && !slices.Contains(titles, d.Calling) {
			titles = append(titles, d.Calling)
		}
	}
	return titles
}

// admitReporter admits the archives that are asked for commitment, by AE title
// and, where one is configured with an IP address, from there.
func (c *Config) admitReporter(p dimse.Peer) *dimse.Reject {
	for _, d := range c.Destinations {
		if d.Confirm == "commitment" && d.AETitle == p.Calling && forward.MayComeFrom(d.Address, p.Addr) {
			return nil
		}
	}
	return &dimse.RejectCalling
}

// noStorage answers C-ECHO. No storage context is ever accepted.
type noStorage struct{}

func (noStorage) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (noStorage) Store(context.Context, *dimse.Association, dimse.StoreRequest, io.Reader) dimse.Status {
	return dimse.StatusSOPClassNotSupported
}

// serveDICOM serves until ctx ends, then lets a report in progress finish.
func (h *theHub) serveDICOM(ctx context.Context) error {
	if h.dicom == nil {
		return nil
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		stopped <- errors.Join(h.dicom.Shutdown(grace), h.dicom.Close())
	})
	err := h.dicom.Serve(h.dicomListener)
	if stop() {
		return err // nobody asked for the end
	}
	<-stopped
	return nil
}
