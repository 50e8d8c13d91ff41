package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/dicom"
)

func studyToRetrieve(s foundStudy) dimse.DataSet {
	return identifier("STUDY", [2]string{"0020000D", s.uid})
}

// move has the PACS send a study to the appliance (PS3.4 §C.4.2). Each study has
// an association of its own: old archives end idle ones.
func (b *backfill) move(s foundStudy) (dimse.Retrieved, error) {
	if err := b.awaitAppliance(); err != nil {
		return dimse.Retrieved{}, err
	}
	a, err := b.call(dimse.ClientConfig{Contexts: retrieving(dimse.StudyRootMove)})
	if err != nil {
		return dimse.Retrieved{}, err
	}
	defer a.Abort() // harmless after Release
	if !a.Accepts(dimse.Need{SOPClassUID: dimse.StudyRootMove}) {
		return dimse.Retrieved{}, &endOfRun{fmt.Errorf("%s does not offer C-MOVE at Study Root: try --method get", b.From)}
	}
	r, err := a.Move(b.p.ctx, dimse.Query{SOPClassUID: dimse.StudyRootMove, Identifier: studyToRetrieve(s), Destination: b.to.title}, nil)
	if err != nil {
		return r, err
	}
	a.Release(b.p.ctx) // what was answered stays answered
	if r.Status == dimse.StatusUnknownDestination {
		return r, &endOfRun{fmt.Errorf("%s does not know %s as a destination: enter it there with this appliance's address and port, or try --method get", b.From, b.to.title)}
	}
	return r, nil
}

// awaitAppliance waits while the appliance is away, or refuses back-filling because
// its disk is nearly full (P7): what the PACS would send meanwhile would only fail,
// study after study. It is asked by an association as --as; where that title is not
// admitted, all it tells is that somebody is there.
func (b *backfill) awaitAppliance() error {
	if b.to.address == "" {
		return nil // --to named it, where it is we were not told
	}
	return b.patiently(func() error {
		a, err := b.ours(nil)
		var r dimse.Reject
		if errors.As(err, &r) && !r.Transient() {
			return nil
		}
		if err == nil {
			a.Release(b.p.ctx)
		}
		return err
	})
}

// get fetches a study and stores it at the appliance while it comes (PS3.4
// §C.4.3).
func (b *backfill) get(s foundStudy) (dimse.Retrieved, error) {
	classes, err := b.classesOf(s)
	if err != nil {
		return dimse.Retrieved{}, err
	}
	cfg := dimse.ClientConfig{Contexts: retrieving(dimse.StudyRootGet)}
	cfg.Contexts = append(cfg.Contexts, takes(classes)...)
	for _, c := range classes {
		cfg.Roles = append(cfg.Roles, dimse.Role{SOPClassUID: c, SCP: true}) // PS3.7 §D.3.3.4
	}
	a, err := b.call(cfg)
	if err != nil {
		return dimse.Retrieved{}, err
	}
	defer a.Abort()
	if !a.Accepts(dimse.Need{SOPClassUID: dimse.StudyRootGet}) {
		return dimse.Retrieved{}, &endOfRun{fmt.Errorf("%s does not offer C-GET at Study Root: try --method move", b.From)}
	}
	relay := &relayed{b: b, contexts: a.Contexts()}
	defer relay.end()
	if err := relay.open(); err != nil {
		return dimse.Retrieved{}, err
	}
	r, err := a.Get(b.p.ctx, dimse.Query{SOPClassUID: dimse.StudyRootGet, Identifier: studyToRetrieve(s)}, relay.store, nil)
	if err != nil {
		return r, err
	}
	a.Release(b.p.ctx)
	// What counts is what the appliance has answered, not what the PACS has heard.
	r.Completed, r.Warning, r.Failed = relay.stored, 0, max(r.Failed, relay.failed)
	return r, nil
}

// relayed passes the images of one C-GET on to the appliance. It is called by the
// association that they come on, on the one goroutine that there is.
type relayed struct {
	b              *backfill
	contexts       []dimse.Context // those of the PACS
	to             *dimse.Client
	stored, failed int
}

