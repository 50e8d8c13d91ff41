package events

import "edged/internal/dicom"

// attribute is one of those that are told.
type attribute struct {
	keyword string
	vr      string
	items   attributes
}

type attributes map[uint32]attribute

// issuer is the HL7v2 Hierarchic Designator Macro (PS3.3 §10.14).
var issuer = attributes{
	0x00400031: {"LocalNamespaceEntityID", "UT", nil},
	0x00400032: {"UniversalEntityID", "UT", nil},
	0x00400033: {"UniversalEntityIDType", "CS", nil},
}

// qualifiers are of Issuer of Patient ID (PS3.3 §10.14.1).
var qualifiers = attributes{
	0x00400032: {"UniversalEntityID", "UT", nil},
	0x00400033: {"UniversalEntityIDType", "CS", nil},
	0x00400035: {"IdentifierTypeCode", "CS", nil},
	0x00400036: {"AssigningFacilitySequence", "SQ", issuer},
	0x00400039: {"AssigningJurisdictionSequence", "SQ", code},
	0x0040003A: {"AssigningAgencyOrDepartmentSequence", "SQ", code},
}

var code = attributes{
	0x00080100: {"CodeValue", "SH", nil},
	0x00080102: {"CodingSchemeDesignator", "SH", nil},
	0x00080103: {"CodingSchemeVersion", "SH", nil},
	0x00080104: {"CodeMeaning", "LO", nil},
	0x00080119: {"LongCodeValue", "UC", nil},
	0x00080120: {"URNCodeValue", "UR", nil},
}

// wholeTags are of patient, study and request: the Patient Module and General Study
// Module (PS3.3 §C.7.1.1, §C.7.2.1) as far as a Key Object Selection and MADO have them,
// and what goes into its Referenced Request Sequence (§C.17.6.2.1).
var wholeTags = attributes{
	0x00080005: {"SpecificCharacterSet", "CS", nil},
	0x00080020: {"StudyDate", "DA", nil},
	0x00080030: {"StudyTime", "TM", nil},
	0x00080050: {"AccessionNumber", "SH", nil},
	0x00080051: {"IssuerOfAccessionNumberSequence", "SQ", issuer},
	0x00080090: {"ReferringPhysicianName", "PN", nil},
	0x00080201: {"TimezoneOffsetFromUTC", "SH", nil},
	0x00081030: {"StudyDescription", "LO", nil},
	0x00081032: {"ProcedureCodeSequence", "SQ", code},
	0x00100010: {"PatientName", "PN", nil},
	0x00100020: {"PatientID", "LO", nil},
	0x00100021: {"IssuerOfPatientID", "LO", nil},
	0x00100022: {"TypeOfPatientID", "CS", nil},
	0x00100024: {"IssuerOfPatientIDQualifiersSequence", "SQ", qualifiers},
	0x00100030: {"PatientBirthDate", "DA", nil},
	0x00100040: {"PatientSex", "CS", nil},
	0x00101002: {"OtherPatientIDsSequence", "SQ", attributes{
		0x00100020: {"PatientID", "LO", nil},
		0x00100021: {"IssuerOfPatientID", "LO", nil},
		0x00100022: {"TypeOfPatientID", "CS", nil},
		0x00100024: {"IssuerOfPatientIDQualifiersSequence", "SQ", qualifiers},
	}},
	0x0020000D: {"StudyInstanceUID", "UI", nil},
	0x00200010: {"StudyID", "SH", nil},
	0x00321060: {"RequestedProcedureDescription", "LO", nil},
	0x00321064: {"RequestedProcedureCodeSequence", "SQ", code},
	0x00402016: {"PlacerOrderNumberImagingServiceRequest", "LO", nil},
	0x00402017: {"FillerOrderNumberImagingServiceRequest", "LO", nil},
	0x00400275: {"RequestAttributesSequence", "SQ", attributes{
		0x00080050: {"AccessionNumber", "SH", nil},
		0x00080051: {"IssuerOfAccessionNumberSequence", "SQ", issuer},
		0x0020000D: {"StudyInstanceUID", "UI", nil},
		0x00321060: {"RequestedProcedureDescription", "LO", nil},
		0x00321064: {"RequestedProcedureCodeSequence", "SQ", code},
		0x00400007: {"ScheduledProcedureStepDescription", "LO", nil},
		0x00400009: {"ScheduledProcedureStepID", "SH", nil},
		0x00401001: {"RequestedProcedureID", "SH", nil},
		0x00402016: {"PlacerOrderNumberImagingServiceRequest", "LO", nil},
		0x00402017: {"FillerOrderNumberImagingServiceRequest", "LO", nil},
	}},
}

// partTags are of the series and its equipment, for MADO's image library (PS3.16
// TID 1600) and its envelope. Character sets may differ between series.
var partTags = attributes{
	0x00080005: {"SpecificCharacterSet", "CS", nil},
	0x00080021: {"SeriesDate", "DA", nil},
	0x00080031: {"SeriesTime", "TM", nil},
	0x00080060: {"Modality", "CS", nil},
	0x00080070: {"Manufacturer", "LO", nil},
	0x00080080: {"InstitutionName", "LO", nil},
	0x0008103E: {"SeriesDescription", "LO", nil},
	0x00180015: {"BodyPartExamined", "CS", nil},
	0x0020000E: {"SeriesInstanceUID", "UI", nil},
	0x00200011: {"SeriesNumber", "IS", nil},
	0x00200060: {"Laterality", "CS", nil},
}

// The elements of an instance, of which only text is told.
const (
	tagSeries   = 0x0020000E
	tagCharsets = 0x00080005
	tagNumber   = 0x00200013
	tagFrames   = 0x00280008
	tagRows     = 0x00280010
	tagColumns  = 0x00280011
)

var ownTags = attributes{
	tagNumber:  {"InstanceNumber", "IS", nil},
	tagFrames:  {"NumberOfFrames", "IS", nil},
	tagRows:    {"Rows", "US", nil},
	tagColumns: {"Columns", "US", nil},
}

// wanted is all of them, for the reader of headers.
var wanted = func() dicom.Wanted {
	all := dicom.Wanted{}
	for _, list := range []attributes{wholeTags, partTags, ownTags} {
		for tag, w := range list.wanted() {
			all[tag] = w
		}
	}
	return all
}()

// ofCharsets may stand in each item, and is about its texts (PS3.3 §C.12.1.1.2).
var ofCharsets = attribute{"SpecificCharacterSet", "CS", nil}

// of is the attribute of a tag in an item.
func (a attributes) of(tag uint32) attribute {
	if tag == tagCharsets {
		return ofCharsets
	}
	return a[tag]
}

func (a attributes) wanted() dicom.Wanted {
	if a == nil {
		return nil
	}
	w := dicom.Wanted{tagCharsets: dicom.Want{VR: ofCharsets.vr}}
	for tag, at := range a {
		w[tag] = dicom.Want{VR: at.vr, Items: at.items.wanted()}
	}
	return w
}
