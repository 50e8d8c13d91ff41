package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"edged/hub/hubtest"
	"edged/internal/dicom"
	"edged/internal/tools/lab"
)

// atOnce is how many send to a peer at the same time, and appliances to the hub.
const atOnce = 4

// stowBatch is the instances of one request.
const stowBatch = 10

// peers is the section on Orthanc, which takes the same objects by C-STORE and by
// STOW-RS, in turn with the hub.
func peers(ctx context.Context, b *bench) (failed error) {
	s := lab.Section{
		Title: fmt.Sprintf("Against Orthanc, %d senders", atOnce),
		Head:  []string{"object", "hubd, objects/s", "Orthanc by C-STORE", "Orthanc by STOW-RS", "hubd to C-STORE", "hubd to STOW-RS"},
	}
	for _, size := range []int64{small, large} {
		if err := peerRow(ctx, b, &s, size); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	s.Note("Orthanc with its defaults, which flush each file, SQLite index, and its DICOMweb plugin; C-STORE by %d storescu with TCP_NODELAY, STOW-RS by %d connections with %d instances a request, without TLS. The hub has TLS, and flushes files, directories and rows. Median of the runs, in turn.", atOnce, atOnce, stowBatch)
	b.report.Add(s)
	return failed
}

// installed says what is missing for a way of sending; the table does, too.
func installed(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s is not installed", p)
		}
	}
	return nil
}

// way is how a peer takes objects.
type way struct {
	missing error
	once    func(context.Context) (float64, error)
	rates   []float64
	failed  error
}

// peerRow measures each way in turn, as often as runs; one that fails is tried no more.
func peerRow(ctx context.Context, b *bench, s *lab.Section, size int64) error {
	objects, runs := b.effort(size)
	objects = min(objects, 1000)
	dir, err := b.lab.Folder(b.lab.Dir, "files")
	if err != nil {
		return err
	}
	defer empty(dir)
	if err := writeParts(dir, objects, size); err != nil {
		return err
	}
	orthanc := func(send func(context.Context, *orthanc, string) error) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) { return peerOnce(ctx, b.lab, dir, objects, send) }
	}
	ways := []*way{
		{once: func(ctx context.Context) (float64, error) {
			out, err := cell{size: size, objects: objects, appliances: atOnce}.once(ctx, b.lab)
			return out.rate, err
		}},
		{missing: installed("Orthanc", "storescu"), once: orthanc(sendCStore)},
		{missing: installed("Orthanc"), once: orthanc(sendSTOW)},
	}
	for range runs {
		for _, w := range ways {
			w.run(ctx, b.cell)
		}
	}
	hub, cstore, stow := ways[0], ways[1], ways[2]
	s.Row(kib(size), hub.says(), cstore.says(), stow.says(), hub.over(cstore, "%.1f×"), hub.over(stow, "%.1f×"))
	if size == large {
		b.report.Figures["orthanc_cstore_ratio"], b.report.Figures["orthanc_stow_ratio"] = hub.over(cstore, "%.2f"), hub.over(stow, "%.2f")
	}
	return errors.Join(hub.failed, cstore.failed, stow.failed)
}

func (w *way) run(ctx context.Context, most time.Duration) {
	if w.missing != nil || w.failed != nil {
		return
	}
	ctx, cancel := within(ctx, most, "the cell")
	defer cancel()
	rate, err := w.once(ctx)
	if w.failed = err; err == nil {
		w.rates = append(w.rates, rate)
	}
}

func (w *way) says() string {
	if len(w.rates) == 0 {
		return why(errors.Join(w.missing, w.failed))
	}
	return lab.Spread(w.rates)
}

// over is how often faster w is, a dash when one of them was not measured.
func (w *way) over(other *way, format string) string {
	if len(w.rates) == 0 || len(other.rates) == 0 {
		return "-"
	}
	return fmt.Sprintf(format, lab.Median(w.rates)/lab.Median(other.rates))
}

