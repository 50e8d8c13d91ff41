package spool

import (
	"testing"
	"time"
)

// When the hub had an object is told once, by the first receipt, and is still
// known after the archive has it, after compaction and after a restart.
func TestTimeAtHubIsKept(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true, Now: func() time.Time { return now }}
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 1000))
	first := now
	for range 2 { // the second receipt is later and changes nothing
		if err := s.AtHub(t.Context(), []Receipt{{ID: o.ID, Length: o.Length}}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	if err := s.archivedOutright(t.Context(), []Receipt{{ID: o.ID, Length: o.Length, At: now}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg) // begins a new segment: what is left is the snapshot
	got, err := s.Object(o.ID)
	if err != nil || !got.AtHubAt.Equal(first) || !got.ArchivedAt.Equal(now) {
		t.Errorf("at hub %v, archived %v, %v; want %v and %v", got.AtHubAt, got.ArchivedAt, err, first, now)
	}
}
