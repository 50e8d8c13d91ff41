package dimse

import (
	"strings"
	"testing"
)

// What the standard calls a storage class is stored, and nothing else of it is:
// the table of the standard against the list of what is not stored.
func TestEveryClassOfTheStandardIsJudged(t *testing.T) {
	named := map[string]bool{ // whose name misleads
		"1.2.840.10008.1.3.10": false, // Media Storage Directory Storage: files on media only
	}
	classes := SOPClasses()
	if len(classes) < 300 {
		t.Fatalf("%d classes in the table", len(classes))
	}
	for _, c := range classes {
		want := strings.HasSuffix(strings.TrimSuffix(c.Name, " - Trial"), "Storage") || strings.Contains(c.Name, "Storage - For")
		if v, ok := named[c.UID]; ok {
			want = v
		}
		if got := IsStorage(c.UID); got != want {
			t.Errorf("%s %s: IsStorage is %v", c.UID, c.Name, got)
		}
	}
}

func TestNamesAreTheStandards(t *testing.T) {
	for uid, want := range map[string]string{
		"1.2.840.10008.5.1.4.1.1.2": "CT Image Storage", ExplicitVRLE: "Explicit VR Little Endian", Verification: "Verification",
		StudyRootFind: "Study Root Query/Retrieve Information Model - FIND", "1.2.3": "",
	} {
		if got := Name(uid); got != want {
			t.Errorf("%s: got %q, want %q", uid, got, want)
		}
	}
	for _, ts := range TransferSyntaxes() {
		if IsStorage(ts.UID) && strings.HasPrefix(ts.UID, "1.2.840.10008.1.2") == false && ts.UID != "1.2.840.10008.1.20" {
			t.Errorf("%s: not below the root of transfer syntaxes", ts.UID)
		}
	}
}
