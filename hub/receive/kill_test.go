package receive_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"edged/hub"
	"edged/hub/objects"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// TestHubKilledAtManyOffsets kills the hub with SIGKILL, over each carrier, at as
// many random bytes of one object as HUB_KILLS says: `make kills` has it 200 times
// (R10). The appliance goes on exactly where the hub's disk ends, each time, so
// nothing that the hub has goes twice; in the end there is one copy, with its digest.
func TestHubKilledAtManyOffsets(t *testing.T) {
	kills := int64(number(t, "HUB_KILLS", 5))
	for _, carrier := range []string{"quic", "tcp"} {
		t.Run(carrier, func(t *testing.T) {
			w := newWorld(t)
			w.carrier = carrier
			killInMidObject(t, w, kills, kills<<21)
		})
	}
}

// killInMidObject kills the hub of w while it receives one object.
func killInMidObject(t *testing.T, w *world, kills, size int64) {
	w.addr = freeAddr(t)
	hubAddr := w.addr
	w.ca.SaveHub(w.dir)
	child := spawn(t, w.dir, w.addr)
	link := w.road(w.addr)
	w.addr = link.addr()
	source := uplinktest.NewSource()
	big := source.Add(1, int(size), wire.Routine)
	random := rand.New(rand.NewPCG(1, 2))
	first := link.after(random.Int64N(size / kills))
	u, _ := w.appliance("one", source, nil)
	u.SetShape(uplink.Shape{Rate: 600e6})
	previous := int64(0)
	for kill := range kills {
		within(t, first, "bytes on the wire")
		child.Process.Kill()
		child.Wait()
		onDisk := partialSize(t, filepath.Join(w.dir, "store"), big)
		_, opens := lastOffset(source, big)
		child = spawn(t, w.dir, hubAddr)
		if onDisk < previous {
			t.Fatalf("kill %d: %d bytes on disk, %d before", kill, onDisk, previous)
		}
		if opens == 0 {
			first = link.after(random.Int64N(size / kills))
			continue
		}
		if got := reopened(t, source, big, opens+1); got != onDisk {
			t.Fatalf("kill %d: resumed at %d, the hub had %d", kill, got, onDisk)
		}
		previous = onDisk
		first = link.after(random.Int64N(size / kills))
	}
	waitFor(t, source, uplinktest.Archived)
	child.Process.Kill()
	child.Wait()
	store, err := objects.Open(objects.Config{Dir: filepath.Join(w.dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	w.store = store
	w.identical(source)
	_, opens := lastOffset(source, big)
	t.Logf("%d kills over %s, %d bytes resumed without loss, opened %d times", kills, w.carrier, size, opens)
	if err := w.oneCopy(big); err != nil {
		t.Error(err)
	}
}

// oneCopy demands one file and one row of an object, read from the disk of a hub
// whose process has ended.
func (w *world) oneCopy(it *uplinktest.Item) error {
	l, err := openLedger(filepath.Join(w.dir, "ledger"))
	if err != nil {
		return err
	}
	defer l.file.Close()
	rows := l.list()
	if len(rows) != 1 || rows[0].ID != hub.ID(it.ID) || rows[0].Length != it.Length {
		return fmt.Errorf("rows %v", rows)
	}
	if n := partialSize(w.t, filepath.Join(w.dir, "store"), it); n != 0 {
		return fmt.Errorf("%d bytes of a partial object are left", n)
	}
	return nil
}
