package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"edged/hub/ledger"
)

// A file of receipts is two lines, each one JSON value with a line feed:
//
//	{"format":"edged-receipts","version":1,"ledger":..,"study":..,"part":2,"before":..,"folded_at":..,"objects":[..]}
//	{"key":"SHA-256 of the public key, as SubjectPublicKeyInfo","signature":"BASE64"}
//
// before is the SHA-256 of the file of the part before, both lines; part 1 has none,
// nor have parts that the first versions of this program have written.
// The signature is Ed25519 (RFC 8032) over the first line with its line feed, byte by
// byte: nobody has to agree on how JSON is written.
const (
	receiptsFormat  = "edged-receipts"
	receiptsVersion = 1
)

type receiptsFile struct {
	Format   string           `json:"format"`
	Version  int              `json:"version"`
	Ledger   string           `json:"ledger"`
	Study    string           `json:"study"`
	Part     int              `json:"part"`
	Before   string           `json:"before,omitempty"`
	FoldedAt time.Time        `json:"folded_at"`
	Objects  []receiptsObject `json:"objects"`
}

type receiptsObject struct {
	ID          string    `json:"id"` // SHA-256 over names and bytes
	SOPClass    string    `json:"sop_class"`
	SOPInstance string    `json:"sop_instance"`
	Length      int64     `json:"length"` // of the data set
	ReceivedAt  time.Time `json:"received_at"`
	ArchivedAt  time.Time `json:"archived_at"`
	ArchivedBy  []string  `json:"archived_by"` // destinations
	Receipts    []receipt `json:"receipts"`
}

type receipt struct {
	Device   string    `json:"device"`
	Facility string    `json:"facility"`
	At       time.Time `json:"at"`
}

type receiptsSeal struct {
	Key       string `json:"key"`
	Signature string `json:"signature"`
}

// signedReceipts makes the file of a fold.
func signedReceipts(key ed25519.PrivateKey, ledgerID string, f *ledger.Fold, now time.Time) ([]byte, error) {
	file := receiptsFile{receiptsFormat, receiptsVersion, ledgerID, f.Study, f.Part, hex.EncodeToString(f.Before), now.UTC().Truncate(time.Second), nil}
	for _, o := range f.Objects {
		r := receiptsObject{o.ID.String(), o.SOPClass, o.SOPInstance, o.Length, o.Received, o.Archived, append([]string{}, o.Destinations...), []receipt{}}
		for _, one := range o.Receipts {
			r.Receipts = append(r.Receipts, receipt(one))
		}
		file.Objects = append(file.Objects, r)
	}
	body, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	body = append(body, '\n')
	_, fingerprint, err := publicPEM(key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	seal, err := json.Marshal(receiptsSeal{fingerprint, base64.StdEncoding.EncodeToString(ed25519.Sign(key, body))})
	return append(append(body, seal...), '\n'), err
}

// publicPEM is a public key as openssl reads it, and its fingerprint.
func publicPEM(key ed25519.PublicKey) (text []byte, fingerprint string, err error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	sum := sha256.Sum256(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), hex.EncodeToString(sum[:]), err
}

func parsePublicPEM(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("no PEM text of a public key, as hubd receipts key prints it")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return ed, nil
}

// errForged means that a file of receipts is not what the hub has signed.
var errForged = errors.New("the file is not what was signed, or not by this key")

// verifyReceipts reads a file and believes what the key has signed alone.
func verifyReceipts(key ed25519.PublicKey, file []byte) (r receiptsFile, err error) {
	body, rest, ok := bytes.Cut(file, []byte("\n"))
	if !ok {
		return r, fmt.Errorf("%w: it has no second line", errForged)
	}
	body = file[:len(body)+1]
	_, fingerprint, err := publicPEM(key)
	if err != nil {
		return r, err
	}
	var seal receiptsSeal
	if err := json.Unmarshal(rest, &seal); err != nil {
		return r, fmt.Errorf("%w: %w", errForged, err)
	}
	if canonical, err := json.Marshal(seal); err != nil || string(canonical)+"\n" != string(rest) {
		return r, fmt.Errorf("%w: its second line is not as it was written", errForged)
	}
	if seal.Key != fingerprint {
		return r, fmt.Errorf("%w: it was signed by key %.64q, this is %s", errForged, seal.Key, fingerprint)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(seal.Signature)
	if err != nil || !ed25519.Verify(key, body, signature) {
		return r, errForged
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Format != receiptsFormat || r.Version != receiptsVersion {
		return r, fmt.Errorf("it is signed, and of format %q version %d, which this program does not read: %w", r.Format, r.Version, err)
	}
	return r, nil
}

// maxReceiptsLine bounds a line of a file of receipts: a part has at most 5000 objects.
const maxReceiptsLine = 256 << 20

// verifyParts reads what hubd receipts show prints, file after file. Parts of one study
// must follow one another, each with the digest of the one before it.
func verifyParts(key ed25519.PublicKey, in io.Reader, each func(receiptsFile)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxReceiptsLine)
	lines.Split(wholeLines)
	var last receiptsFile
	var digest [sha256.Size]byte
	for n := 0; lines.Scan(); n++ {
		pair := bytes.Clone(lines.Bytes())
		if lines.Scan() {
			pair = append(pair, lines.Bytes()...)
		}
		r, err := verifyReceipts(key, pair)
		if err == nil && n > 0 {
			err = r.follows(last, digest)
		}
		if err != nil {
			return fmt.Errorf("file %d: %w", n+1, err)
		}
		each(r)
		last, digest = r, sha256.Sum256(pair)
	}
	if last.Format == "" && lines.Err() == nil {
		return fmt.Errorf("%w: it is empty", errForged)
	}
	return lines.Err()
}

// wholeLines leaves lines as they are, with their line feeds.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	n := bytes.IndexByte(data, '\n') + 1
	if n == 0 && atEOF {
		n = len(data)
	}
	if n == 0 {
		return 0, nil, nil
	}
	return n, data[:n], nil
}

// follows judges two that stand one after the other.
func (r *receiptsFile) follows(last receiptsFile, digest [sha256.Size]byte) error {
	if r.Study != last.Study || r.Ledger != last.Ledger {
		return nil
	}
	if r.Part != last.Part+1 {
		return fmt.Errorf("%w: part %d stands after part %d", errForged, r.Part, last.Part)
	}
	if r.Before != "" && r.Before != hex.EncodeToString(digest[:]) {
		return fmt.Errorf("%w: before part %d was another part %d", errForged, r.Part, last.Part)
	}
	return nil
}
