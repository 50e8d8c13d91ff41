package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// receipt is what lies beside an exported file. It names no person.
type receipt struct {
	ID             string        `json:"id"`
	Seq            uint64        `json:"seq"`
	File           string        `json:"file"`
	FileBytes      int64         `json:"file_bytes"`
	FileSHA256     string        `json:"file_sha256"`
	Raw            bool          `json:"raw,omitempty"` // not a Part 10 file: the bytes that were on the appliance's disk
	SOPInstanceUID string        `json:"sop_instance_uid,omitempty"`
	SOPClassUID    string        `json:"sop_class_uid,omitempty"`
	TransferSyntax string        `json:"transfer_syntax,omitempty"`
	Study          string        `json:"study,omitempty"`
	Series         string        `json:"series,omitempty"`
	Length         int64         `json:"length"` // of the data set
	State          string        `json:"state"`  // when it was exported
	Reason         string        `json:"reason,omitempty"`
	ReceivedAt     time.Time     `json:"received_at,omitzero"`
	AtHubAt        time.Time     `json:"at_hub_at,omitzero"`
	ArchivedAt     time.Time     `json:"archived_at,omitzero"`
	Sender         receiptSender `json:"sender"`
}

type receiptSender struct {
	AETitle string `json:"ae_title,omitempty"`
	Address string `json:"address,omitempty"`
}

func (x exported) receipt() receipt {
	o := x.row
	return receipt{ID: o.ID, Seq: o.Seq, File: x.file, FileBytes: x.bytes, FileSHA256: x.sha256, Raw: x.raw,
		SOPInstanceUID: o.SOPInstanceUID, SOPClassUID: o.SOPClass, TransferSyntax: o.TransferSyntax, Study: o.Study, Series: o.Series,
		Length: o.Bytes, State: o.State, Reason: o.Reason, ReceivedAt: o.ReceivedAt, AtHubAt: o.AtHubAt, ArchivedAt: o.ArchivedAt,
		Sender: receiptSender{AETitle: o.Calling, Address: o.Remote}}
}

// receiptName is that of the copy with another ending.
func (x exported) receiptName() string {
	return strings.TrimSuffix(x.file, filepath.Ext(x.file)) + ".json"
}

// receipt writes the file beside a copy. One of an earlier export stays, if it is
// of the same copy: what it says was true when it was written.
func (e *exporter) receipt(x exported) error {
	raw, err := json.MarshalIndent(x.receipt(), "", "  ")
	if err != nil {
		return err
	}
	err = e.small(x.receiptName(), append(raw, '\n'))
	if !errors.Is(err, errOtherFile) {
		return err
	}
	f, rerr := openPlain(filepath.Join(e.dir, x.receiptName()))
	if rerr != nil {
		return err
	}
	defer f.Close()
	var old receipt
	if json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&old) == nil && old.ID == x.row.ID && old.FileSHA256 == x.sha256 {
		return nil
	}
	return err
}

// small writes a file whose content is in memory.
func (e *exporter) small(name string, content []byte) error {
	_, err := (&exporter{dir: e.dir, prove: e.prove}).write(context.Background(), exported{file: name}, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return err
}

// wholeReceipt is receipts.json.
type wholeReceipt struct {
	Count  int       `json:"count"`
	Bytes  int64     `json:"bytes"`
	SHA256 string    `json:"sha256"` // of the lines of RECEIPT.txt that name a file
	Files  []receipt `json:"files"`
}

// summary writes RECEIPT.txt and receipts.json; where others are there already,
// RECEIPT-2.txt and so on.
func (e *exporter) summary(copies []exported) error {
	text, whole := sumUp(copies)
	raw, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return err
	}
	for n := 1; n < 1000; n++ {
		mark := ""
		if n > 1 {
			mark = fmt.Sprintf("-%d", n)
		}
		if err := e.small("RECEIPT"+mark+".txt", text); errors.Is(err, errOtherFile) {
			continue
		} else if err != nil {
			return err
		}
		if err := e.small("receipts"+mark+".json", append(raw, '\n')); !errors.Is(err, errOtherFile) {
			return err
		}
	}
	return fmt.Errorf("%s has a thousand receipts already: %w", e.dir, fs.ErrExist)
}

// sumUp makes the receipt of an export; the same files give the same bytes.
func sumUp(copies []exported) ([]byte, wholeReceipt) {
	copies = slices.SortedFunc(slices.Values(copies), func(a, b exported) int { return strings.Compare(a.file, b.file) })
	var list bytes.Buffer
	whole := wholeReceipt{Count: len(copies), Files: []receipt{}}
	for _, x := range copies {
		fmt.Fprintf(&list, "%s  %s\n", x.sha256, x.file)
		whole.Bytes += x.bytes
		whole.Files = append(whole.Files, x.receipt())
	}
	sum := sha256.Sum256(list.Bytes())
	whole.SHA256 = hex.EncodeToString(sum[:])
	var text bytes.Buffer
	fmt.Fprintf(&text, "Export by edged\n\nfiles:  %d\nbytes:  %d\nSHA-256 of the lines below: %s\n", whole.Count, whole.Bytes, whole.SHA256)
	fmt.Fprintf(&text, "\n`sha256sum -c` reads this file. receipts.json tells where each image came from and when.\n\n")
	text.Write(list.Bytes())
	return text.Bytes(), whole
}
