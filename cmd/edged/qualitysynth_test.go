package main

import (
	"testing"

	"edged/hub"
	"edged/internal/synth"
)

// Nothing of what the simulated modalities send is held: those are whole.
func TestWholeObjectsAreNotHeld(t *testing.T) {
	k := newClinic(t, nil)
	for _, p := range []synth.Profile{synth.Bench(2, 200<<10), synth.Small} {
		for _, o := range synthetic(t, 3, p) {
			if stored, m := k.store("CT1", o.names, o.data); stored.Flags&hub.FlagHold != 0 {
				t.Errorf("%s %s: %v", p.Kind, o.names.SOPClass, found(stored, m))
			}
		}
	}
}