// writeParts writes objects as files into as many folders as there are senders.
func writeParts(dir string, n int, size int64) error {
	for i, o := range hubtest.Study(77, n, hubtest.Kind{Length: size}) {
		part := filepath.Join(dir, fmt.Sprint(i%atOnce))
		if err := os.MkdirAll(part, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(part, fmt.Sprintf("%d.dcm", i)), append(dicom.Preface(o.Names()), o.Data()...), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// orthanc is one that runs.
type orthanc struct {
	*lab.Process
	dicom, page string
}

func startOrthanc(ctx context.Context, l *lab.Lab, dir string) (*orthanc, error) {
	o := &orthanc{}
	var err1, err2 error
	o.dicom, err1 = lab.FreeAddress()
	o.page, err2 = lab.FreeAddress()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	_, dicomPort, _ := net.SplitHostPort(o.dicom)
	_, pagePort, _ := net.SplitHostPort(o.page)
	text, err := json.Marshal(map[string]any{
		"StorageDirectory": filepath.Join(dir, "storage"), "IndexDirectory": filepath.Join(dir, "storage"),
		"Plugins":   []string{"/usr/share/orthanc/plugins/libOrthancDicomWeb.so"},
		"DicomPort": json.Number(dicomPort), "HttpPort": json.Number(pagePort), "DicomWeb": map[string]any{"Enable": true},
		"RemoteAccessAllowed": true, "AuthenticationEnabled": false,
		"UnknownSopClassAccepted": true, "MaximumPduLength": 131072, "DicomThreadsCount": 8, "HttpThreadsCount": 50,
	})
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	if o.Process, err = l.Start(ctx, "orthanc", []string{"TCP_NODELAY=1"}, nil, "Orthanc", config); err != nil {
		return nil, err
	}
	err = lab.Await(ctx, 30*time.Second, "Orthanc to answer", func() bool { _, err := o.count(ctx); return err == nil })
	if err != nil {
		err = fmt.Errorf("%w: %s", err, o.Said())
		o.Stop()
	}
	return o, err
}

func (o *orthanc) count(ctx context.Context) (int, error) {
	var stats struct{ CountInstances int }
	err := lab.Fetch(ctx, nil, "http://"+o.page+"/statistics", &stats)
	return stats.CountInstances, err
}

// peerOnce is one run on an empty Orthanc, in objects a second.
func peerOnce(ctx context.Context, l *lab.Lab, files string, objects int, send func(context.Context, *orthanc, string) error) (float64, error) {
	dir, err := l.Folder(l.Dir, "orthanc")
	if err != nil {
		return 0, err
	}
	defer empty(dir)
	o, err := startOrthanc(ctx, l, dir)
	if err != nil {
		return 0, err
	}
	defer o.Stop()
	lab.Settle(dir)
	began := time.Now()
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for i := range atOnce {
		wg.Go(func() { errs[i] = send(ctx, o, filepath.Join(files, fmt.Sprint(i))) })
	}
	wg.Wait()
	took := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("%w: %s", err, o.Said())
	}
	got, err := o.count(ctx)
	if err == nil && got != objects {
		err = fmt.Errorf("%d objects were sent to Orthanc, %d are there", objects, got)
	}
	return float64(objects) / took.Seconds(), err
}

func sendCStore(ctx context.Context, o *orthanc, dir string) error {
	host, port, err := net.SplitHostPort(o.dicom)
	if err != nil {
		return err
	}
	cmd := lab.Command(ctx, []string{"TCP_NODELAY=1"}, nil, "storescu", "--call", "ORTHANC", "--required", host, port, "--scan-directories", dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("storescu: %w: %.300s", err, out)
	}
	return err
}

// sendSTOW stores the files of a folder over one connection (PS3.18 §10.5).
func sendSTOW(ctx context.Context, o *orthanc, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for len(entries) > 0 {
		n := min(len(entries), stowBatch)
		body, kind, err := stowBody(dir, entries[:n])
		if err != nil {
			return err
		}
		entries = entries[n:]
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+o.page+"/dicom-web/studies", body)
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", kind)
		request.Header.Set("Accept", "application/dicom+json")
		if err := posted(&http.Client{Transport: transport}, request); err != nil {
			return err
		}
	}
	return nil
}

func posted(client *http.Client, request *http.Request) error {
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("STOW-RS: %s: %.200s", answer.Status, said)
	}
	return err
}

func stowBody(dir string, entries []os.DirEntry) (io.Reader, string, error) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, "", err
		}
		part, err := m.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		if err != nil {
			return nil, "", err
		}
		if _, err := part.Write(data); err != nil {
			return nil, "", err
		}
	}
	return &b, fmt.Sprintf(`multipart/related; type="application/dicom"; boundary=%s`, m.Boundary()), m.Close()
}
