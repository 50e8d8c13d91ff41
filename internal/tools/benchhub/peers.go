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
func peers(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	s := lab.Section{
		Title: fmt.Sprintf("Against Orthanc, %d senders", atOnce),
		Head:  []string{"object", "hub, objects/s", "Orthanc by C-STORE", "Orthanc by STOW-RS", "hub to C-STORE", "hub to STOW-RS"},
	}
	for _, size := range []int64{30 << 10, 512 << 10} {
		if err := peerRow(ctx, l, o, r, &s, size); err != nil {
			return err
		}
	}
	s.Note("Orthanc with its defaults, which flush each file, SQLite index, and its DICOMweb plugin; C-STORE by %d storescu with TCP_NODELAY, STOW-RS by %d connections with %d instances a request, without TLS. The hub has TLS, and flushes files, directories and rows.", atOnce, atOnce, stowBatch)
	r.Add(s)
	return nil
}

func peerRow(ctx context.Context, l *lab.Lab, o options, r *lab.Report, s *lab.Section, size int64) error {
	if _, err := exec.LookPath("Orthanc"); err != nil {
		return fmt.Errorf("%w: install Orthanc and its plugin (Debian: orthanc, orthanc-dicomweb)", err)
	}
	objects, runs := o.effort(size)
	objects = min(objects, 1000)
	dir, err := l.Folder(l.Dir, "files")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeParts(dir, objects, size); err != nil {
		return err
	}
	var hub, cstore, stow []float64
	for range runs {
		out, err := cell{size: size, objects: objects, appliances: atOnce}.once(ctx, l)
		if err != nil {
			return err
		}
		hub = append(hub, out.rate)
		for _, way := range []struct {
			rates *[]float64
			send  func(context.Context, *orthanc, string) error
		}{{&cstore, sendCStore}, {&stow, sendSTOW}} {
			rate, err := peerOnce(ctx, l, dir, objects, way.send)
			if err != nil {
				return err
			}
			*way.rates = append(*way.rates, rate)
		}
	}
	h, c, w := lab.Median(hub), lab.Median(cstore), lab.Median(stow)
	s.Row(fmt.Sprintf("%d KiB", size>>10), fmt.Sprintf("%.0f", h), fmt.Sprintf("%.0f", c), fmt.Sprintf("%.0f", w), fmt.Sprintf("%.1f×", h/c), fmt.Sprintf("%.1f×", h/w))
	if size > 100<<10 {
		r.Figures["orthanc_cstore_ratio"], r.Figures["orthanc_stow_ratio"] = fmt.Sprintf("%.2f", h/c), fmt.Sprintf("%.2f", h/w)
	}
	return nil
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
	defer os.RemoveAll(dir)
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
