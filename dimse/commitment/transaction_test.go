package commitment

import (
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	"edged/dimse"
)

func large(n int) Transaction {
	r := rand.New(rand.NewPCG(1, 2))
	t := Transaction{Calling: "CT1", Called: "EDGED", UID: "2.25.100", Spent: time.Hour}
	for range n {
		uid := "1.2.840.113619.2.55.3." + strconv.FormatUint(r.Uint64(), 10) + "." + strconv.FormatUint(r.Uint64(), 10)
		t.References = append(t.References, dimse.Reference{SOPClassUID: ct, SOPInstanceUID: uid})
	}
	return t
}

// A request of 10,000 instances is kept in less than 256 KiB and comes back whole.
func TestTransactionIsSmall(t *testing.T) {
	want := large(10_000)
	packed := want.Append(nil)
	if len(packed) > 256<<10 {
		t.Errorf("%d bytes", len(packed))
	}
	t.Logf("10,000 references: %d bytes", len(packed))
	if got, err := Parse(packed); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("came back altered: %v", err)
	}
}

// Pauses double between their bounds, whatever the chance.
func TestPause(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 30 * time.Second, 2: time.Minute, 5: 8 * time.Minute, 9: time.Hour, 1000: time.Hour} {
		for _, random := range []float64{0, 0.5, 0.999} {
			if got := pause(n, 30*time.Second, time.Hour, random); got < want*8/10 || got > want*12/10 {
				t.Errorf("after %d failures, %v: %v, want about %v", n, random, got, want)
			}
		}
	}
}

// Committed and failed partition a request, however the verdicts are mixed, and a
// judge that says too little has said wait.
func TestDecidePartitions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	all := []Verdict{Committed, Wait, Failed(dimse.FailureNoSuchInstance), Failed(dimse.FailureClassConflict)}
	for range 1000 {
		tr := large(1 + r.IntN(8))
		var verdicts []Verdict
		for range r.IntN(len(tr.References) + 1) {
			verdicts = append(verdicts, all[r.IntN(len(all))])
		}
		if _, decided := decide(&tr, verdicts, 0, 1, time.Hour); decided && len(verdicts) < len(tr.References) {
			t.Fatalf("decided by %d verdicts on %d", len(verdicts), len(tr.References))
		}
		result, decided := decide(&tr, verdicts, time.Hour, 1, time.Hour)
		seen := map[dimse.Reference]int{}
		for _, x := range result.Committed {
			seen[x]++
		}
		for _, x := range result.Failed {
			seen[x.Reference]++
		}
		if !decided || len(seen) != len(tr.References) || len(result.Committed)+len(result.Failed) != len(tr.References) {
			t.Fatalf("%v of %+v is %+v", verdicts, tr, result)
		}
	}
}

// FuzzParse: whatever a store gives back is refused or is a transaction that can
// be kept again; nothing is allocated by what it declares.
func FuzzParse(f *testing.F) {
	t := large(3)
	f.Add(t.Append(nil))
	f.Add([]byte{version1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(got.Append(nil)); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%+v became %+v, %v", got, again, err)
		}
	})
}
