package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/dicom"
	"edged/spool"
)

// queries answers C-FIND, C-MOVE and C-GET over what the spool still holds, so
// that a workstation gets yesterday's study while the line is down. Which device
// may do which is the roster's word: a service that a device has not is not
// negotiated with it.
type queries struct {
	catalogue *catalogue
	roster    *roster
	tls       DicomTLS // what we show to a destination that takes TLS
	log       *slog.Logger
}

var _ dimse.QuerySCP = (*queries)(nil)

// querySCP is nil where no device may query or retrieve: then nothing of it is
// offered and there is no catalogue.
func (a *appliance) querySCP() dimse.QuerySCP {
	if a.catalogue == nil {
		return nil
	}
	return &queries{catalogue: a.catalogue, roster: a.roster, tls: a.cfg.Dicom.TLS, log: a.log}
}

// newCatalogueFor makes the catalogue that the devices need.
func newCatalogueFor(d Dicom, k *keeper) *catalogue {
	for _, dev := range d.Devices {
		if dev.retrieves() {
			return newCatalogue(k)
		}
	}
	return nil
}

// queryPatience is how long a query waits for a catalogue that is being made.
const queryPatience = 20 * time.Second

var roots = map[string]query.Root{
	dimse.PatientRootFind: query.PatientRoot, dimse.PatientRootMove: query.PatientRoot, dimse.PatientRootGet: query.PatientRoot,
	dimse.StudyRootFind: query.StudyRoot, dimse.StudyRootMove: query.StudyRoot, dimse.StudyRootGet: query.StudyRoot,
}

// failed is the answer to what cannot be done (PS3.4 Tables C.4-1 to C.4-3).
func failed(err error) dimse.Answer {
	a := dimse.Answer{Status: dimse.StatusCannotUnderstand, Comment: err.Error()}
	switch {
	case errors.Is(err, query.ErrIdentifier), errors.Is(err, dataset.ErrSyntax), errors.Is(err, dataset.ErrPixelData), errors.Is(err, dataset.ErrLimit):
		a.Status = dimse.StatusDataSetDoesNotMatch
	case errors.Is(err, errNoCatalogue):
		a.Status = dimse.StatusOutOfResources
	case errors.Is(err, errTooMany), errors.Is(err, errBeyond):
		a.Status = dimse.StatusCannotCount
	}
	return a
}

// spool waits for the catalogue.
func (q *queries) spool(ctx context.Context) (*spool.Spool, error) {
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	return q.catalogue.await(ctx)
}

// Find answers a C-FIND (PS3.4 §C.4.1).
func (q *queries) Find(ctx context.Context, a *dimse.Association, rq dimse.Query, found func(dimse.DataSet) error) dimse.Answer {
	peer := a.Peer()
	identifier, err := dataset.Parse(rq.Identifier.Bytes, rq.Identifier.TransferSyntaxUID)
	if err != nil {
		return failed(err)
	}
	f, err := query.ParseFind(roots[rq.SOPClassUID], identifier)
	if err != nil {
		return failed(err)
	}
	s, err := q.spool(ctx)
	if err != nil {
		return failed(err)
	}
	matches := 0
	err = q.entities(ctx, s, f, func(e dataset.Set) error {
		if !f.Matches(e) {
			return nil
		}
		matches++
		b, err := f.Response(e, peer.Called).Append(nil, rq.Identifier.TransferSyntaxUID)
		if err != nil {
			return err
		}
		return found(dimse.DataSet{TransferSyntaxUID: rq.Identifier.TransferSyntaxUID, Bytes: b})
	})
	q.log.Info("query", "calling", peer.Calling, "level", f.Level.String(), "matches", matches, "err", err)
	if err != nil && ctx.Err() == nil {
		return failed(err)
	}
	return dimse.Answer{}
}

// errTooMany bounds a retrieve.
var errTooMany = fmt.Errorf("more than %d instances: ask for less at a time", maxSelected)

const maxSelected = 100_000

// Select lists what a C-MOVE or C-GET means (PS3.4 §C.4.2, §C.4.3).
func (q *queries) Select(ctx context.Context, a *dimse.Association, rq dimse.Query) ([]dimse.Instance, dimse.Answer) {
	identifier, err := dataset.Parse(rq.Identifier.Bytes, rq.Identifier.TransferSyntaxUID)
	if err != nil {
		return nil, failed(err)
	}
	r, err := query.ParseRetrieve(roots[rq.SOPClassUID], identifier)
	if err != nil {
		return nil, failed(err)
	}
	s, err := q.spool(ctx)
	if err != nil {
		return nil, failed(err)
	}
	all, err := q.instances(ctx, s, r)
	q.log.Info("retrieve", "calling", a.Peer().Calling, "level", r.Level.String(), "destination", rq.Destination, "instances", len(all), "err", err)
	if err != nil {
		return nil, failed(err)
	}
	return all, dimse.Answer{}
}

// Destination allows C-MOVE only to devices of the configuration that have an
// address and a port, for devices that have the service: whoever forges an AE
// title gets nothing, and gets nobody else anything but what he may have.
func (q *queries) Destination(_ context.Context, a *dimse.Association, title string) (dimse.ClientConfig, dimse.Answer) {
	peer := a.Peer()
	refused := func(why string) (dimse.ClientConfig, dimse.Answer) {
		q.log.Warn("move refused", "calling", peer.Calling, "destination", visible(title, 16), "why", why)
		return dimse.ClientConfig{}, dimse.Answer{Status: dimse.StatusUnknownDestination, Comment: why}
	}
	if dev := q.roster.device(callerOf(peer)); !dev.has(serviceMove) {
		return refused("this device may not move")
	}
	d, ok := q.destination(title)
	if !ok {
		return refused("no device of this title with an address and a port is configured, or two are")
	}
	cfg := dimse.ClientConfig{
		Address: net.JoinHostPort(d.Address, strconv.Itoa(d.Port)), Called: title, Calling: peer.Called,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	}
	if d.TLS == tlsServer || d.TLS == tlsMutual { // who has to come by TLS is called by TLS
		var err error
		if cfg.TLS, err = q.tls.callback(d, q.log); err != nil {
			q.log.Error("destination cannot be called", "destination", title, "err", err)
			return refused("this appliance cannot call the destination by TLS")
		}
	}
	return cfg, dimse.Answer{}
}

// destination is the one device that listens under a title.
func (q *queries) destination(title string) (found Device, ok bool) {
	for _, d := range q.roster.listed() {
		if addr, one := d.single(); d.AETitle == title && one && d.Port > 0 {
			if ok {
				return found, false // which of them?
			}
			found, ok = d, true
			found.Address = addr.String()
		}
	}
	return found, ok
}

// errWithheld is why an object is not given.
var errWithheld = errors.New("the object is quarantined or damaged and is not given")

// opener opens the data set of an object for sending, unless it may not be given by
// then. It is read with its digest checked, and of a damaged one the last bytes
// never come (P14).
func (q *queries) opener(id spool.ID) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		s, err := q.catalogue.keeper.get()
		if err != nil {
			return nil, err
		}
		if o, err := s.Object(id); err != nil || !givable(o) {
			return nil, errors.Join(errWithheld, err)
		}
		c, err := s.Open(id)
		if err != nil {
			return nil, err
		}
		return checkedContent{c.Checked(0), c}, nil
	}
}

type checkedContent struct {
	io.Reader
	io.Closer
}
