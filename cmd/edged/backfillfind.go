package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/dicom"
)

// window is a span of study dates, both ends included; zero means no limit.
type window struct{ from, to time.Time }

const dayForm = "20060102"

func (w window) String() string {
	switch {
	case w.from.IsZero():
		return "any date"
	case w.from.Equal(w.to):
		return w.from.Format("2006-01-02")
	case w.from.Day() == 1 && w.to.AddDate(0, 0, 1).Equal(w.from.AddDate(0, 1, 0)):
		return w.from.Format("2006-01")
	}
	return w.from.Format("2006-01-02") + " to " + w.to.Format("2006-01-02")
}

// key is the range as a PACS understands it (PS3.4 §C.2.2.2.5).
func (w window) key() string {
	if w.from.IsZero() {
		return ""
	}
	return w.from.Format(dayForm) + "-" + w.to.Format(dayForm)
}

// halves splits a window, the later half first; it has to have two days.
func (w window) halves() [2]window {
	days := int(w.to.Sub(w.from).Hours()+12) / 24
	middle := w.from.AddDate(0, 0, days/2)
	return [2]window{{middle.AddDate(0, 0, 1), w.to}, {w.from, middle}}
}

// earliest is when the first studies that are kept as DICOM were made.
var earliest = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// dateRange reads FROM-TO, FROM-, -TO, DAY or nothing.
func dateRange(s string, now time.Time) (from, to time.Time, err error) {
	from, to = earliest, now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1) // somewhere it is tomorrow
	if s == "" {
		return from, to, nil
	}
	a, z, ranged := strings.Cut(s, "-")
	if !ranged {
		z = a
	}
	if a != "" {
		from, err = time.Parse(dayForm, a)
	}
	if err == nil && z != "" {
		to, err = time.Parse(dayForm, z)
	}
	if err == nil && (to.Before(from) || s == "-") {
		err = errors.New("it ends before it begins")
	}
	if err != nil {
		return from, to, fmt.Errorf("want YYYYMMDD-YYYYMMDD: %w", err)
	}
	return from, to, nil
}

// months cuts a range at the ends of months, the newest first.
func months(from, to time.Time) (out []window) {
	for !to.Before(from) {
		first := time.Date(to.Year(), to.Month(), 1, 0, 0, 0, 0, time.UTC)
		if first.Before(from) {
			first = from
		}
		out = append(out, window{first, to})
		to = first.AddDate(0, 0, -1)
	}
	return out
}

// foundStudy is what the PACS says of one.
type foundStudy struct {
	uid, date string
	instances int // zero: it does not say

	modalities []string
}

// maxAnswers bounds one question: a window with more is asked for in halves.
const maxAnswers = 5000

// errTooManyAnswers splits a window.
var errTooManyAnswers = errors.New("too many answers")

// find asks for the studies of a window, and for its halves when the PACS refuses
// (some limit their answers) or has too many.
func (b *backfill) find(w window) ([]foundStudy, error) {
	all, err := b.ask(w)
	if err == nil || !w.from.Before(w.to) || b.p.ctx.Err() != nil {
		return all, err
	}
	var refused *refusedQuery
	if !errors.Is(err, errTooManyAnswers) && !errors.As(err, &refused) {
		return nil, err
	}
	all = nil
	for _, half := range w.halves() {
		part, err := b.find(half)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return all, nil
}

// refusedQuery is a C-FIND that ended with a failure.
type refusedQuery struct{ dimse.Response }

func (r *refusedQuery) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the PACS answered %s %s", r.Status, visible(r.Comment, 64)))
}

// ask puts one question; an association that breaks is opened again.
func (b *backfill) ask(w window) (all []foundStudy, err error) {
	id := identifier("STUDY", [2]string{"0020000D", ""}, [2]string{"00080020", w.key()}, [2]string{"00080061", b.Modality},
		[2]string{"00100020", b.PatientID}, [2]string{"00201208", ""})
	seen := make(map[string]bool)
	err = b.query(id, func(s dataset.Set) error {
		f := foundStudy{uid: s.UID(query.StudyInstanceUID), date: s.Text(query.StudyDate)}
		if !dicom.ValidUID(f.uid) || seen[f.uid] {
			return nil // it could not be asked for
		}
		if len(all) == maxAnswers {
			return errTooManyAnswers
		}
		seen[f.uid] = true
		f.instances, _ = strconv.Atoi(s.Text(query.InstancesOfStudy))
		f.modalities = s.Texts(query.ModalitiesInStudy)
		all = append(all, f)
		return nil
	})
	slices.SortStableFunc(all, func(a, b foundStudy) int { return cmp.Compare(b.date, a.date) })
	if err == nil && b.Modality != "" {
		return b.ofModality(all)
	}
	return all, err
}

// ofModality keeps the studies that have the modality: old archives neither match
// by Modalities in Study nor return it, and are asked for the series.
func (b *backfill) ofModality(all []foundStudy) (kept []foundStudy, err error) {
	for _, f := range all {
		if len(f.modalities) == 0 {
			err = b.query(identifier("SERIES", [2]string{"0020000D", f.uid}, [2]string{"0020000E", ""}, [2]string{"00080060", ""}), func(s dataset.Set) error {
				if len(f.modalities) < maxSeries {
					f.modalities = append(f.modalities, s.Text(query.Modality))
				}
				return nil
			})
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(f.modalities, b.Modality) {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

// query asks on the association for questions, up to attempts times.
func (b *backfill) query(id dimse.DataSet, found func(dataset.Set) error) (err error) {
	for try := range attempts {
		if try > 0 && !pause(b.p.ctx, time.Second<<(2*try-2)) {
			return b.p.ctx.Err()
		}
		if err = b.openFinder(); err != nil {
			return err
		}
		var r dimse.Response
		var told error // by found; then the association is as good as before
		r, err = b.finder.Find(b.p.ctx, dimse.Query{SOPClassUID: dimse.StudyRootFind, Identifier: id}, func(d dimse.DataSet) error {
			s, err := dataset.Parse(d.Bytes, d.TransferSyntaxUID)
			if err != nil {
				return nil // one answer that is none
			}
			told = found(s)
			return told
		})
		switch {
		case told != nil:
			return told
		case err == nil && r.Status.IsSuccess():
			return nil
		case err == nil && !r.Status.IsTransient():
			return &refusedQuery{r}
		case err == nil:
			err = &refusedQuery{r}
		default:
			b.finder = nil // it is over
		}
	}
	return err
}

func (b *backfill) openFinder() (err error) {
	if b.finder == nil {
		b.finder, err = b.call(dimse.ClientConfig{Contexts: retrieving(dimse.StudyRootFind)})
	}
	if err == nil && !b.finder.Accepts(dimse.Need{SOPClassUID: dimse.StudyRootFind}) {
		err = &endOfRun{fmt.Errorf("%s does not offer Study Root queries (C-FIND)", b.From)}
	}
	return err
}

// retrieving proposes a class of Query/Retrieve in both usual encodings.
func retrieving(class string) []dimse.Proposal {
	return []dimse.Proposal{{AbstractSyntax: class, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian}}}
}

func tagOf(s string) dataset.Tag {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		panic(err) // ours
	}
	return dataset.Tag(n)
}
