package query

import "edged/dimse/dataset"

// Root is an information model (PS3.4 §C.3).
type Root uint8

const (
	StudyRoot   Root = iota // patient attributes are those of the study (PS3.4 §C.6.2.1)
	PatientRoot             // PS3.4 §C.6.1.1
)

// Level is a level of the hierarchy.
type Level uint8

const (
	Patient Level = iota
	Study
	Series
	Image
)

var levels = []string{"PATIENT", "STUDY", "SERIES", "IMAGE"}

// String is the value of Query/Retrieve Level (PS3.4 Table C.6.1-1).
func (l Level) String() string { return levels[l] }

// Unique is the unique key of the level (PS3.4 Tables C.6-1 to C.6-5).
func (l Level) Unique() dataset.Tag { return uniques[l] }

var uniques = []dataset.Tag{PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID}

// Attributes that this package and who uses it know by name.
const (
	CharacterSet        dataset.Tag = 0x00080005
	SOPClassUID         dataset.Tag = 0x00080016
	SOPInstanceUID      dataset.Tag = 0x00080018
	QueryRetrieveLevel  dataset.Tag = 0x00080052
	RetrieveView        dataset.Tag = 0x00080053
	RetrieveAETitle     dataset.Tag = 0x00080054
	Availability        dataset.Tag = 0x00080056
	Modality            dataset.Tag = 0x00080060
	ModalitiesInStudy   dataset.Tag = 0x00080061
	SOPClassesInStudy   dataset.Tag = 0x00080062
	TimezoneOffset      dataset.Tag = 0x00080201
	AvailableSyntax     dataset.Tag = 0x00083002
	PatientName         dataset.Tag = 0x00100010
	PatientID           dataset.Tag = 0x00100020
	StudyDate           dataset.Tag = 0x00080020
	StudyInstanceUID    dataset.Tag = 0x0020000D
	SeriesInstanceUID   dataset.Tag = 0x0020000E
	StudiesOfPatient    dataset.Tag = 0x00201200
	SeriesOfPatient     dataset.Tag = 0x00201202
	InstancesOfPatient  dataset.Tag = 0x00201204
	SeriesOfStudy       dataset.Tag = 0x00201206
	InstancesOfStudy    dataset.Tag = 0x00201208
	InstancesOfSeries   dataset.Tag = 0x00201209
	InstanceNumber      dataset.Tag = 0x00200013
	maxRequestKeyValues             = 10_000 // values of one key that are looked at
)

// attributes are the keys that are supported, for existence and for matching, by
// the level that they belong to (PS3.4 Tables C.6-1, C.6-2, C.6-3, C.6-4).
var attributes = [...][]dataset.Tag{
	Patient: {
		PatientName, PatientID,
		0x00100021, // Issuer of Patient ID
		0x00100030, // Patient's Birth Date
		0x00100032, // Patient's Birth Time
		0x00100040, // Patient's Sex
		0x00101000, // Other Patient IDs
		0x00101001, // Other Patient Names
		0x00102160, // Ethnic Group
		0x00104000, // Patient Comments
		StudiesOfPatient, SeriesOfPatient, InstancesOfPatient,
	},
	Study: {
		StudyDate, StudyInstanceUID,
		0x00080030, // Study Time
		0x00080050, // Accession Number
		ModalitiesInStudy, SOPClassesInStudy,
		0x00080090, // Referring Physician's Name
		0x00081030, // Study Description
		0x00081032, // Procedure Code Sequence
		0x00081060, // Name of Physician(s) Reading Study
		0x00081080, // Admitting Diagnoses Description
		0x00101010, // Patient's Age
		0x00101020, // Patient's Size
		0x00101030, // Patient's Weight
		0x00102180, // Occupation
		0x001021B0, // Additional Patient History
		0x00200010, // Study ID
		SeriesOfStudy, InstancesOfStudy,
	},
	Series: {
		Modality, SeriesInstanceUID,
		0x00080021, // Series Date
		0x00080031, // Series Time
		0x00080070, // Manufacturer
		0x00080080, // Institution Name
		0x00081010, // Station Name
		0x0008103E, // Series Description
		0x00081040, // Institutional Department Name
		0x00081050, // Performing Physician's Name
		0x00081070, // Operators' Name
		0x00081090, // Manufacturer's Model Name
		0x00180015, // Body Part Examined
		0x00181030, // Protocol Name
		0x00185100, // Patient Position
		0x00200011, // Series Number
		0x00200060, // Laterality
		InstancesOfSeries,
		0x00400244, // Performed Procedure Step Start Date
		0x00400245, // Performed Procedure Step Start Time
		0x00400275, // Request Attributes Sequence
	},
	Image: {
		SOPClassUID, SOPInstanceUID,
		0x00080008, // Image Type
		0x00080012, // Instance Creation Date
		0x00080013, // Instance Creation Time
		0x00080022, // Acquisition Date
		0x00080023, // Content Date
		0x0008002A, // Acquisition DateTime
		0x00080032, // Acquisition Time
		0x00080033, // Content Time
		AvailableSyntax,
		0x00200012, // Acquisition Number
		InstanceNumber,
		0x00280008, // Number of Frames
		0x00280010, // Rows
		0x00280011, // Columns
		0x00280100, // Bits Allocated
		0x0040A043, // Concept Name Code Sequence
		0x0040A491, // Completion Flag
		0x0040A493, // Verification Flag
	},
}

// Attributes lists the keys that belong to a level.
func Attributes(l Level) []dataset.Tag { return attributes[l] }

var levelOf = func() map[dataset.Tag]Level {
	m := make(map[dataset.Tag]Level)
	for l, tags := range attributes {
		for _, t := range tags {
			m[t] = Level(l)
		}
	}
	return m
}()

// Supported says whether a key can be asked for at a level: its own attributes
// and those of the levels above, which many SCUs ask for and none minds.
func Supported(t dataset.Tag, at Level) bool {
	l, ok := levelOf[t]
	return ok && l <= at
}
