package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"edged/internal/audit"
	"edged/spool"
)

// auditDir is below data_dir.
const auditDir = "audit"

// newTrail is the audit log of a data directory.
func newTrail(cfg *Config, key []byte) *audit.Log {
	return audit.New(audit.Config{Dir: filepath.Join(cfg.DataDir, auditDir), Key: key})
}

// desk is where people decide about objects: the same for the running daemon and
// for a command while none runs.
type desk struct {
	spool *spool.Spool
	trail *audit.Log
}

// refusedError is a request that cannot be granted; nothing was changed.
type refusedError struct{ error }

func refusef(format string, args ...any) error { return refusedError{fmt.Errorf(format, args...)} }

// release ends a hold or a quarantine here.
func (d desk) release(ctx context.Context, who string, rq releaseRequest) (a releaseAnswer, err error) {
	id, err := spool.ParseID(rq.ID)
	if err != nil {
		return a, refusedError{err}
	}
	o, err := d.spool.Object(id)
	if err != nil {
		return a, err
	}
	if a.Was = o.State.String(); o.State != spool.Quarantined && !o.Held {
		return a, refusef("it is %s: there is nothing to release", a.Was)
	}
	if o.Damaged {
		return a, refusef("its bytes are not what was stored, so it must not leave: send it again from the modality, or discard it")
	}
	err = d.trail.Do(audit.Event{Who: who, Action: "spool release", Object: objectOf(o.Seq, rq.ID), Reason: rq.Reason}, func() error {
		return d.spool.Release(ctx, id)
	})
	if now, lerr := d.spool.Object(id); lerr == nil {
		a.State = now.State.String()
	}
	return a, err
}

func objectOf(seq uint64, id string) string { return fmt.Sprintf("seq:%d %s", seq, id) }

// discard lets an object go whose copy somebody has (P2).
func (d desk) discard(ctx context.Context, who string, rq discardRequest) error {
	id, err := spool.ParseID(rq.ID)
	if err != nil {
		return refusedError{err}
	}
	if err := d.mayGo(id, rq); err != nil {
		return err
	}
	e := audit.Event{Who: who, Action: "spool discard", Object: objectOf(rq.Seq, rq.ID), Reason: rq.Reason, Export: rq.copied()}
	return d.trail.Do(e, func() error {
		return d.spool.Discard(ctx, spool.Discard{Seq: rq.Seq, ID: id, By: who, Reason: rq.Reason})
	})
}

// copied is the export as the audit log shows it.
func (rq discardRequest) copied() string {
	if rq.Export == "" {
		return "none: there was no file"
	}
	return fmt.Sprintf("%s (%d bytes, SHA-256 %s)", rq.Export, rq.Bytes, rq.SHA256)
}

// mayGo refuses a discard without a reason, or without a copy of a length that
// this object can have. That the copy was read back is the exporter's word.
func (d desk) mayGo(id spool.ID, rq discardRequest) error {
	o, err := d.bySeq(rq.Seq, id)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(rq.SHA256)
	switch {
	case strings.TrimSpace(rq.Reason) == "":
		return refusef("a discard needs a reason")
	case rq.Raw && !o.Lost && !o.Damaged:
		return refusef("the copy is of the raw bytes, and nothing says that the object is damaged: try again, or look with `edged spool verify`")
	case rq.Export == "" && d.hasFile(o):
		return refusef("a discard needs an export: there is a file to copy")
	case rq.Export != "" && (err != nil || len(sum) != 32 || !filepath.IsAbs(rq.Export)):
		return refusef("a discard needs the digest and the place of the copy")
	case rq.Export != "" && !rq.Raw && rq.Bytes != o.PrefaceLen+o.Length:
		return refusef("the copy has %d bytes, the object %d: it is no copy of this object", rq.Bytes, o.PrefaceLen+o.Length)
	}
	return nil
}

// hasFile asks the disk: the file of an object that nobody calls lost may have
// vanished since the start.
func (d desk) hasFile(o spool.Object) bool {
	f, err := d.spool.Raw(o.Seq)
	if err == nil {
		f.Close()
	}
	return !errors.Is(err, spool.ErrUnknown)
}

// bySeq is the object with that number, if it has that ID, too.
func (d desk) bySeq(seq uint64, id spool.ID) (spool.Object, error) {
	if seq > 0 {
		if all := d.spool.Objects(seq-1, 1); len(all) == 1 && all[0].Seq == seq && all[0].ID == id {
			return all[0], nil
		}
	}
	return spool.Object{}, fmt.Errorf("seq:%d %s: %w", seq, id, spool.ErrUnknown)
}

// opened is the spool of a daemon that is not running, opened to be changed.
type opened struct {
	desk
	who string
	way *giveWay
}

func (o *opened) Close() error { return o.spool.Close() }

func (o *opened) objects(ctx context.Context, visit func(objectRow) error) error {
	for after := uint64(0); ; {
		page := o.spool.Objects(after, pageOfObjects)
		for _, x := range page {
			after = x.Seq
			if err := errors.Join(ctx.Err(), visit(rowOf(x))); err != nil {
				return err
			}
		}
		if len(page) < pageOfObjects {
			return nil
		}
	}
}

func (o *opened) studies(ctx context.Context, visit func(studyRow) error) error {
	return eachStudy(ctx, o.spool, visit)
}

func (o *opened) file(ctx context.Context, r objectRow, w io.Writer) error {
	if err := o.way.look(ctx); err != nil {
		return err
	}
	id, err := spool.ParseID(r.ID)
	if err != nil {
		return err
	}
	c, err := o.spool.Open(id)
	if err != nil {
		return err
	}
	defer c.Close()
	return writePart10(w, c)
}

func (o *opened) raw(_ context.Context, r objectRow, w io.Writer) error {
	return copyRaw(w, func() (io.ReadCloser, error) { return o.spool.Raw(r.Seq) })
}

func (o *opened) exported(_ context.Context, n exportNote) (uint64, error) {
	return o.trail.Append(n.event(o.who))
}

func (o *opened) verify(ctx context.Context, r objectRow) error {
	id, err := spool.ParseID(r.ID)
	if err != nil {
		return err
	}
	return o.spool.Verify(ctx, id)
}

func (o *opened) release(ctx context.Context, rq releaseRequest) (releaseAnswer, error) {
	return o.desk.release(ctx, o.who, rq)
}

func (o *opened) discard(ctx context.Context, rq discardRequest) error {
	return o.desk.discard(ctx, o.who, rq)
}
