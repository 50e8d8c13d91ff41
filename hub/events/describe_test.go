package events

import (
	"encoding/json"
	"strings"
	"testing"

	"edged/hub/ledger"
	"edged/internal/dicom"
)

// described is what a data set in Explicit VR Little Endian says.
func described(t *testing.T, set string) (d ledger.Description, whole map[string]value) {
	t.Helper()
	d, err := description(1, strings.NewReader(set), dicom.ExplicitVRLittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	if d.Whole != "" {
		if err := json.Unmarshal([]byte(d.Whole), &whole); err != nil {
			t.Fatal(err)
		}
	}
	return d, whole
}

// withReferences is a data set with so many bytes of references before group 0010, as a
// presentation state, an enhanced object or a report has them.
func withReferences(bytes int) string {
	one := item(el(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.2") + el(0x00081155, "UI", "1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345"))
	return el(0x00080005, "CS", "ISO_IR 100") + el(0x00080060, "CS", "PR") + el(0x00081140, "SQ", strings.Repeat(one, bytes/len(one)+1)) +
		el(0x00100010, "PN", "Rossi^Mario") + el(0x00100020, "LO", "ID7") + el(0x0020000D, "UI", "1.2.3") + el(0x7FE00010, "OW", "pixels")
}

// A patient behind long sequences is told; where the data set ends before, or a value
// cannot be told, that is a problem: no instance is anonymous in silence.
func TestAPatientBehindALongSequenceIsTold(t *testing.T) {
	for _, n := range []int{0, dicom.HeaderWindow, 3 << 20} {
		d, whole := described(t, withReferences(n))
		if id := whole["PatientID"].Text; id == nil || *id != "ID7" || d.Problem != "" {
			t.Errorf("behind %d bytes: %+v", n, d)
		}
	}
	if d, _ := described(t, withReferences(dicom.HeaderWindow)[:dicom.HeaderWindow]); d.Problem != problemPart {
		t.Errorf("a copy that ends before: %+v", d)
	}
	for name, set := range map[string]string{
		"a long value":   el(0x00080060, "CS", "CT") + el(0x00100020, "LO", strings.Repeat("7", 1026)),
		"too many items": el(0x00080060, "CS", "CT") + el(0x00101002, "SQ", strings.Repeat(item(el(0x00100020, "LO", "ID7")), 65)),
	} {
		if d, _ := described(t, set+el(0x7FE00010, "OW", "pixels")); d.Problem != problemPart {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Who the patient is goes before all that is said of requests, and what is left out is
// named; the bound holds whatever a peer writes (P9).
func TestALongHeaderHidesNoPatient(t *testing.T) {
	request := el(0x00080050, "SH", "ACC20261122") + el(0x00321060, "LO", "TC TORACE CON MEZZO DI CONTRASTO, ADDOME COMPLETO") + el(0x00400007, "LO", "TC TORACE ADDOME") +
		el(0x00400009, "SH", "SPS00012345") + el(0x00401001, "SH", "RP00012345") + el(0x00402016, "LO", "PLACER00012345")
	long := strings.Repeat("\x01", 1024)
	for name, c := range map[string]struct {
		study, identifiers, rest string
		id, left                 string
	}{
		"requests": {el(0x00081030, "LO", "TC"), el(0x00100020, "LO", "ID7"), el(0x00400275, "SQ", strings.Repeat(item(request), 60)), "ID7", "RequestAttributesSequence"},
		"other patient IDs": {el(0x00081030, "LO", "TC"), el(0x00100020, "LO", "ID7") + el(0x00101002, "SQ", strings.Repeat(item(el(0x00100020, "LO", strings.Repeat("7", 300))), 60)), "",
			"ID7", "StudyDescription, OtherPatientIDsSequence"},
		"everything": {el(0x00080050, "SH", long) + el(0x00081030, "LO", long), el(0x00100010, "PN", long) + el(0x00100020, "LO", long) + el(0x00100021, "LO", long) + el(0x00100030, "DA", long) + el(0x00100040, "CS", long),
			el(0x00400275, "SQ", strings.Repeat(item(request), 60)), long,
			"RequestAttributesSequence, StudyDescription, text of IssuerOfPatientID, text of PatientBirthDate, text of AccessionNumber, text of PatientName, text of PatientSex"},
	} {
		d, whole := described(t, el(0x00080005, "CS", "ISO_IR 100")+c.study+c.identifiers+el(0x0020000D, "UI", "1.2.3")+c.rest+el(0x7FE00010, "OW", "pixels"))
		id := whole["PatientID"]
		if id.Text == nil && string(id.Raw) != c.id || id.Text != nil && *id.Text != c.id {
			t.Errorf("%s: the patient is %+v", name, id)
		}
		if left := strings.TrimPrefix(d.Problem, problemLong); left != c.left || len(d.Part)+len(d.Whole) > maxTextsOfOne {
			t.Errorf("%s: without %q, want %q, %d bytes", name, left, c.left, len(d.Part)+len(d.Whole))
		}
	}
}

// An item may have a character set of its own; it and what is nested in it is read in
// that, and what is around it in the data set's.
func TestAnItemIsReadInItsOwnCharacterSet(t *testing.T) {
	code := item(el(0x00080104, "LO", "Caff\xc3\xa8"))
	d, whole := described(t, el(0x00080005, "CS", "ISO_IR 100")+el(0x00100010, "PN", "Niccol\xf2")+
		el(0x00400275, "SQ", item(el(0x00080005, "CS", "ISO_IR 192")+el(0x00321060, "LO", "Caff\xc3\xa8")+el(0x00321064, "SQ", code))+item(el(0x00321060, "LO", "Caff\xe8")))+
		el(0x7FE00010, "OW", "pixels"))
	items := whole["RequestAttributesSequence"].Items
	if d.Problem != "" || len(items) != 2 || *whole["PatientName"].Text != "Niccolò" {
		t.Fatalf("%+v", d)
	}
	for i, name := range []string{"of its own", "of the data set"} {
		if text := items[i]["RequestedProcedureDescription"].Text; text == nil || *text != "Caffè" {
			t.Errorf("the character set %s: %+v", name, items[i])
		}
	}
	if nested := items[0]["RequestedProcedureCodeSequence"].Items; len(nested) != 1 || *nested[0]["CodeMeaning"].Text != "Caffè" {
		t.Errorf("nested: %+v", nested)
	}
	if _, told := items[1]["SpecificCharacterSet"]; told || *items[0]["SpecificCharacterSet"].Text != "ISO_IR 192" {
		t.Errorf("whose it is: %+v", items)
	}
}
