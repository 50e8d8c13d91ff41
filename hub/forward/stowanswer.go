package forward

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"edged/dimse"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// maxAnswer bounds an answer, in bytes. One about sixteen objects has a few thousand.
const maxAnswer = 4 << 20

// read judges an answer; see doc.go.
func (s *stowSession) read(rs *http.Response, list []opened, w *watch) answer {
	body, err := io.ReadAll(io.LimitReader(&moving{rs.Body, w}, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("its answer is too long")
	}
	why := fmt.Sprintf("HTTP %d %s", rs.StatusCode, http.StatusText(rs.StatusCode))
	words := why
	if plain(rs.Header.Get("Content-Type")) && len(body) > 0 {
		words += ": " + oneLine(string(body[:min(len(body), 1000)]))
	}
	a := answer{heard: true}
	away := func(hint string) answer {
		a.away = fmt.Errorf("archive at %s: %s%s", s.c.URL, why, hint)
		return a
	}
	whole := func(v verdict) answer {
		a.whole, a.doubt, a.all = true, rs.StatusCode >= 500, outcome{verdict: v, why: why, words: words}
		return a
	}
	switch code := rs.StatusCode; {
	case code == 200 || code == 202 || code == 409:
		return s.listed(code, why, body, err, list)
	case code == 401 || code == 403 || code == 407:
		return away(": who the hub is, is not accepted: see auth of this destination")
	case code >= 300 && code < 400:
		return away(": redirects are not followed: give the last address as url")
	case code == 404 || code == 405 || code == 406 || code == 410 || code == 501:
		return away(": it takes no STOW-RS there: see url of this destination")
	case code == 429 || code == 503 || code == 507:
		away("")
		a.away = &waitError{a.away, retryAfter(rs.Header, time.Now())}
		return a
	case code == 413:
		a.tooLarge = true
		return whole(permanent)
	case code == 408 || code == 425 || code >= 500 || code < 300:
		return whole(transient)
	}
	return whole(permanent) // if it takes others, see trust
}

// plain reports whether a body is words for people.
func plain(contentType string) bool {
	return strings.HasPrefix(contentType, "text/plain") || strings.HasPrefix(contentType, "application/json")
}

// moving is an answer that is on its way.
type moving struct {
	io.Reader
	w *watch
}

// Read implements io.Reader.
func (m *moving) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	if n > 0 {
		m.w.moved(false)
	}
	return n, err
}

// notListed are the words for what an answer leaves out.
const notListed = "the archive's answer lists it neither as stored nor as failed"

// listed judges each object by what the answer lists. What it does not list is not
// stored as far as anybody knows, and is sent again; that it has the UID, which a
// search would tell, says nothing about its contents (P5). An answer that lists none
// of them says nothing about any.
func (s *stowSession) listed(code int, why string, body []byte, err error, list []opened) answer {
	left := outcome{verdict: transient, why: why + ", not listed", words: why + ": " + notListed, unanswered: true}
	var said report
	if err == nil {
		said, err = parseReport(body)
	}
	if err != nil {
		left.words = fmt.Sprintf("%s: %s: its body cannot be read: %v", why, notListed, err)
	}
	if code == http.StatusConflict {
		said.stored, left.unanswered = nil, false // none was stored (PS3.18 §10.5.3.1)
	}
	a := answer{heard: true, unlisted: left, each: map[string]outcome{}}
	for _, o := range list {
		uid := o.job.Object.Names.SOPInstance
		if reason, failed := said.failed[uid]; failed {
			a.each[uid] = failedBy(reason, o.job)
		} else if warning, stored := said.stored[uid]; stored {
			a.each[uid] = storedAs(warning, o.job.Conflict)
		}
	}
	if len(a.each) == 0 {
		a.whole, a.doubt, a.all = true, code != http.StatusConflict, left
	}
	return a
}

// failedBy is the outcome of an object that is listed as failed. Numbers that are
// warnings in an answer to C-STORE are none here: it is not stored, whatever stands as
// the reason.
func failedBy(reason uint16, j ledger.Job) outcome {
	o := judge(dimse.Response{Status: dimse.Status(reason)}, j)
	if o.verdict == done && !o.duplicate {
		o.verdict = transient
	}
	return o
}

