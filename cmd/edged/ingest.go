package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/quality"
	"edged/spool"
)

// door is where objects come in: the services that the DICOM port offers.
type door struct {
	herald *herald // nil: nobody is told
	keeper *keeper
	roster *roster
	log    *slog.Logger
	refuse func() // counts an instance or association that was refused
	open   openStudies
	greet  func(*dimse.Association) // is told of every association, if not nil
	judge  *assessor                // if nil, nothing is found

	took    func(spool.Object, Meta)      // is told of every new instance as soon as it is safe, if not nil
	arrived func(caller, spool.New, Meta) // is told of every new instance that is no test, if not nil
}

var (
	_ dimse.Handler          = (*door)(nil)
	_ dimse.StrangerObserver = (*door)(nil)
)

func callerOf(p dimse.Peer) caller {
	c := caller{calling: p.Calling, called: p.Called, address: hostOf(p.Addr)}
	if p.TLS != nil {
		c.secure = true
		if chains := p.TLS.VerifiedChains; len(chains) > 0 {
			c.proof = chains[0][0]
		}
	}
	return c
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// admit decides about an association: who may store, and whether there is room
// (P7: a full disk is temporary congestion, never a permanent refusal).
func (d *door) admit(p dimse.Peer) *dimse.Reject {
	c := callerOf(p)
	if code := d.roster.judge(c); code != "" {
		detail := c.called
		if code == status.NoCertificate && c.proof != nil {
			detail = namesIn(c.proof) // that of another device
		}
		d.roster.refused(c, code, detail)
		return rejection(code)
	}
	s, err := d.keeper.get()
	if err != nil {
		d.roster.refused(c, status.NotReady, "")
		return &dimse.RejectCongestion
	}
	if dev := d.roster.device(c); !dev.has(serviceStore) {
		return nil // what it may do needs no room
	}
	switch s.Admission() {
	case spool.Refuse:
		d.roster.refused(c, status.NoSpace, "")
		return &dimse.RejectCongestion
	case spool.PauseBackfill:
		if d.roster.priority(c) == uint8(spool.Backfill) {
			d.roster.refused(c, status.NoSpace, "")
			return &dimse.RejectCongestion
		}
	}
	return nil
}

// rejection is what the standard has for it (PS3.8 Table 9-21): for how a device
// has to come it has no reason.
func rejection(code status.RefusalCode) *dimse.Reject {
	switch code {
	case status.WrongCalled:
		return &dimse.RejectCalled
	case status.NeedsTLS, status.NoCertificate:
		return &dimse.RejectNoReason
	}
	return &dimse.RejectCalling
}

// accepts decides about a presentation context.
func (d *door) accepts(p dimse.Peer, class string) bool { return d.roster.offers(callerOf(p), class) }

// Refused is told of every rejection; admit has noted its own in better words.
func (d *door) Refused(p dimse.Peer, r dimse.Reject, n dimse.Negotiation) {
	d.refuse()
	c := callerOf(p)
	switch r {
	case dimse.RejectLocalLimit:
		d.roster.refused(c, status.TooMany, "")
	case dimse.RejectApplicationName, dimse.RejectProtocolVersion:
		d.roster.refused(c, status.BadData, r.Error())
	}
	i, said := negotiationOf(p, n)
	d.roster.negotiated(c, i, said)
}

// Strange is told of connections that came to nothing. One that only opened and
// went away, as a port scan does, is no news.
func (d *door) Strange(from net.Addr, err error) {
	if code, detail := strangeness(err); code != "" {
		d.roster.refused(caller{address: hostOf(from)}, code, detail)
	}
}

func strangeness(err error) (code status.RefusalCode, detail string) {
	var plain tls.RecordHeaderError
	var broken *dimse.AbortError
	switch {
	case errors.As(err, &plain):
		return status.NeedsTLS, ""
	case errors.As(err, &broken) && !broken.ByPeer:
		return status.NotDICOM, ""
	case strings.Contains(err.Error(), "tls: "):
		_, words, _ := strings.Cut(err.Error(), "tls: ") // crypto/tls has no type for most of it
		words, _, _ = strings.Cut(words, ";")
		return status.TLSFailed, visible(words, 64)
	}
	return "", ""
}

func (d *door) Opened(a *dimse.Association) {
	c := callerOf(a.Peer())
	d.roster.met(c)
	i, said := negotiationOf(a.Peer(), a.Negotiation())
	d.roster.negotiated(c, i, said)
	if len(a.Contexts()) == 0 {
		d.roster.refused(c, status.NothingInCommon, "")
		d.refuse()
	}
	if d.greet != nil {
		d.greet(a)
	}
}

// Closed ends what the association had open, however it ended.
func (d *door) Closed(a *dimse.Association, err error) {
	d.open.end(a.ID())
	d.herald.closed(a.ID())
	var broken *dimse.AbortError
	if errors.As(err, &broken) && !broken.ByPeer {
		d.roster.refused(callerOf(a.Peer()), status.BadData, visible(broken.Detail, 64))
	}
}

// Echo answers C-ECHO: whoever got as far as an association hears that we live.
func (d *door) Echo(_ context.Context, a *dimse.Association) dimse.Status {
	d.roster.echo(a.Peer().Calling)
	return dimse.StatusSuccess
}

// windows are the readers through which data sets pass; their buffer is what
// the header is read from.
var windows = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, dicom.HeaderWindow) }}

