package main

import (
	"slices"
	"strings"
	"sync"
	"time"

	"edged/agent/status"
	"edged/internal/dicom"
	"edged/internal/quality"
)

// assessor finds what is wrong with the data of instances and studies, as the configuration
// wants it. What it finds is told beside them; nothing here refuses, changes or delays an
// instance. A nil one finds nothing.
type assessor struct {
	checker  *quality.Checker
	actions  map[quality.Code]quality.Level
	today    map[string]causeLevel // of codes; those that are off have none
	facility quality.Facility
	zone     *time.Location
	now      func() time.Time

	// Of studies that are here, whom they are of; nil, or an empty one: not known.
	patientOf func(study string) quality.Patient
	// How far the clock of a device is ahead, and whether that is known.
	ahead func(device string) (time.Duration, bool)
	// Whether a device sends old studies: of those nothing is held. nil: none does.
	old func(device string) bool

	mu    sync.Mutex // guards what follows
	met   map[string]metPatient
	ring  []string // the keys of met, oldest first from next on
	next  int
	known map[string]metPatient // accession numbers of earlier runs, the latest maxRemembered
}

// metPatient is whom a study, or an accession number, was met with.
type metPatient struct {
	quality.Patient
	study string
}

// maxRemembered bounds how many studies and accession numbers it remembers.
const maxRemembered = 32 << 10

func newAssessor(c *Config, now func() time.Time) (*assessor, error) {
	checker, err := quality.New(c.Quality.config())
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(c.Facility.TimeZone)
	if err != nil {
		return nil, err
	}
	j := &assessor{checker: checker, actions: c.Quality.config().Actions, zone: zone, now: now, met: map[string]metPatient{}, known: map[string]metPatient{}}
	j.today = map[string]causeLevel{}
	for _, e := range quality.Table() {
		if _, level := j.level(e.Code); level != quality.Off {
			j.today[string(e.Code)] = causeLevel{e.Cause, level}
		}
	}
	// Each modality writes the institution in its own way: facility.name, which the page
	// shows, is compared with nothing.
	j.facility = quality.Facility{Names: c.Quality.FacilityNames, Codes: c.Quality.FacilityCodes}
	return j, nil
}

// instance judges one by its first bytes, before the rest has come.
func (j *assessor) instance(n dicom.Names, h dicom.Header, flags uint32, from origin) []quality.Finding {
	if j == nil {
		return nil
	}
	i := instanceOf(n, h, flags)
	in := quality.Context{Received: j.now().In(j.zone), Backfill: from.backfill, Facility: j.facility,
		Device: quality.Device{AETitle: from.title, Unknown: from.unknown}}
	in.StudyPatient, in.AccessionPatient = j.others(i)
	found := j.checker.Instance(i, in)
	j.meet(i.Study, i.Accession, i.Patient)
	return found
}

// origin is what is known about who sends.
type origin struct {
	title             string
	unknown, backfill bool
}