// storedAs is the outcome of an object that is listed as stored. The list speaks of
// its UID: where that has two contents nothing is confirmed by it (P5).
func storedAs(warning uint16, conflict bool) outcome {
	o := outcome{verdict: done, ambiguous: conflict}
	if warning != 0 {
		o.why = dimse.Status(warning).String()
		o.words = o.why
	}
	return o
}

// report is what an answer lists, by SOP Instance UID (PS3.18 §10.5.3.2).
type report struct {
	stored map[string]uint16 // with the warning reason, 0 without
	failed map[string]uint16 // with the failure reason, never 0
}

// Attributes of the answer (PS3.18 Table I.1-1).
const (
	tagReferencedUID      = "00081155"
	tagWarningReason      = "00081196"
	tagFailureReason      = "00081197"
	tagFailedSequence     = "00081198"
	tagReferencedSequence = "00081199"
)

// parseReport reads both encodings, whatever the Content-Type says: some archives
// answer in XML also who accepts JSON alone.
func parseReport(body []byte) (report, error) {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(body) == 0 {
		return report{}, errors.New("it is empty")
	}
	var sets []set
	var err error
	switch body[0] {
	case '{', '[':
		sets, err = parseJSON(body)
	case '<':
		sets, err = parseXML(body)
	default:
		err = errors.New("it is neither JSON nor XML")
	}
	if err != nil {
		return report{}, err
	}
	r := report{stored: map[string]uint16{}, failed: map[string]uint16{}}
	for _, s := range sets {
		r.add(s)
	}
	return r, nil
}

// set is a data set as far as it matters: values as text, and sequences.
type set struct {
	value map[string]string
	items map[string][]set
}

func (r report) add(s set) {
	for _, i := range s.items[tagReferencedSequence] {
		if uid := i.value[tagReferencedUID]; uid != "" {
			r.stored[uid] = reason(i.value[tagWarningReason])
		}
	}
	for _, i := range s.items[tagFailedSequence] {
		if uid := i.value[tagReferencedUID]; uid != "" {
			if r.failed[uid] = reason(i.value[tagFailureReason]); r.failed[uid] == 0 {
				r.failed[uid] = uint16(dimse.StatusProcessingFailure)
			}
		}
	}
}

// reason is a US as text, 0 when it is none.
func reason(text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// parseJSON is PS3.18 Annex F: a data set, or a list of them.
func parseJSON(body []byte) ([]set, error) {
	if body[0] == '{' {
		body = append(append([]byte{'['}, body...), ']')
	}
	var list []map[string]struct {
		Value []json.RawMessage
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	var out []set
	for _, elements := range list {
		s := set{map[string]string{}, map[string][]set{}}
		for tag, e := range elements {
			if err := s.take(tag, e.Value); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// take reads the values of one of the elements that matter.
func (s set) take(tag string, values []json.RawMessage) (err error) {
	switch tag {
	case tagReferencedSequence, tagFailedSequence:
		for _, v := range values {
			if len(v) == 0 || v[0] != '{' {
				return fmt.Errorf("%s: an item is no object", tag)
			}
			item, err := parseJSON(v)
			if err != nil {
				return err
			}
			s.items[tag] = append(s.items[tag], item...)
		}
	case tagReferencedUID, tagWarningReason, tagFailureReason:
		if len(values) > 0 {
			text := string(values[0])
			if text != "" && text[0] == '"' {
				err = json.Unmarshal(values[0], &text)
			}
			s.value[tag] = dicom.TrimUID(text)
		}
	}
	return err
}

// attributes are PS3.19 §A.1, the Native DICOM Model.
type attributes struct {
	Attribute []struct {
		Tag   string       `xml:"tag,attr"`
		Value []string     `xml:"Value"`
		Item  []attributes `xml:"Item"`
	} `xml:"DicomAttribute"`
}

func parseXML(body []byte) ([]set, error) {
	var a attributes
	if err := xml.Unmarshal(body, &a); err != nil {
		return nil, err
	}
	return []set{a.set()}, nil
}

func (a attributes) set() set {
	s := set{map[string]string{}, map[string][]set{}}
	for _, e := range a.Attribute {
		for _, item := range e.Item {
			s.items[e.Tag] = append(s.items[e.Tag], item.set())
		}
		if len(e.Value) > 0 {
			s.value[e.Tag] = dicom.TrimUID(strings.TrimSpace(e.Value[0]))
		}
	}
	return s
}
