package spool

import (
	"context"
	"reflect"
	"testing"
)

// What of a group is still to be sent and what the hub has is summed up at every
// step of an object, and again by a start.
func TestAGroupKnowsHowManyBytesAreThere(t *testing.T) {
	ctx := context.Background()
	cfg := memConfig(newMemFS())
	s := open(t, cfg)
	a, _ := put(t, s, routineSample(0), sample(0, 1000))
	b, _ := put(t, s, routineSample(1), sample(1, 200))
	c, _ := put(t, s, routineSample(2), sample(2, 30))
	want := func(what string, waiting, there int64) {
		t.Helper()
		if g := s.Groups(1)[0]; g.Waiting != waiting || g.There != there {
			t.Fatalf("%s: %d bytes wait and %d are there, want %d and %d", what, g.Waiting, g.There, waiting, there)
		} else if named, ok := s.Group(g.Name); !ok || !reflect.DeepEqual(named, g) {
			t.Fatalf("%s: by its name it is %+v, want %+v", what, named, g)
		}
		groups := int64(0)
		if waiting > 0 {
			groups = 1
		}
		if n := s.Stats().BacklogGroups; n != groups {
			t.Fatalf("%s: %d groups wait, want %d", what, n, groups)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("received", 1230, 0)
	leaseNow(t, s)
	want("leased", 1230, 0)
	must(s.AtHub(ctx, receipt(a)))
	want("at the hub", 230, 1000)
	must(s.Hold(ctx, a.ID))
	want("held", 230, 1000)
	must(s.Quarantine(ctx, b.ID, "somebody should look"))
	want("set aside", 30, 1000)
	s.Close()
	s = open(t, cfg)
	want("after a start", 30, 1000)
	must(s.Reoffer(ctx))
	want("offered again", 1030, 0)
	must(s.AtHub(ctx, append(receipt(a), receipt(c)...)))
	must(s.archivedOutright(ctx, receipt(c)))
	want("archived", 0, 1030)
}
