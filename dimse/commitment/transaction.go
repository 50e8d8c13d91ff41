package commitment

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"edged/dimse"
)

// Transaction is a request that was taken and has not been answered.
type Transaction struct {
	Calling, Called string // AE titles: who asked, and whom
	UID             string
	References      []dimse.Reference // each once, in the order of the request
	Spent           time.Duration     // since the request, as far as an engine was running; whole seconds
}

// Key names a transaction: the same device and Transaction UID, the same key. 32
// characters, 0 to 9 and a to f.
func (t *Transaction) Key() string {
	h := sha256.New()
	for _, s := range []string{t.Calling, t.UID} {
		h.Write(appendString(nil, s))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

const version1 = 1

// maxInflated bounds what Parse inflates: what 4 MiB of request can become.
const maxInflated = 8 << 20

var errMalformed = errors.New("malformed commitment transaction")

// Append writes the transaction behind b, as doc.go draws it. A request of 10,000
// instances takes about 200 KB.
func (t *Transaction) Append(b []byte) []byte {
	var classes []string
	index := map[string]int{}
	for _, r := range t.References {
		if _, ok := index[r.SOPClassUID]; !ok {
			index[r.SOPClassUID] = len(classes)
			classes = append(classes, r.SOPClassUID)
		}
	}
	p := binary.AppendUvarint(nil, uint64(max(t.Spent, 0)/time.Second))
	p = appendString(appendString(appendString(p, t.Calling), t.Called), t.UID)
	p = binary.AppendUvarint(p, uint64(len(classes)))
	for _, c := range classes {
		p = appendString(p, c)
	}
	p = binary.AppendUvarint(p, uint64(len(t.References)))
	for _, r := range t.References {
		p = appendString(binary.AppendUvarint(p, uint64(index[r.SOPClassUID])), r.SOPInstanceUID)
	}
	out := bytes.NewBuffer(append(b, version1))
	w, _ := flate.NewWriter(out, flate.DefaultCompression) // the level is valid
	w.Write(p)                                             // a Buffer takes everything
	w.Close()
	return out.Bytes()
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Parse reads what Append wrote.
func Parse(b []byte) (t Transaction, err error) {
	if len(b) == 0 || b[0] != version1 {
		return t, fmt.Errorf("%w: unknown version", errMalformed)
	}
	p, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[1:])), maxInflated+1))
	if err != nil || len(p) > maxInflated {
		return t, fmt.Errorf("%w: %d bytes inflated, %v", errMalformed, len(p), err)
	}
	r := fields{p: p}
	t.Spent = time.Duration(min(r.number(), 1<<32)) * time.Second
	t.Calling, t.Called, t.UID = r.text(), r.text(), r.text()
	var classes []string
	for n := r.number(); n > 0 && !r.bad; n-- {
		classes = append(classes, r.text())
	}
	for n := r.number(); n > 0 && !r.bad; n-- {
		class := r.number()
		if class >= uint64(len(classes)) {
			r.bad = true
			break
		}
		t.References = append(t.References, dimse.Reference{SOPClassUID: classes[class], SOPInstanceUID: r.text()})
	}
	if r.bad || len(r.p) > 0 || t.UID == "" {
		return Transaction{}, errMalformed
	}
	return t, nil
}

// fields reads numbers and strings; bad means that they did not hold together.
type fields struct {
	p   []byte
	bad bool
}

func (f *fields) number() uint64 {
	n, used := binary.Uvarint(f.p)
	if used <= 0 {
		f.bad, f.p = true, nil
		return 0
	}
	f.p = f.p[used:]
	return n
}

func (f *fields) text() string {
	n := f.number()
	if n > uint64(len(f.p)) {
		f.bad, f.p = true, nil
		return ""
	}
	s := string(f.p[:n])
	f.p = f.p[n:]
	return s
}

// distinct takes each reference once (PS3.4 §J.3.3.1.2: the report has all of them, once).
func distinct(refs []dimse.Reference) []dimse.Reference {
	seen := make(map[dimse.Reference]bool, len(refs))
	out := make([]dimse.Reference, 0, len(refs))
	for _, r := range refs {
		if !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out
}

// equal compares references without their order.
func equal(a, b []dimse.Reference) bool {
	if len(a) != len(b) {
		return false
	}
	seen := make(map[dimse.Reference]bool, len(a))
	for _, r := range a {
		seen[r] = true
	}
	for _, r := range b {
		if !seen[r] {
			return false
		}
	}
	return true
}
