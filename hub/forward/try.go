package forward

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"edged/dimse"
	"edged/internal/dicom"
)

// Tried is what an archive answered to a test that stores nothing.
type Tried struct {
	Accepted, Refused []string // kinds of images and documents, and ways to compress them
	Commitment        bool
}

// kinds are the SOP classes of PS3.4 Annex B.5 that a region's appliances send most.
var kinds = []struct{ name, class string }{
	{"CT", "1.2.840.10008.5.1.4.1.1.2"}, {"enhanced CT", "1.2.840.10008.5.1.4.1.1.2.1"}, {"MR", "1.2.840.10008.5.1.4.1.1.4"}, {"enhanced MR", "1.2.840.10008.5.1.4.1.1.4.1"},
	{"CR", "1.2.840.10008.5.1.4.1.1.1"}, {"DX", "1.2.840.10008.5.1.4.1.1.1.1"}, {"MG", "1.2.840.10008.5.1.4.1.1.1.2"}, {"tomosynthesis", "1.2.840.10008.5.1.4.1.1.13.1.3"},
	{"US", "1.2.840.10008.5.1.4.1.1.6.1"}, {"US multi-frame", "1.2.840.10008.5.1.4.1.1.3.1"}, {"XA", "1.2.840.10008.5.1.4.1.1.12.1"}, {"RF", "1.2.840.10008.5.1.4.1.1.12.2"},
	{"NM", "1.2.840.10008.5.1.4.1.1.20"}, {"PET", "1.2.840.10008.5.1.4.1.1.128"}, {"SC", "1.2.840.10008.5.1.4.1.1.7"}, {"endoscopy video", "1.2.840.10008.5.1.4.1.1.77.1.1.1"},
	{"ECG", "1.2.840.10008.5.1.4.1.1.9.1.1"}, {"dose report", "1.2.840.10008.5.1.4.1.1.88.67"}, {"structured report", "1.2.840.10008.5.1.4.1.1.88.33"}, {"presentation state", "1.2.840.10008.5.1.4.1.1.11.1"}, {"PDF", "1.2.840.10008.5.1.4.1.1.104.1"},
}

// ways are transfer syntaxes besides explicit little endian, tried with CT.
var ways = []struct{ name, syntax string }{
	{"implicit little endian", "1.2.840.10008.1.2"}, {"JPEG lossless", "1.2.840.10008.1.2.4.70"}, {"JPEG-LS lossless", "1.2.840.10008.1.2.4.80"}, {"JPEG 2000 lossless", "1.2.840.10008.1.2.4.90"}, {"JPEG baseline", "1.2.840.10008.1.2.4.50"},
}

const explicitLittleEndian = "1.2.840.10008.1.2.1"

// TryCStore makes one association: C-ECHO, and what would be accepted.
func TryCStore(ctx context.Context, c CStoreConfig) (t Tried, err error) {
	proposals := []dimse.Proposal{{AbstractSyntax: dimse.Verification, TransferSyntaxes: []string{explicitLittleEndian, "1.2.840.10008.1.2"}},
		{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{explicitLittleEndian, "1.2.840.10008.1.2"}}}
	needs := map[string]dimse.Need{}
	var names []string
	ask := func(name, class, syntax string) {
		proposals = append(proposals, dimse.Proposal{AbstractSyntax: class, TransferSyntaxes: []string{syntax}})
		needs[name], names = dimse.Need{SOPClassUID: class, TransferSyntaxUID: syntax}, append(names, name)
	}
	for _, k := range kinds {
		ask(k.name, k.class, explicitLittleEndian)
	}
	for _, w := range ways {
		ask(w.name, kinds[0].class, w.syntax)
	}
	client, err := dimse.Dial(ctx, dimse.ClientConfig{Address: c.Address, TLS: c.secure(), Called: c.Called, Calling: c.Calling, Contexts: proposals,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
	if err != nil {
		return t, err
	}
	defer client.Abort()
	for _, name := range names {
		if client.Accepts(needs[name]) {
			t.Accepted = append(t.Accepted, name)
		} else {
			t.Refused = append(t.Refused, name)
		}
	}
	for _, syntax := range proposals[1].TransferSyntaxes {
		t.Commitment = t.Commitment || client.Accepts(dimse.Need{SOPClassUID: dimse.StorageCommitmentPush, TransferSyntaxUID: syntax})
	}
	rsp, err := client.Echo(ctx)
	if err == nil && !rsp.Status.IsSuccess() {
		err = fmt.Errorf("C-ECHO is answered with %s", rsp.Status)
	}
	if err != nil {
		return t, err
	}
	return t, client.Release(ctx)
}

// nobodysStudy is a UID that no study has (PS3.5 §B.2): the answer names nobody.
const nobodysStudy = "2.25.0"

// Try asks the archive for a study that does not exist, with our credentials.
func (s *Stow) Try(ctx context.Context) (answer string, err error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.url, "/")+"?StudyInstanceUID="+url.QueryEscape(nobodysStudy)+"&limit=1", nil)
	if err != nil {
		return "", err
	}
	rq.Header.Set("Accept", "application/dicom+json")
	if s.c.Auth != nil {
		if err := s.c.Auth.Set(rq); err != nil {
			return "", fmt.Errorf("credentials: %w", err)
		}
	}
	rs, err := s.client.Do(rq)
	if err != nil {
		return "", err
	}
	defer rs.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(rs.Body, 1<<20))
	switch {
	case rs.StatusCode == http.StatusUnauthorized, rs.StatusCode == http.StatusForbidden, rs.StatusCode == http.StatusProxyAuthRequired:
		return "", fmt.Errorf("it refuses our credentials: %s", rs.Status)
	case rs.StatusCode >= 500 && rs.StatusCode != http.StatusNotImplemented:
		return "", fmt.Errorf("it answers %s", rs.Status)
	case rs.StatusCode >= 300 && rs.StatusCode < 400:
		return "", fmt.Errorf("it sends us elsewhere (%s): write the final URL", rs.Status)
	}
	return rs.Status, nil
}
