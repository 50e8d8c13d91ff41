package main

import (
	"crypto/sha256"
	"testing"
)

// What an archive has and should not, has not and should, or has otherwise, is each seen.
func TestWhatIsWrongIsSeen(t *testing.T) {
	a, b := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	for name, c := range map[string]struct {
		has  holding
		want verdict
	}{
		"all":         {holding{"1": {a}}, verdict{}},
		"missing":     {holding{}, verdict{missing: 1}},
		"altered":     {holding{"1": {b}}, verdict{altered: 1}},
		"twice":       {holding{"1": {a, a}}, verdict{duplicates: 1}},
		"two of them": {holding{"1": {a, b}}, verdict{duplicates: 1}},
		"a stranger":  {holding{"1": {a}, "2": {b}}, verdict{strangers: 1}},
	} {
		s := &site{sent: newLedger()}
		s.sent.made["1"] = &instance{digest: a, acked: map[int]bool{0: true}}
		var got verdict
		s.compare(&got, s.sent.acked(), c.has, map[string]bool{})
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if err := (&verdict{acked: 3, archived: 3}).print(1); err != nil {
		t.Error(err)
	}
	for _, bad := range []verdict{{}, {acked: 3, archived: 2}, {acked: 3, archived: 3, strangers: 1}, {acked: 3, archived: 3, duplicates: 1}} {
		if bad.print(1) == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}
