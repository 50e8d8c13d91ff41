package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"time"

	"edged/internal/archivelab"
	"edged/internal/dicom"
	"edged/internal/tools/lab"
)

// orthancHolding asks Orthanc for all that it has.
func orthancHolding(ctx context.Context, o *archivelab.Orthanc) (holding, error) {
	h := holding{}
	const page = 500
	for since := 0; ; since += page {
		var list []struct {
			ID            string
			MainDicomTags struct{ SOPInstanceUID string }
		}
		if err := lab.Fetch(ctx, nil, o.URL(fmt.Sprintf("/instances?expand&since=%d&limit=%d", since, page)), &list); err != nil {
			return nil, err
		}
		for _, i := range list {
			d, err := orthancDigest(ctx, o, i.ID)
			if err != nil {
				return nil, err
			}
			uid := i.MainDicomTags.SOPInstanceUID
			h[uid] = append(h[uid], d)
		}
		if len(list) < page {
			return h, nil
		}
	}
}

// orthancDigest is that of the data set of one of its files.
func orthancDigest(ctx context.Context, o *archivelab.Orthanc, id string) (d archivelab.Digest, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL("/instances/"+id+"/file"), nil)
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
func dataSetDigest(file io.Reader) (d archivelab.Digest, err error) {
	r := bufio.NewReader(file)
	if _, _, err := dicom.ReadPreface(r); err != nil {
		return d, err
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	return archivelab.Digest(h.Sum(nil)), err
}
