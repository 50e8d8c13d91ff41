package forward

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"edged/internal/archivelab"
)

// orthanc starts one that reports on storage commitment to reports, on an
// association of its own, and returns where it takes associations and HTTP.
func orthanc(t *testing.T, reports string) (address, web string) {
	t.Helper()
	host, port, err := net.SplitHostPort(reports)
	if err != nil {
		t.Fatal(err)
	}
	o := archivelab.NewOrthanc(t, "ARCHIVE", archivelab.Options{
		"DicomModalities": map[string]any{"hub": map[string]any{"AET": "HUBD", "Host": host, "Port": json.Number(port), "AllowStorageCommitment": true}},
	})
	return o.Address, o.URL("")
}

// A real archive: as long as its reports do not arrive nothing is archived, though
// it has stored everything and says so; then all is.
func TestOrthancsReportMakesItsObjectsArchived(t *testing.T) {
	b := newCommittingBench(t)
	b.commit = Backoff{200 * time.Millisecond, 400 * time.Millisecond}
	reports := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	address, web := orthanc(t, reports)
	b.receive(small()...)
	total := len(b.data)
	b.run(func() bool { return b.stats().Backlog["vna"].Uncommitted == int64(total) }, committing(address))
	var ids []string
	if err := json.Unmarshal(fetch(t, web+"/instances"), &ids); err != nil || len(ids) != total {
		t.Fatalf("Orthanc has %d instances, want %d (%v)", len(ids), total, err)
	}
	if s := b.stats(); s.Archived != 0 {
		t.Fatalf("archived without a report: %+v", s)
	}
	b.reports = reports
	b.run(b.archived(total), committing(address))
}

// An image that Orthanc loses between its Success and our request is sent again.
func TestWhatOrthancHasLostIsSentAgain(t *testing.T) {
	b := newCommittingBench(t)
	b.commit = Backoff{200 * time.Millisecond, 400 * time.Millisecond}
	reports := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	address, web := orthanc(t, reports)
	b.receive(small()[:4]...)
	b.run(func() bool { return b.stats().Backlog["vna"].Uncommitted == 4 }, committing(address))
	var ids []string
	if err := json.Unmarshal(fetch(t, web+"/instances"), &ids); err != nil || len(ids) != 4 {
		t.Fatalf("Orthanc has %d instances (%v)", len(ids), err)
	}
	remove(t, web+"/instances/"+ids[0])
	b.reports = reports
	b.run(b.archived(4), committing(address))
	if err := json.Unmarshal(fetch(t, web+"/instances"), &ids); err != nil || len(ids) != 4 {
		t.Errorf("Orthanc has %d instances, all four are archived (%v)", len(ids), err)
	}
}
