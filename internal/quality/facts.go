package quality

import "time"

// Instance is what the header of a data set says, texts decoded to UTF-8. What is empty
// is missing in the data set, unless it is said otherwise.
type Instance struct {
	PatientName string // PN: Family^Given^..., groups behind "="
	Patient     Patient
	OtherIDs    []Patient // (0010,1002)
	BirthDate   string    // DA as sent
	Sex         string    // CS as sent

	Accession       string
	AccessionIssuer string

	Study, Series, SOPInstance, SOPClass string
	TransferSyntax                       string
	Content                              string // names the bytes; "": it is not compared

	StudyDate, StudyTime, Timezone string // DA, TM, &ZZXX as sent
	Modality                       string
	StudyDescription               string

	Pixels Pixels

	Institution     string
	InstitutionCode string // code value of (0008,0082)
	Station         string

	CharacterSet []string // each value of (0008,0005), as sent
	DecodeFailed bool     // some text had bytes that the set does not have

	Unreadable bool // the header could not be read: nothing else here is judged but Cut, Pixels, SOPInstance
	Cut        bool // the data set ends inside an element
	Mismatch   bool // SOP class or instance of data set and command differ
	BadUID     bool // a UID of the command or the association is not legal
}

// Patient is a number and who gave it.
type Patient struct{ ID, Issuer string }

// Pixels is what the data set says about its image. A number that is 0 is not known.
type Pixels struct {
	Rows, Columns, Samples, Bits int64  // (0028,0010), (0028,0011), (0028,0002), (0028,0100)
	Frames                       int64  // (0028,0008); 0: one
	Photometric                  string // (0028,0004)

	Data      PixelData
	Bytes     int64 // Native: length of the value
	Fragments int64 // Encapsulated: items behind the offset table
	End       EndMark
}

// PixelData says what stands in (7FE0,0010), or (7FE0,0008), (7FE0,0009).
type PixelData uint8

const (
	PixelsNotLooked PixelData = iota
	PixelsAbsent              // the data set was read to its end
	PixelsNative
	PixelsEncapsulated
)

// EndMark says whether a compressed image ends with FFD9: EOI of JPEG and JPEG-LS, EOC
// of JPEG 2000. Zero bytes may stand behind it (PS3.5 §A.4).
type EndMark uint8

const (
	EndNotLooked EndMark = iota
	EndThere
	EndMissing
)

// Study is what the instances of one say together. Lists have each value once.
type Study struct {
	Patients   []Patient
	Names      []string // PN
	BirthDates []string // DA
	Accessions []string

	Instances int64
	Expected  int64 // by a completed MPPS; 0: none told
	Settled   bool  // none came for the quiet time of the device: before that, nothing is missing
}

// Context is what the appliance knows beside the data set. What is empty is not known.
type Context struct {
	Received time.Time // in the facility's zone
	Backfill bool      // old studies are sent on purpose: they may be of any date, and nothing of them is held

	KnownContent     string  // names the bytes that came before under this SOP Instance UID; "" too where those were not whole: then this is the mended one
	StudyPatient     Patient // whom an earlier instance of this study has
	AccessionPatient Patient // whom another study with this accession number has

	Device   Device
	Facility Facility
}

// Device is what is known about the sender.
type Device struct {
	AETitle    string
	Unknown    bool     // not enrolled
	Modalities []string // enrolled
	Stations   []string // station names that it has

	Drift        time.Duration // its clock less ours: the median of its studies, since one proves nothing
	DriftStudies int           // how many those are
	Usual        int64         // instances of a study: the median
	UsualStudies int           // how many those are
}

// Facility is the one that is enrolled; each name by which it goes, the first is shown.
type Facility struct{ Names, Codes []string }
