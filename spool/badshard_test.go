package spool

import "testing"

// P6: whichever directory cannot be read, of an odd number or an even one, nothing
// new is put there: the numbers go on behind it.
func TestNothingIsPutIntoAnyBadDirectory(t *testing.T) {
	for bad := range uint64(4) {
		fs := newMemFS()
		dir := shardName(bad << shardBits)
		s := open(t, memConfig(fs))
		put(t, s, newSample(1), sample(1, 100))
		if err := fs.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, memConfig(badDirFS{fs, dir}))
		if o, _ := put(t, s, newSample(2), sample(2, 100)); o.Seq>>shardBits <= bad {
			t.Errorf("directory %d is bad, and %d was put into directory %d", bad, o.Seq, o.Seq>>shardBits)
		}
		s.Close()
	}
}
