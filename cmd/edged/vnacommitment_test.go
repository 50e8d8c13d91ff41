package main

import (
	"encoding/json"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"edged/internal/archivelab"
	"edged/internal/synth"
)

// The whole way: Orthanc has stored everything, and the appliance calls nothing
// archived (P2) until Orthanc's report of storage commitment has come through.
func TestOnlyOrthancsCommitmentArchives(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	door := testAddress()
	called, open := heldRelay(t, door)
	dicomAt, web := r.orthancReporting("HUBD", called)
	r.rewrite("hubd.yaml", `destinations: [{name: vna, type: cstore, confirm: commitment, address: "`+dicomAt+`", ae_title: VNA}]`+"\n"+
		`dicom: {listen: "`+door+`"}`+"\n")
	r.up()
	objects := synthetic(t, 7, synth.Small)
	r.storeAll(objects)
	r.await("Orthanc to have everything", func() bool {
		if n := r.count("archived"); n != 0 {
			t.Fatalf("%d archived before the archive's report", n)
		}
		var list []string
		return json.Unmarshal(fetch(t, web+"/instances"), &list) == nil && len(list) == len(objects)
	})
	for range 20 { // time for a mistake
		if n := r.count("archived"); n != 0 {
			t.Fatalf("%d archived before the archive's report", n)
		}
		time.Sleep(50 * time.Millisecond)
	}
	open()
	r.await("everything to be archived", func() bool { return r.count("archived") == len(objects) })
}

// heldRelay passes connections on to an address, none before it is opened.
func heldRelay(t *testing.T, to string) (address string, open func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opened, ended := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		close(ended)
		wg.Wait()
	})
	wg.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { passWhenOpened(from, to, opened, ended) })
		}
	})
	return l.Addr().String(), sync.OnceFunc(func() { close(opened) })
}

func passWhenOpened(from net.Conn, to string, opened, ended <-chan struct{}) {
	defer from.Close()
	select {
	case <-opened:
	case <-ended:
		return
	}
	behind, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer behind.Close()
	for _, c := range []net.Conn{from, behind} {
		c.SetDeadline(time.Now().Add(time.Minute))
	}
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(behind, from); behind.Close() })
	wg.Go(func() { io.Copy(from, behind); from.Close() })
	wg.Wait()
}

// orthancReporting is an Orthanc that knows who asks it for commitment, and where
// to report.
func (r *rig) orthancReporting(title, reports string) (dicomAt, web string) {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(reports)
	o := archivelab.NewOrthanc(r.t, "VNA", archivelab.Options{"DicomScuTimeout": 120,
		"DicomModalities": map[string]any{"hub": map[string]any{"AET": title, "Host": "127.0.0.1", "Port": json.Number(port), "AllowStorageCommitment": true}}})
	return o.Address, o.URL("")
}
