package archivelab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"edged/internal/ports"
)

// Options are keys of orthanc.json.
type Options map[string]any

// Orthanc is one that runs, and answers.
type Orthanc struct {
	Address string // where it takes associations
	Page    string // where it takes HTTP
	Dir     string // what it keeps
	Process *os.Process

	cmd *exec.Cmd
	log string
}

// NewOrthanc is an empty one for a test, which ends with it. More adds to its options,
// or replaces them.
func NewOrthanc(t testing.TB, title string, more Options) *Orthanc {
	t.Helper()
	if _, err := exec.LookPath("Orthanc"); err != nil {
		t.Skipf("Orthanc is not installed (Debian: orthanc): %v", err)
	}
	o, err := RunOrthanc(t.Context(), t.TempDir(), title, nil, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("Orthanc said: %s", o.Said())
		}
	})
	return o
}

// DICOMweb are the options of one with Debian's plugin of that name, or an error that
// says that it is missing.
func DICOMweb() (Options, error) {
	for _, path := range []string{"/usr/share/orthanc/plugins/libOrthancDicomWeb.so", "/usr/lib/orthanc/libOrthancDicomWeb.so"} {
		if _, err := os.Stat(path); err == nil {
			return Options{"Plugins": []string{path}, "DicomWeb": map[string]any{"Enable": true, "Root": "/dicom-web/"}}, nil
		}
	}
	return nil, errors.New("the DICOMweb plugin of Orthanc is not installed (Debian: orthanc-dicomweb)")
}

// RunOrthanc starts one for a tool, with its data in dir, and returns when it answers.
func RunOrthanc(ctx context.Context, dir, title string, env []string, more Options) (*Orthanc, error) {
	dicomPort, err1 := ports.Free()
	page, err2 := ports.Free()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	options := Options{
		"Name": title, "DicomAet": title, "DicomPort": dicomPort, "HttpPort": page, "StorageDirectory": dir, "IndexDirectory": dir,
		"Plugins": []string{}, "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomAlwaysAllowStore": true, "UnknownSopClassAccepted": true,
	}
	maps.Copy(options, more)
	text, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	o := &Orthanc{Address: fmt.Sprintf("127.0.0.1:%d", dicomPort), Page: fmt.Sprintf("127.0.0.1:%d", page), Dir: dir, log: filepath.Join(dir, "orthanc.log")}
	if err := o.start(config, env); err != nil {
		return nil, err
	}
	if err := o.answers(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", err, o.Said()), o.Close())
	}
	return o, nil
}

func (o *Orthanc) start(config string, env []string) error {
	log, err := os.Create(o.log)
	if err != nil {
		return err
	}
	defer log.Close()
	o.cmd = exec.Command("Orthanc", config)
	o.cmd.Env, o.cmd.Stdout, o.cmd.Stderr = append(os.Environ(), env...), log, log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := o.cmd.Start(); err != nil {
		return err
	}
	o.Process = o.cmd.Process
	return nil
}

// answers waits at most a minute. One that wants a password answers, too.
func (o *Orthanc) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		rq, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL("/system"), nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(rq)
		if err == nil {
			return answer.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("Orthanc does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is one of its pages.
func (o *Orthanc) URL(path string) string { return "http://" + o.Page + path }

// Said is the end of what it said, for an error.
func (o *Orthanc) Said() string {
	b, _ := os.ReadFile(o.log) // an error shows as nothing said
	b = bytes.TrimSpace(b)
	return string(b[max(0, len(b)-2000):])
}

// Close ends it. Its error is that of a process that cannot be waited for.
func (o *Orthanc) Close() error {
	_ = o.cmd.Process.Kill() // it may have ended
	var status *exec.ExitError
	if err := o.cmd.Wait(); err != nil && !errors.As(err, &status) {
		return err
	}
	return nil
}