func instanceOf(n dicom.Names, h dicom.Header, flags uint32) quality.Instance {
	i := quality.Instance{
		PatientName: h.PatientName, Patient: quality.Patient{ID: h.PatientID, Issuer: h.PatientIssuer}, BirthDate: h.BirthDate, Sex: h.Sex,
		Accession: h.Accession, AccessionIssuer: h.AccessionIssuer,
		Study: h.Study, Series: h.Series, SOPInstance: h.SOPInstance, SOPClass: h.SOPClass, TransferSyntax: n.TransferSyntax,
		StudyDate: h.StudyDate, StudyTime: h.StudyTime, Timezone: h.Timezone, Modality: h.Modality, StudyDescription: h.StudyDescription,
		Institution: h.Institution, InstitutionCode: h.InstitutionCode, Station: h.Station,
		CharacterSet: strings.Split(h.CharacterSet, `\`), DecodeFailed: h.Undecoded,
		Unreadable: flags&flagUnreadable != 0, Mismatch: flags&flagMismatch != 0, BadUID: flags&flagBadUID != 0,
	}
	for _, id := range h.OtherIDs {
		if id.ID != "" {
			i.OtherIDs = append(i.OtherIDs, quality.Patient{ID: id.ID, Issuer: id.Issuer})
		}
	}
	return i
}

// others are whom the study, and other studies with the accession number, were met with.
func (j *assessor) others(i quality.Instance) (study, accession quality.Patient) {
	j.mu.Lock()
	study = j.met["s"+i.Study].Patient
	of, met := j.met["a"+i.Accession]
	if !met {
		of = j.known["a"+i.Accession]
	}
	if of.study != i.Study {
		accession = of.Patient
	}
	j.mu.Unlock()
	if study.ID == "" && i.Study != "" && j.patientOf != nil {
		study = j.patientOf(i.Study)
	}
	return study, accession
}

// meet remembers whom a study is of. The first patient of a study, or of an accession
// number, is who later ones are compared with.
func (j *assessor) meet(study, accession string, p quality.Patient) {
	if j == nil || study == "" || p.ID == "" {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	p = quality.Patient{ID: strings.Clone(shortened(p.ID, maxMetaID)), Issuer: strings.Clone(shortened(p.Issuer, maxMetaID))}
	study = strings.Clone(clip(study, dicom.MaxUID))
	j.remember("s"+study, metPatient{p, study})
	if accession != "" {
		j.remember("a"+clip(accession, maxMetaID), metPatient{p, study})
	}
}

// recall is meet for what an earlier run met: the latest first.
func (j *assessor) recall(study, accession string, p quality.Patient) {
	if j == nil || study == "" || accession == "" || p.ID == "" {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	key := "a" + accession
	if _, have := j.known[key]; !have && len(j.known) < maxRemembered {
		j.known[key] = metPatient{p, study}
	}
}

// remember lets the oldest go where there are too many. Guarded by mu.
func (j *assessor) remember(key string, p metPatient) {
	if _, met := j.met[key]; met {
		return
	}
	if len(j.ring) < maxRemembered {
		j.ring = append(j.ring, key)
	} else {
		delete(j.met, j.ring[j.next])
		j.ring[j.next] = key
		j.next = (j.next + 1) % maxRemembered
	}
	j.met[key] = p
}

// studyData is what the instances of a study say together.
type studyData struct {
	quality.Study
	device   string
	backfill bool
	first    time.Time // when it came; zero: now
	usual    usualCount
}

// recent studies are those that the clock of a device says something of: that of older ones
// may have been another.
func (j *assessor) recent(first time.Time) bool {
	return j != nil && (first.IsZero() || j.now().Sub(first) < fixFor)
}

// study judges one; what is wrong with its instances is not repeated.
func (j *assessor) study(d studyData) []metaFinding {
	if j == nil {
		return nil
	}
	in := quality.Context{Backfill: d.backfill, Device: quality.Device{AETitle: d.device}}
	in.Device.Usual, in.Device.UsualStudies = d.usual.median, d.usual.studies
	if j.ahead != nil && !d.backfill && j.recent(d.first) {
		if ahead, known := j.ahead(d.device); known {
			in.Device.Drift, in.Device.DriftStudies = ahead, 1<<20 // whoever knows has counted
		}
	}
	return forMeta(j.checker.Study(d.Study, in))
}

// forMeta is what of findings is remembered, worst first.
func forMeta(found []quality.Finding) (out []metaFinding) {
	worst := slices.SortedStableFunc(slices.Values(found), func(a, b quality.Finding) int { return int(b.Level) - int(a.Level) })
	for _, f := range worst[:min(len(worst), maxMetaFindings)] {
		out = append(out, metaFinding{string(f.Code), shortened(f.Values[0], maxMetaValue), shortened(f.Values[1], maxMetaValue)})
	}
	return out
}

// level of a code today.
func (j *assessor) level(c quality.Code) (quality.Entry, quality.Level) {
	e, known := quality.Lookup(c)
	if !known || j == nil {
		return e, e.Level
	}
	if l, set := j.actions[c]; set {
		return e, l
	}
	return e, e.Level
}

// shown are findings of a device's study as the page has them, worst first: level and
// cause are today's. counts are of instances beside them, or nil.
func (j *assessor) shown(device string, found []metaFinding, counts []int64) (out []status.Finding) {
	most := j.most(device)
	for i, f := range found {
		e, level := j.level(quality.Code(f.Code))
		level = min(level, most)
		if level == quality.Off || e.Code == "" {
			continue // not told any more, or of a later version
		}
		n := int64(1)
		if i < len(counts) {
			n = counts[i]
		}
		out = append(out, status.Finding{Code: f.Code, Level: level.String(), Cause: string(e.Cause), Values: [2]string{f.A, f.B}, Count: n})
	}
	rank := map[string]int{status.LevelHold: 0, status.LevelWarn: 1, status.LevelInfo: 2}
	slices.SortStableFunc(out, func(a, b status.Finding) int { return rank[a.Level] - rank[b.Level] })
	return out
}

// most is the worst level of what a device sends.
func (j *assessor) most(device string) quality.Level {
	if j != nil && j.old != nil && j.old(device) {
		return quality.Warn
	}
	return quality.Hold
}

// codes are the Table's own strings: thousands of findings share them.
var codes = func() map[string]string {
	m := map[string]string{}
	for _, e := range quality.Table() {
		m[string(e.Code)] = string(e.Code)
	}
	return m
}()
