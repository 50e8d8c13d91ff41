package main

import (
	"fmt"
	"strings"
	"testing"
)

// A codice fiscale with omocodia is as good as any other: each of the chain is stored, and on
// the page of what is to be corrected none of them stands for its number; one that is wrong does.
func TestOmocodiaIsNothingToCorrect(t *testing.T) {
	k := newClinic(t, nil)
	chain := []string{"RSSMRA72H26F941L", "RSSMRA72H26F94MD", "RSSMRA72H26F9QMP", "RSSMRA72H26FVQME", "RSSMRA72H2SFVQMB", "RSSMRA72HNSFVQMM", "RSSMRA7NHNSFVQMX", "RSSMRATNHNSFVQMU"}
	for i, code := range append(chain, "RSSMRATNHNSFVQMA") {
		study := fmt.Sprintf("2.25.77%d", i)
		k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", study + ".1"}, 0x0020000D: {"UI", study}, 0x00080050: {"SH", fmt.Sprint("C", i)}, 0x00100020: {"LO", code}}))
	}
	fix := newFixDesk(t, k.desk(), k.door.judge.now())
	groups := fix.FixGroups().Groups
	if len(groups) != 1 || groups[0].Cause != "fiscal_code" || groups[0].Weeks.All() != 1 {
		t.Errorf("%+v", groups)
	}
	list, n := fix.FixStudies("fiscal_code", "CT1", 9)
	if n != 1 || len(list) != 1 || list[0].Card.Person.ID != "RSSMRATNHNSFVQMA" {
		t.Fatalf("%d, %+v", n, list)
	}
	if _, says := k.door.judge.sentence("it", list[0].Card.Findings[0]); !strings.Contains(says, "RSSMRATNHNSFVQMA") {
		t.Errorf("a technician reads %q", says)
	}
}
