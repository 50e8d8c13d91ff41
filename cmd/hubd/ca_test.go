package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A hub whose CA is not that of its rows would be believed by no appliance, and would
// enrol appliances that no other node believes: it does not start, says why, and makes
// no CA of its own beside the one that is missing.
func TestAnotherCAThanTheLedgersIsRefused(t *testing.T) {
	s := newSite(t)
	s.do("code", "new", "--facility", "A") // the CA is there and noted
	first, own := filepath.Join(s.dir, "data", "ca"), filepath.Join(s.dir, "own")

	s.more = "ca_dir: " + own + "\n"
	s.configure()
	s.refuses("there is no ca.pem in " + own)
	if _, err := os.Stat(filepath.Join(own, "ca.pem")); err == nil {
		t.Error("a CA was made that no appliance knows")
	}

	other := newSite(t)
	other.do("code", "new", "--facility", "A")
	s.more = "ca_dir: " + filepath.Join(other.dir, "data", "ca") + "\n"
	s.configure()
	s.refuses("is not the one of this hub's ledger")

	copied, err := os.ReadFile(filepath.Join(first, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "ca.pem"), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	s.more = "ca_dir: " + own + "\n"
	s.configure()
	s.start().kill()
	s.do("code", "new", "--facility", "A")
}

// refuses demands that neither the hub nor the maker of claim codes starts.
func (s *site) refuses(words string) {
	s.Helper()
	for _, args := range [][]string{{"run"}, {"code", "new", "--facility", "A"}} {
		out, err := s.command(args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), words) {
			s.Errorf("hubd %v: %v: %s, want %q", args, err, out, words)
		}
	}
}
