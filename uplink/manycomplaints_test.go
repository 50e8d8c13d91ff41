package uplink

import (
	"encoding/binary"
	"testing"

	"edged/internal/dicom"
)

// TestThousandsThatAreRefusedRestAsLong: more than can be remembered are not tried as if
// it were the first time, again and again.
func TestThousandsThatAreRefusedRestAsLong(t *testing.T) {
	u := &Uplink{c: Config{Hubs: []string{"hub"}}, refusals: newComplaints()}
	id := func(i int) (id dicom.ID) {
		binary.BigEndian.PutUint64(id[:], uint64(i))
		return id
	}
	for round := range 12 {
		for i := range 3 * maxComplaints {
			why, doubt := u.refused("hub", id(i))
			if doubt != nil {
				t.Fatalf("the only node is left: %v", doubt)
			}
			if round == 11 && why.Rest < longestRest {
				t.Fatalf("object %d rests %s the twelfth time", i, why.Rest)
			}
		}
	}
	if n := len(u.refusals.times); n > maxComplaints {
		t.Errorf("%d are remembered", n)
	}
}