// open proposes to the appliance what the PACS may send.
func (r *relayed) open() error {
	var needs []dimse.Need
	for _, c := range r.contexts {
		if dimse.IsStorage(c.AbstractSyntax) {
			needs = append(needs, dimse.Need{SOPClassUID: c.AbstractSyntax, TransferSyntaxUID: c.TransferSyntax})
		}
	}
	contexts, _ := dimse.Propose(needs...) // no more than the PACS was offered
	return r.b.patiently(func() (err error) {
		r.to, err = r.b.ours(contexts)
		return err
	})
}

// store passes one image on while it comes. An association that is over fails what
// is still to come of this study, and the study is tried again.
func (r *relayed) store(ctx context.Context, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	rsp, err := r.to.Store(ctx, dimse.StoreRequest{SOPClassUID: rq.SOPClassUID, SOPInstanceUID: rq.SOPInstanceUID, TransferSyntaxUID: rq.TransferSyntaxUID, Priority: rq.Priority}, data)
	switch {
	case err != nil:
		r.failed++
		return dimse.StatusOutOfResources
	case rsp.Status.IsFailure():
		r.failed++
	default:
		r.stored++
	}
	return rsp.Status
}

func (r *relayed) end() {
	if r.to != nil {
		r.to.Release(r.b.p.ctx) // what was answered stays answered
		r.to.Abort()
	}
}

// classesOf asks what a study consists of, so that it can be proposed (PS3.4
// §C.4.3.1.1). A PACS that cannot say so gets usualClasses.
func (b *backfill) classesOf(s foundStudy) ([]string, error) {
	var all, inSeries []string
	add := func(list *[]string, uid string) {
		if uid != "" && !slices.Contains(*list, uid) && len(*list) < maxSeries {
			*list = append(*list, uid)
		}
	}
	err := b.query(identifier("SERIES", [2]string{"0020000D", s.uid}, [2]string{"0020000E", ""}), func(d dataset.Set) error {
		add(&inSeries, d.UID(query.SeriesInstanceUID))
		return nil
	})
	for i := 0; i < len(inSeries) && err == nil; i++ {
		err = b.query(identifier("IMAGE", [2]string{"0020000D", s.uid}, [2]string{"0020000E", inSeries[i]}, [2]string{"00080016", ""}, [2]string{"00080018", ""}), func(d dataset.Set) error {
			add(&all, d.UID(query.SOPClassUID))
			return nil
		})
	}
	var refused *refusedQuery
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(uid string) bool { return !dicom.ValidUID(uid) || !dimse.IsStorage(uid) })
	if err != nil || len(all) == 0 || len(all) > maxTaken {
		all = usualClasses
	}
	return all, nil
}

// maxSeries bounds what is asked about one study, maxTaken what can be proposed
// beside the retrieve itself (PS3.8 §9.3.2.2).
const (
	maxSeries = 1000
	maxTaken  = 127
)

// usualClasses are what archives hold: with these each has room for both encodings
// without compression, in contexts of their own, and one more.
var usualClasses = func() (all []string) {
	for _, suffix := range strings.Fields(`1 1.1 1.1.1 1.2 1.2.1 1.3 2 2.1 2.2 3.1 4 4.1 4.3 6.1 7 7.1 7.2 7.3 7.4 9.1.1 9.1.2 11.1 12.1 12.2
		13.1.3 20 30 66 66.4 77.1.1 77.1.2 77.1.4 77.1.5.1 88.11 88.22 88.33 88.59 88.67 104.1 128 481.1 481.2`) {
		all = append(all, "1.2.840.10008.5.1.4.1.1."+suffix)
	}
	return all
}()

// encodings by how likely an old archive holds images in them. The PACS picks one
// for each context, so each has a context of its own as long as there is room: then
// it can send every image as it lies there.
var encodings = []string{
	dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian,
	"1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.5",
	"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.81", dicom.ExplicitVRBigEndian,
	"1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.107",
	"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.4.202", dicom.DeflatedExplicitVRLittleEndian,
}

// takes proposes the classes in as many encodings as there is room for.
func takes(classes []string) (out []dimse.Proposal) {
	each := min(maxTaken/max(len(classes), 1), len(encodings))
	for _, c := range classes {
		for _, ts := range encodings[:each-1] {
			out = append(out, dimse.Proposal{AbstractSyntax: c, TransferSyntaxes: []string{ts}})
		}
		out = append(out, dimse.Proposal{AbstractSyntax: c, TransferSyntaxes: encodings[each-1:]}) // the rest share one
	}
	return out
}