// Store takes one instance (PS3.4 §B.2). Success is answered when Commit has
// returned: the commit point is the flush of the directory that covers it (P1).
func (d *door) Store(ctx context.Context, a *dimse.Association, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	c := callerOf(a.Peer())
	st, err := d.store(ctx, a.ID(), c, rq, data)
	switch {
	case err == nil:
		d.roster.stored(c)
	case st == dimse.StatusOutOfResources:
		d.roster.refused(c, status.NoSpace, "")
	case st == dimse.StatusNotAuthorized:
		d.roster.refused(c, status.NotOffered, "")
	}
	if err != nil {
		d.refuse()
		d.herald.refused(a.ID(), c, rq.SOPClassUID, st)
		d.log.Warn("instance not stored", "calling", c.calling, "status", st, "err", err)
	}
	return st
}

func (d *door) store(ctx context.Context, association uint64, c caller, rq dimse.StoreRequest, data io.Reader) (dimse.Status, error) {
	if dev := d.roster.device(c); !dev.has(serviceStore) {
		return dimse.StatusNotAuthorized, fmt.Errorf("%s is not offered to it: services are %s", serviceStore, strings.Join(dev.Services, ", "))
	}
	names := dicom.Names{TransferSyntax: rq.TransferSyntaxUID, SOPClass: rq.SOPClassUID, SOPInstance: rq.SOPInstanceUID}
	if err := names.Check(); err != nil {
		return dimse.StatusInvalidInstance, err
	}
	s, err := d.keeper.get()
	if err != nil {
		return dimse.StatusOutOfResources, err
	}
	r := windows.Get().(*bufio.Reader)
	defer windows.Put(r)
	defer r.Reset(nil)
	r.Reset(data)
	object, h, meta := d.describe(names, c, r)
	d.open.begin(s, association, object.Group) // before the object is there: its study is not complete in between
	d.herald.incoming(association, c, object.Group)
	w, err := s.Create(object)
	if err != nil {
		return refusal(err), err
	}
	defer w.Abort()
	walker := dicom.NewWalker(names.TransferSyntax)
	if _, err := io.Copy(io.MultiWriter(w, walker), r); err != nil {
		return refusal(err), err
	}
	if !object.Test {
		atEnd := d.judge.ended(names, h, walker.Close(), d.originOf(c))
		w.End(sealed(atEnd))
		meta.Findings = append(meta.Findings, forMeta(atEnd)...)
	}
	// What is whole is kept, also when the peer or the server goes now.
	o, result, err := w.Commit(context.WithoutCancel(ctx))
	if err != nil {
		return refusal(err), err
	}
	d.herald.took(association, names.SOPClass, result == spool.Fresh)
	if result == spool.Fresh && object.Flags&flagUnreadable != 0 {
		s.Count(countUnreadable, 1)
	}
	if result == spool.Fresh && d.took != nil {
		meta.Findings = append(meta.Findings, ofObject(spool.Object{ID: o.ID, Conflict: o.Conflict, Test: o.Test})...)
		d.took(o, meta)
	}
	if result == spool.Fresh && !object.Test && d.arrived != nil {
		d.arrived(c, object, meta)
	}
	if result == spool.Fresh && o.Conflict {
		d.log.Warn("another image here has the same SOP Instance UID and other contents: both are kept, the hub holds the later one", "id", o.ID, "calling", c.calling)
	}
	return dimse.StatusSuccess, nil
}

// countUnreadable counts instances, not sendings, whose header could not be read.
const countUnreadable = "unreadable"

// describe looks at the first bytes of the data set. Whatever they are, the
// object is taken: what cannot be read is flagged (DESIGN: life of an object).
func (d *door) describe(n dicom.Names, c caller, r *bufio.Reader) (spool.New, dicom.Header, Meta) {
	window, _ := r.Peek(dicom.HeaderWindow) // an error comes again when the rest is read
	h, err := dicom.ReadHeader(window, n.TransferSyntax)
	flags := findings(n, h, err)
	if d.roster.self.are(c) {
		flags |= flagTest
	}
	m := newMeta(n, h, c)
	if flags&flagTest == 0 {
		found := d.judge.instance(n, h, flags, d.originOf(c))
		if m.Findings = forMeta(found); quality.Worst(found) == quality.Hold {
			flags |= flagHold
		}
		if quality.Worst(found) >= quality.Warn {
			flags |= flagFound
		}
	}
	return spool.New{
		Group:    clip(h.Study, spool.MaxGroup),
		Part:     clip(h.Series, spool.MaxGroup),
		Name:     n.SOPInstance,
		Quiet:    d.roster.quiet(c),
		Priority: spool.Priority(d.roster.priority(c)),
		Meta:     m.encode(),
		Preface:  dicom.Preface(n),
		Seed:     n.Seed(),
		Flags:    flags,
		Test:     flags&flagTest != 0,
	}, h, m
}

// originOf is what is known about who sends.
func (d *door) originOf(c caller) origin {
	_, _, known := d.roster.find(c)
	return origin{title: c.calling, unknown: !known, backfill: spool.Priority(d.roster.priority(c)) == spool.Backfill}
}

// refusal is the status for an instance that was not kept: always one that lets
// the modality try again, because nothing is wrong with the instance.
func refusal(err error) dimse.Status {
	if errors.Is(err, spool.ErrFull) || errors.Is(err, spool.ErrFailed) || errors.Is(err, spool.ErrClosed) {
		return dimse.StatusOutOfResources
	}
	return dimse.StatusProcessingFailure
}
