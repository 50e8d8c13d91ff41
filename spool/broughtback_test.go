package spool

import (
	"context"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// P1, P8: a start brings a whole file back from quarantine, and the fsync of its
// folder fails. The next start does not believe a second one: the copy in quarantine
// goes only when the name has been made anew, so a power cut then takes nothing.
func TestBroughtBackBehindAFailedSyncIsNotBelieved(t *testing.T) {
	for _, clean := range []bool{true, false} {
		body := sample(1, 3000)
		fs := setAsideByAReadError(t, clean, body)
		failed := false
		fs.fault = func(kind, name string) error {
			if kind == "syncdir" && strings.HasPrefix(name, objectsDir+"/") && !failed {
				failed = true
				return syscall.EIO
			}
			return nil
		}
		if _, err := Open(context.Background(), memConfig(fs)); err == nil || !failed {
			t.Fatalf("clean %v: it opened (%v), or nothing was brought back", clean, err)
		}
		fs = fs.kill()
		s, err := Open(context.Background(), memConfig(fs))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, memConfig(fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))))
		if o, err := s.Object(idOf(testSeed, body)); err != nil || o.Damaged || o.Lost {
			t.Errorf("clean %v: after the power cut %+v, %v", clean, o, err)
		}
	}
}
