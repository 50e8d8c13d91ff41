package spool

import "testing"

// P6: the end of one session gives back what it had, at once and in its old place,
// and nothing that another session is sending.
func TestReturnAllGivesBackOnlyItsOwners(t *testing.T) {
	s := open(t, memConfig(newMemFS()))
	owner := []string{"a", "b", "a", "b", "b", "a"}
	var all []Object
	for n := range owner {
		o, _ := put(t, s, routineSample(n), sample(n, 100))
		all = append(all, o)
	}
	for n, who := range owner {
		if o, ok, err := s.TryLease(who); !ok || err != nil || o.ID != all[n].ID {
			t.Fatalf("lease %d: object %d, %v, %v", n, o.Seq, ok, err)
		}
	}
	s.ReturnAll("a")
	s.ReturnAll("nobody")
	for n, who := range owner {
		o, err := s.Object(all[n].ID)
		want, state := who, Sending
		if who == "a" {
			want, state = "", Received
		}
		if err != nil || o.Owner != want || o.State != state {
			t.Errorf("object %d of %q: %v, owner %q, %v", n, who, o.State, o.Owner, err)
		}
	}
	for _, n := range []int{0, 2, 5} {
		if o, ok, err := s.TryLease("c"); !ok || err != nil || o.ID != all[n].ID {
			t.Fatalf("after the return object %d is leased (%v, %v); want %d", o.Seq, ok, err, all[n].Seq)
		}
	}
	if o, ok, _ := s.TryLease("c"); ok {
		t.Fatalf("object %d was leased to two at once", o.Seq)
	}
}
