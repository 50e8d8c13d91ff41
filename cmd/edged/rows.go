package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"edged/spool"
)

// objectRow is one object as `edged spool ls --json` prints it, one a line, and
// as the control socket gives it.
type objectRow struct {
	ID             string    `json:"id"`
	SOPInstanceUID string    `json:"sop_instance_uid"`
	Study          string    `json:"study"`
	Series         string    `json:"series,omitempty"`
	State          string    `json:"state"`
	Bytes          int64     `json:"bytes"` // of the data set
	Seq            uint64    `json:"seq"`   // order of arrival
	Modality       string    `json:"modality,omitempty"`
	TransferSyntax string    `json:"transfer_syntax"`
	SOPClass       string    `json:"sop_class_uid"`
	Calling        string    `json:"calling,omitempty"`
	Remote         string    `json:"remote,omitempty"` // its address
	Priority       string    `json:"priority"`
	ReceivedAt     time.Time `json:"received_at,omitzero"`
	AtHubAt        time.Time `json:"at_hub_at,omitzero"`
	ArchivedAt     time.Time `json:"archived_at,omitzero"`
	Findings       []string  `json:"findings,omitempty"`
	Reason         string    `json:"reason,omitempty"`   // why it is quarantined
	Conflict       bool      `json:"conflict,omitempty"` // another one has this SOP Instance UID and other contents (P5)
	Lost           bool      `json:"lost,omitempty"`     // its file was set aside or is gone; see Reason
	Damaged        bool      `json:"damaged,omitempty"`
	Unfinished     bool      `json:"unfinished,omitempty"`   // a power cut left it half written; never acknowledged unless the disk lies
	HubHasCopy     bool      `json:"hub_has_copy,omitempty"` // the hub, or the archive, has said so
	FileBytes      int64     `json:"file_bytes,omitempty"`   // as a Part 10 file
}

// lost is an error for what has no file to be read.
func (o objectRow) lost() error {
	if !o.Lost {
		return nil
	}
	return errors.New(o.Reason)
}

// when is the time of receipt, where it is known.
func (o objectRow) when() string {
	if o.ReceivedAt.IsZero() {
		return "-"
	}
	return o.ReceivedAt.Format(time.DateTime)
}

// verifyRow is the proof of one object.
type verifyRow struct {
	ID    string `json:"id"`
	Error string `json:"error,omitempty"`
}

// findingNames spells the bits of flags.
func findingNames(flags uint32) (names []string) {
	for i, name := range []string{"unreadable_header", "uid_mismatch", "illegal_uid", "test"} {
		if flags&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// remarks is what a person should know of an object, in one column: why it is
// set aside, and what was found about it.
func (o objectRow) remarks() string {
	found := strings.ReplaceAll(strings.Join(o.Findings, ", "), "_", " ")
	other := ""
	if o.Conflict {
		other = "another image here has the same SOP Instance UID and other contents"
	}
	return strings.Join(slices.DeleteFunc([]string{o.Reason, other, found}, isEmpty), ", ")
}

// rowOf shows an object; what its Meta does not say stays empty.
func rowOf(o spool.Object) objectRow {
	m, _ := decodeMeta(o.Meta) // an object with unreadable Meta is listed all the same
	return objectRow{
		ID: o.ID.String(), SOPInstanceUID: m.SOPInstance, Study: m.Study, Series: m.Series, State: o.State.String(), Bytes: o.Length, Seq: o.Seq,
		Modality: m.Modality, TransferSyntax: m.TransferSyntax, SOPClass: m.SOPClass, Calling: m.Calling, Remote: m.Remote, Priority: o.Priority.String(),
		ReceivedAt: o.Received, AtHubAt: o.AtHubAt, ArchivedAt: o.ArchivedAt, Findings: findingNames(o.Flags), Reason: o.Reason, Lost: o.Lost, Conflict: o.Conflict,
		Damaged: o.Damaged, Unfinished: o.Unfinished, HubHasCopy: o.HubHasCopy, FileBytes: o.PrefaceLen + o.Length,
	}
}

// writePart10 writes a plain Part 10 file. When the digest proves wrong the last
// bytes are withheld and the error says so.
func writePart10(w io.Writer, c *spool.Content) error {
	if _, err := w.Write(c.Preface()); err != nil {
		return err
	}
	if _, err := io.Copy(w, c.Checked(0)); err != nil {
		return fmt.Errorf("object: %w", err)
	}
	return nil
}

func isEmpty(s string) bool { return s == "" }
