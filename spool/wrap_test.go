package spool

import "testing"

// P1, P4: whatever number the name of a file says, the next numbers are ones that
// every later start takes for objects, and nobody's before.
func TestNoNameMakesTheNumbersWrap(t *testing.T) {
	for _, name := range []string{"ffffffffffffffff", "0fffffffffffffff", "0ffffffffffffffe", "0800000000000000", "0000000000000000"} {
		fs := newMemFS()
		s := open(t, memConfig(fs))
		first, _ := put(t, s, newSample(1), sample(1, 5000))
		s.Close()
		f, err := fs.Create(quarantineDir + "/" + name + ".obj")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("junk")); err != nil {
			t.Fatal(err)
		}
		for start := range 3 {
			s = open(t, memConfig(fs))
			for n := range 2 {
				o, result := put(t, s, newSample(1), sample(10+2*start+n, 700))
				if result != Fresh || o.Seq <= first.Seq || o.Seq >= maxSeq/2 {
					t.Fatalf("%s: number %x, %v", name, o.Seq, result)
				}
			}
			s.Close()
		}
		s = open(t, memConfig(fs))
		wantContent(t, s, first.ID, sample(1, 5000))
		for n := range 6 {
			wantContent(t, s, idOf(testSeed, sample(10+n, 700)), sample(10+n, 700))
		}
		if got := s.Counters()[CountReceived]; got != 7 {
			t.Fatalf("%s: %d counted as received, want 7", name, got)
		}
	}
}
