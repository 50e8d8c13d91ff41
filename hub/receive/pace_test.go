package receive

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"edged/hub/objects"
	"edged/internal/dicom"
	"edged/uplink/wire"
)

const tested = 1 << 20 // bytes a second

// indebted is an appliance that has sent 100 MiB of urgent objects at once.
func indebted(t *testing.T) *appliance {
	a := &appliance{id: "a", rate: rate.NewLimiter(tested, tested)}
	for range 100 << 20 / pieceSize {
		a.pace(t.Context(), pieceSize, true)
	}
	return a
}

// P6: what was urgent is paid for, but not by standing still for as long as it all took.
func TestWhatWasUrgentHoldsTheOthersUpForSecondsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := indebted(t)
		began := time.Now()
		a.pace(t.Context(), pieceSize, false)
		if took := time.Since(began); took < (debt-1)*time.Second || took > (debt+1)*time.Second {
			t.Errorf("it waited for %s", took)
		}
	})
}

// What came over a connection is written also when that has ended, and its rate is not
// waited for: neither a session that has ended nor a hub that stops stands still for it.
func TestARateHoldsNoConnectionThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := objects.Open(objects.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		names := dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "2.25.1"}
		claim, err := store.Claim("a", dicom.ID{1}, names, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		n := &session{appliance: indebted(t), device: "a", server: &Server{writing: newTurns(1)}, offers: map[uint64]*offer{}, round: &sync.WaitGroup{}}
		n.offers[1] = &offer{Object: wire.Object{Number: 1, Length: 1 << 20, Priority: wire.Routine}, claim: claim}
		ctx, end := context.WithCancelCause(t.Context())
		puts := newPieces()
		if err := puts.push(ctx, piece{number: 1, length: 1 << 20, got: 1024, body: make([]byte, 1024)}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { end(errBye) })
		if err := n.takePuts(ctx, puts); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it ended after a second and waited for %s", took)
		}
		claim.Release()
		if claim, err = store.Claim("a", dicom.ID{1}, names, 1<<20); err != nil || claim.Offset() != 1024 {
			t.Errorf("of 1024 bytes %d are here: %v", claim.Offset(), err)
		}
	})
}
