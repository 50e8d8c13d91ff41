package quality

import (
	"slices"
	"strings"
)

// origin is the part of check 9 about who sent.
func (l *list) origin(i Instance, in Context) {
	d := in.Device
	l.addIf(d.Unknown, DeviceUnknown, d.AETitle, i.Station)
	l.addIf(len(d.Stations) > 0 && i.Station != "" && !slices.ContainsFunc(d.Stations, func(s string) bool { return strings.EqualFold(s, i.Station) }), StationUnknown, i.Station)
	f := in.Facility
	if len(f.Names) == 0 || i.InstitutionCode != "" && slices.Contains(f.Codes, i.InstitutionCode) {
		return
	}
	if i.Institution == "" {
		l.add(FacilityNone)
		return
	}
	l.addIf(!slices.ContainsFunc(f.Names, func(n string) bool { return calls(i.Institution, n) }), FacilityOther, i.Institution, f.Names[0])
}

// calls says whether a name is the facility's, perhaps with its ward behind it.
func calls(name, facility string) bool {
	name, facility = folded(name), folded(facility)
	return facility != "" && (name == facility || len(facility) >= 4 && strings.Contains(name, facility))
}

// modality is the part of check 9 about what sent.
func (l *list) modality(i Instance, in Context) {
	m := i.Modality
	if m == "" {
		l.add(ModMissing)
		return
	}
	l.addIf(!modalities[m], ModUnknown, m)
	of := classes[i.SOPClass]
	l.addIf(len(of) > 0 && !slices.Contains(of, m), ModClass, m, strings.Join(of, ", "))
	enrolled := in.Device.Modalities
	own := len(enrolled) == 0 || slices.Contains(enrolled, m) || beside[m]
	l.addIf(!own, ModDevice, m, strings.Join(enrolled, ", "))
}

// beside is what a device of any modality sends with its images.
var beside = set("SR", "PR", "KO", "SEG", "DOC", "OT", "SC", "REG", "RWV")

// modalities are the defined terms of PS3.3 §C.7.3.1.1.1, the retired ones too: old
// studies have them.
var modalities = set(strings.Fields(`ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM
HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PHYSIOLOGICAL PLAN POS PR PT
PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US
VA VF XA XAPROTOCOL XC
AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR ST`)...)

// classes are the SOP classes of one modality (PS3.4 §B.5; the IODs of PS3.3 §A). Those that
// several share, as secondary captures, are not here.
var classes = map[string][]string{
	"1.2.840.10008.5.1.4.1.1.2":        {"CT"},
	"1.2.840.10008.5.1.4.1.1.2.1":      {"CT"},
	"1.2.840.10008.5.1.4.1.1.2.2":      {"CT"},
	"1.2.840.10008.5.1.4.1.1.4":        {"MR"},
	"1.2.840.10008.5.1.4.1.1.4.1":      {"MR"},
	"1.2.840.10008.5.1.4.1.1.4.3":      {"MR"},
	"1.2.840.10008.5.1.4.1.1.4.4":      {"MR"},
	"1.2.840.10008.5.1.4.1.1.1.2":      {"MG"},
	"1.2.840.10008.5.1.4.1.1.1.2.1":    {"MG"},
	"1.2.840.10008.5.1.4.1.1.13.1.3":   {"MG"},
	"1.2.840.10008.5.1.4.1.1.1.3":      {"IO", "PX"},
	"1.2.840.10008.5.1.4.1.1.1.3.1":    {"IO", "PX"},
	"1.2.840.10008.5.1.4.1.1.6.1":      {"US", "IVUS", "BDUS"},
	"1.2.840.10008.5.1.4.1.1.3.1":      {"US", "IVUS", "BDUS"},
	"1.2.840.10008.5.1.4.1.1.20":       {"NM"},
	"1.2.840.10008.5.1.4.1.1.128":      {"PT"},
	"1.2.840.10008.5.1.4.1.1.130":      {"PT"},
	"1.2.840.10008.5.1.4.1.1.481.1":    {"RTIMAGE"},
	"1.2.840.10008.5.1.4.1.1.481.2":    {"RTDOSE"},
	"1.2.840.10008.5.1.4.1.1.481.3":    {"RTSTRUCT"},
	"1.2.840.10008.5.1.4.1.1.481.5":    {"RTPLAN"},
	"1.2.840.10008.5.1.4.1.1.88.59":    {"KO"},
	"1.2.840.10008.5.1.4.1.1.88.67":    {"SR"},
	"1.2.840.10008.5.1.4.1.1.66.4":     {"SEG"},
	"1.2.840.10008.5.1.4.1.1.77.1.6":   {"SM"},
	"1.2.840.10008.5.1.4.1.1.77.1.5.1": {"OP"},
	"1.2.840.10008.5.1.4.1.1.77.1.5.4": {"OPT"},
}
