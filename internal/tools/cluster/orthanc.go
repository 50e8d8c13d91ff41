package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"edged/internal/dicom"
	"edged/internal/tools/lab"
)

// orthanc is a real archive.
type orthanc struct {
	*lab.Process
	address, page string
}

func startOrthanc(ctx context.Context, l *lab.Lab) (*orthanc, error) {
	at, err := lab.FreePlace()
	if err != nil {
		return nil, err
	}
	dir, err := l.Folder(l.Dir, "orthanc")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(at.Address) // made a moment ago
	_, page, _ := net.SplitHostPort(at.Page)
	config, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"StorageDirectory": dir, "IndexDirectory": dir, "Plugins": []string{}, "DicomAet": "ORTHANC", "DicomPort": json.Number(port), "HttpPort": json.Number(page),
		"RemoteAccessAllowed": false, "DicomAlwaysAllowStore": true, "DicomCheckModalityHost": false, "UnknownSopClassAccepted": true, "TranscodeDicomProtocol": false,
	})
	file := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	o := &orthanc{address: at.Address, page: "http://" + at.Page}
	if o.Process, err = l.Start(ctx, "orthanc", nil, nil, "Orthanc", file); err != nil {
		return nil, err
	}
	return o, lab.Await(ctx, 30*time.Second, "Orthanc to be ready", func() bool {
		var system struct{ Version string }
		return lab.Fetch(ctx, nil, o.page+"/system", &system) == nil
	})
}

// has lists the instances of Orthanc: its identifiers by SOP Instance UID.
func (o *orthanc) has(ctx context.Context) (map[string][]string, error) {
	out := map[string][]string{}
	const page = 500
	for since := 0; ; since += page {
		var list []struct {
			ID            string
			MainDicomTags struct{ SOPInstanceUID string }
		}
		if err := lab.Fetch(ctx, nil, fmt.Sprintf("%s/instances?expand&since=%d&limit=%d", o.page, since, page), &list); err != nil {
			return nil, err
		}
		for _, i := range list {
			out[i.MainDicomTags.SOPInstanceUID] = append(out[i.MainDicomTags.SOPInstanceUID], i.ID)
		}
		if len(list) < page {
			return out, nil
		}
	}
}

// digest is that of the data set of one of its files.
func (o *orthanc) digest(ctx context.Context, id string) (d [sha256.Size]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, o.page+"/instances/"+id+"/file", nil)
	if err != nil {
		return d, err
	}
	answer, err := http.DefaultClient.Do(rq)
	if err != nil {
		return d, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return d, fmt.Errorf("orthanc: %s", answer.Status)
	}
	return dataSetDigest(answer.Body)
}

// dataSetDigest is that of what follows the preface of a file.
func dataSetDigest(file io.Reader) (d [sha256.Size]byte, err error) {
	r := bufio.NewReader(file)
	if _, _, err := dicom.ReadPreface(r); err != nil {
		return d, err
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	return [sha256.Size]byte(h.Sum(nil)), err
}
