package forward

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"edged/dimse"
	"edged/hub"
	"edged/internal/dicom"
)

// P5: there are two contents under one UID, and the archive has stored one of
// them. Its connection dies after the last byte of the other, once; then it says
// that it has the UID already. That is about the one that it has: the other is
// not archived, whichever of them came first.
func TestADuplicateOfAConflictingUIDIsNeverAConfirmation(t *testing.T) {
	for name, laterFirst := range map[string]bool{"the later is in doubt": false, "the earlier is in doubt": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "vna")
			n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.99"}
			o := hub.Object{Names: n, Length: 5000, Study: "2.25.98", Device: "d"}
			one, two := make([]byte, 5000), make([]byte, 5000)
			two[4000] = 7
			doubtful := two
			if laterFirst {
				doubtful = one
			}
			var tries, kept atomic.Int32
			a := &archive{raw: func(data io.Reader) dimse.Status {
				all, _ := io.ReadAll(data)
				switch {
				case string(all) != string(doubtful):
					kept.Add(1)
					return dimse.StatusSuccess
				case tries.Add(1) == 1:
					panic("the archive dies before it has stored it")
				case kept.Load() == 0:
					return dimse.StatusOutOfResources // until it has the other one
				}
				return dimse.StatusDuplicateInstance
			}}
			addr, _ := a.serve(t, "127.0.0.1:0")
			b.receiveBytes(o, one)
			if laterFirst {
				b.run(func() bool { return tries.Load() > 1 }, cstore(addr))
			} else {
				b.run(b.archived(1), cstore(addr))
			}
			if err := b.ledger.Release(t.Context(), b.receiveBytes(o, two), "admin"); err != nil {
				t.Fatal(err)
			}
			b.run(func() bool { s := b.stats(); return s.Backlog["vna"].Quarantined == 1 || s.Archived > 1 }, cstore(addr))
			confirmed, err := b.ledger.Confirmations(t.Context(), "d", 0, 10)
			if s := b.stats(); err != nil || s.Archived != 1 || len(confirmed) != 1 || kept.Load() != 1 {
				t.Errorf("%d archived, %d confirmed, the archive has %d (%v)", s.Archived, len(confirmed), kept.Load(), err)
			}
			stuck, err := b.ledger.Stuck(t.Context(), 9)
			if err != nil || len(stuck) != 1 || !strings.Contains(stuck[0].Words, "other contents") {
				t.Errorf("the administrator reads %+v (%v)", stuck, err)
			}
		})
	}
}
