package forward

import (
	"io"
	"testing"
	"time"

	"edged/dimse"
	"edged/hub"
	"edged/internal/dicom"
)

// P6: an object whose bytes the archive does not take within a lease is not always the
// first again: what waits behind it is delivered.
func TestAnObjectThatTakesLongerThanALeaseHoldsUpNoOther(t *testing.T) {
	const large = 32 << 20 // more than sockets hold
	b := newBench(t, "vna")
	names := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: ctClass, SOPInstance: "2.25.77777"}
	b.receiveBytes(hub.Object{Names: names, Length: large, Study: "2.25.98", Device: "d"}, make([]byte, large))
	b.receiveOf(ctClass, 5)
	b.lease = 3 * time.Second
	ended := make(chan struct{})
	addr := served(t, &archive{raw: func(data io.Reader) dimse.Status {
		if n, _ := io.CopyN(io.Discard, data, 1<<16); n == 1<<16 {
			<-ended
		}
		return dimse.StatusSuccess
	}})
	defer close(ended)
	b.run(b.archived(5), NewCStore(CStoreConfig{Name: "vna", Address: addr, Called: "ARCHIVE", Calling: "HUBD", Associations: 1}))
	if s := b.stats(); s.Backlog["vna"].Objects != 1 || s.Backlog["vna"].Quarantined != 0 {
		t.Errorf("%+v", s)
	}
}
