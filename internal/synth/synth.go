package synth

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"

	"edged/internal/dicom"
)

// Study is one synthetic examination of one synthetic patient.
type Study struct {
	UID       string
	Modality  string // CT, MR, US, MG, SR, OT
	Calling   string // AE title under which its modality sends
	Patient   string // PatientName, family name PROVA
	PatientID string
	Instances []Instance
}

// Instance is one SOP instance, made anew each time it is opened.
type Instance struct {
	Names    dicom.Names
	Study    string // Study Instance UID
	Series   string // Series Instance UID
	Modality string
	Calling  string
	File     string // a name for its file, below a folder: CT_01/S002_0001.dcm

	mark string // see Altered
	open func(mark string) (io.Reader, int64)
}

// Open returns the data set, without File Meta, and its length. Each call starts
// from the first byte, and all calls give the same bytes.
func (i Instance) Open() (dataSet io.Reader, length int64) { return i.open(i.mark) }

// Altered is an instance with the same names and other contents: mark stands in
// its Patient Comments. Peers that make a UID twice are real (P5).
func (i Instance) Altered(mark string) Instance {
	i.mark = mark
	return i
}

// ID reads the whole data set and says under which ID the product knows it.
func (i Instance) ID() (dicom.ID, error) {
	h := i.Names.NewHash()
	dataSet, _ := i.Open()
	_, err := io.Copy(h, dataSet)
	return dicom.ID(h.Sum(nil)), err
}

// WriteFile writes the instance as a DICOM file (PS3.10 §7): preface and data set.
func (i Instance) WriteFile(w io.Writer) (int64, error) {
	n, err := w.Write(dicom.Preface(i.Names))
	if err != nil {
		return int64(n), err
	}
	dataSet, _ := i.Open()
	m, err := io.Copy(w, dataSet)
	return int64(n) + m, err
}

// Studies makes the studies of a profile. It is cheap: the bytes are made by Open.
func Studies(seed uint64, p Profile) []Study {
	var studies []Study
	for _, kind := range p.kinds() {
		studies = append(studies, kind(seed, p))
	}
	return studies
}

// Instances lists the instances of all studies in order.
func Instances(studies []Study) []Instance {
	var all []Instance
	for _, s := range studies {
		all = append(all, s.Instances...)
	}
	return all
}

// exam is what the makers of one study share.
type exam struct {
	seed     uint64
	modality string
	attrs    dataset
	study    *Study
}

// exams numbers the studies for file names and labels.
var exams = map[string]int{"CT": 1, "MR": 2, "US": 3, "MG": 4, "SR": 5, "OT": 6}

// newExam makes patient, study and equipment (PS3.3 §C.7.1, §C.7.2, §C.7.5).
func newExam(seed uint64, modality, description string) *exam {
	patient := patients[(pick(seed, "patient", len(patients))+exams[modality])%len(patients)]
	s := &Study{
		UID: uid(seed, "study/"+modality), Modality: modality, Calling: "SIM" + modality,
		Patient: patient.name, PatientID: fmt.Sprintf("PROVA-%08d-%s", pick(seed, "id", 1e8), modality),
	}
	day := fmt.Sprintf("2026%02d%02d", 1+pick(seed, "month", 12), 1+pick(seed, "day", 28))
	return &exam{seed: seed, modality: modality, study: s, attrs: dataset{
		"SpecificCharacterSet": "ISO_IR 100",
		"PatientName":          latin1(patient.name), "PatientID": s.PatientID,
		"PatientBirthDate": patient.born, "PatientSex": patient.sex,
		"StudyInstanceUID": s.UID, "StudyID": fmt.Sprint(exams[modality]),
		"StudyDate": day, "StudyTime": "101500", "SeriesDate": day, "SeriesTime": "101600",
		"ContentDate": day, "ContentTime": "101630", "StudyDescription": description,
		"AccessionNumber":        fmt.Sprintf("PROVA%08d%s", pick(seed, "accession/"+modality, 1e8), modality),
		"ReferringPhysicianName": "PROVA^MEDICO", "Modality": modality,
		"Manufacturer": "edged", "ManufacturerModelName": "modsim", "SoftwareVersions": "1",
		"DeviceSerialNumber": fmt.Sprintf("%08d", pick(seed, "serial/"+modality, 1e8)),
		"InstitutionName":    "OSPEDALE DI PROVA", "StationName": "SIM" + modality,
	}}
}

// invented stands in every object, where people read it.
const invented = "PAZIENTE INESISTENTE - DATI SINTETICI"

// patients are nobody. One name is outside ASCII on purpose.
var patients = []struct{ name, born, sex string }{
	{"PROVA^ANNA", "19500101", "F"}, {"PROVA^BRUNO", "19610202", "M"},
	{"PROVA^CHIARA", "19720303", "F"}, {"PROVA^NICOLÒ", "19830404", "M"},
	{"PROVA^ELENA", "19940505", "F"}, {"PROVA^FABIO", "20050606", "M"},
}

// latin1 is the encoding of ISO_IR 100 (PS3.3 §C.12.1.1.2).
func latin1(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// series is one series of an exam: what its instances have in common.
type series struct {
	*exam
	number         int
	class          string
	transferSyntax string
	attrs          dataset
}

func (e *exam) series(number int, class, transferSyntax, description string, attrs dataset) series {
	return series{e, number, class, transferSyntax, dataset{
		"SeriesInstanceUID": uid(e.seed, e.label(number)), "SeriesNumber": number,
		"SeriesDescription": description, "SOPClassUID": class,
	}.with(attrs)}
}

func (e *exam) label(number int) string { return fmt.Sprintf("series/%s/%d", e.modality, number) }

// add puts an instance into the study; make gives what is its own, each time it is opened.
func (s series) add(number int, make func() dataset) {
	s.addOpen(number, func(common dataset) (io.Reader, int64) {
		b := encode(common.with(make()), s.transferSyntax)
		return bytes.NewReader(b), int64(len(b))
	})
}

func (s series) addOpen(number int, open func(common dataset) (io.Reader, int64)) {
	names := dicom.Names{TransferSyntax: s.transferSyntax, SOPClass: s.class,
		SOPInstance: uid(s.seed, fmt.Sprintf("%s/%d", s.label(s.number), number))}
	common := func(mark string) dataset {
		d := dataset{"SOPInstanceUID": names.SOPInstance, "InstanceNumber": number}.with(s.exam.attrs, s.attrs)
		d["PatientComments"] = invented + latin1(mark)
		return d
	}
	s.study.Instances = append(s.study.Instances, Instance{
		Names: names, Study: s.study.UID, Series: s.attrs["SeriesInstanceUID"].(string),
		Modality: s.modality, Calling: s.study.Calling,
		File: fmt.Sprintf("%s_%02d/S%03d_%04d.dcm", s.modality, exams[s.modality], s.number, number),
		open: func(mark string) (io.Reader, int64) { return open(common(mark)) },
	})
}

// source is the random stream of one instance.
func (s series) source(number int) *rand.ChaCha8 {
	return source(s.seed, fmt.Sprintf("%s/%d", s.label(s.number), number))
}
