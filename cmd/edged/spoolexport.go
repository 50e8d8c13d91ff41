package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"edged/internal/audit"
	"edged/internal/durable"
)

type exportCmd struct {
	configFlag
	Receipts bool     `help:"Beside each file an ID.json, and for the whole export a RECEIPT.txt and receipts.json; every file is read back."`
	Dir      string   `arg:"" help:"Folder for the files, also on a USB disk, outside data_dir; made if it is missing." type:"path"`
	IDs      []string `arg:"" optional:"" name:"ID" help:"Objects, by ID or its first digits, or seq:N."`
}

func (c *exportCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if err := cfg.mayExportTo(c.Dir); err != nil {
		return err
	}
	in, rows, err := c.openPicked(p.ctx, c.IDs)
	if err != nil {
		return err
	}
	defer in.Close()
	e := exporter{in: in, dir: c.Dir, prove: c.Receipts}
	if err := e.begin(rows); err != nil {
		return err
	}
	ended := c.record(p, in, len(rows))
	copies, err := c.copy(p, &e, rows)
	ended(len(copies))
	return err
}

// exportNote is what the audit log keeps of an export: patient data has left.
type exportNote struct {
	Dir     string `json:"dir"`
	Objects int    `json:"objects"`
	Of      uint64 `json:"of,omitempty"` // the row of the intent, when it is over
	Written int    `json:"written"`
}

func (n exportNote) event(who string) audit.Event {
	e := audit.Event{Who: who, Action: "spool export", Object: fmt.Sprintf("%d objects", n.Objects), Export: n.Dir, Outcome: audit.Intended, Of: n.Of}
	if n.Of != 0 {
		e.Outcome = fmt.Sprintf("%s: %d of %d written", audit.Done, n.Written, n.Objects)
	}
	return e
}

// record notes the intent and gives what notes the end. An export that cannot be
// recorded is made all the same, and says so: it may be the last thing that a
// failing disk, or one mounted read-only, is asked for.
func (c *exportCmd) record(p *process, in inside, n int) (ended func(written int)) {
	warn := func(err error) {
		if err != nil {
			fmt.Fprintf(p.stderr, "edged: this export is not in the audit log: %v\n", err)
		}
	}
	note := exportNote{Dir: c.Dir, Objects: n}
	seq, err := in.exported(p.ctx, note)
	warn(err)
	return func(written int) {
		if seq != 0 {
			note.Of, note.Written = seq, written
			_, err := in.exported(context.WithoutCancel(p.ctx), note)
			warn(err)
		}
	}
}

// copy writes all that it can.
func (c *exportCmd) copy(p *process, e *exporter, rows []objectRow) (copies []exported, err error) {
	failed := 0
	for _, o := range rows {
		x, err := e.object(p.ctx, o)
		if err == nil && c.Receipts {
			err = e.receipt(x)
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "edged: %s: %v\n", o.ID, err)
			if failed++; errors.Is(err, unix.ENOSPC) || errors.Is(err, errDaemonStarts) || p.ctx.Err() != nil {
				return copies, fmt.Errorf("export stopped after %d of %d objects: %w; the same command goes on from there", len(copies), len(rows), err)
			}
			continue
		}
		copies = append(copies, x)
	}
	if c.Receipts {
		err = e.summary(copies)
	}
	if err = errors.Join(err, durable.SyncDir(c.Dir)); err != nil {
		return copies, err
	}
	fmt.Fprintf(p.stdout, "%d objects written to %s\n", len(copies), c.Dir)
	if failed > 0 {
		return copies, fmt.Errorf("export: %d of %d objects could not be written", failed, len(rows))
	}
	return copies, nil
}

// exporter writes plain copies of objects into a folder. A file that is there
// is never replaced: the same is proved and left, another one is an error. Names
// are an ID or a number and an ending, which every file system takes (exFAT, FAT).
type exporter struct {
	in    inside
	dir   string
	prove bool // read every file back from the disk
}

// exported is one copy.
type exported struct {
	row    objectRow
	file   string // below the folder
	bytes  int64
	sha256 string
	raw    bool // not a Part 10 file: what is on the disk, as it is
	made   bool // by this export; else it was there and is the same
}

// begin makes the folder and looks whether there is room.
func (e *exporter) begin(rows []objectRow) error {
	if err := makeFolder(e.dir); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(e.dir, &fs); err != nil {
		return fmt.Errorf("export to %s: %w", e.dir, err)
	}
	room := int64(fs.Bavail) * int64(fs.Bsize)
	if need := e.need(rows, int64(fs.Bsize)); need > room {
		return fmt.Errorf("export needs %s, %s has room for %s: take a larger disk, or name fewer objects", inBytes(need), e.dir, inBytes(room))
	}
	return nil
}

// need is what the files that are not there yet will take, each in whole blocks.
func (e *exporter) need(rows []objectRow, block int64) (n int64) {
	for _, o := range rows {
		if _, err := os.Lstat(filepath.Join(e.dir, o.ID+".dcm")); err != nil && !o.Lost {
			n += (o.FileBytes + block - 1) / block * block
			if e.prove {
				n += block // its receipt
			}
		}
	}
	return n
}

// object writes ID.dcm.
func (e *exporter) object(ctx context.Context, o objectRow) (exported, error) {
	if err := o.lost(); err != nil {
		return exported{}, err
	}
	return e.write(ctx, exported{row: o, file: o.ID + ".dcm"}, func(w io.Writer) error { return e.in.file(ctx, o, w) })
}

// damaged writes what cannot be read as an object: seq-N.damaged.
func (e *exporter) damaged(ctx context.Context, o objectRow) (exported, error) {
	x := exported{row: o, file: fmt.Sprintf("seq-%d.damaged", o.Seq), raw: true}
	return e.write(ctx, x, func(w io.Writer) error { return e.in.raw(ctx, o, w) })
}

// errOtherFile is what is in the way and is not what would be written.
var errOtherFile = errors.New("is there already and is not the same; it was left as it is")

// write fills a file and gives it its name.
//
// Order: write NAME.part, fsync, read it back, rename to NAME without replacing,
// fsync(directory) by the caller or in settle.
func (e *exporter) write(ctx context.Context, x exported, from func(io.Writer) error) (exported, error) {
	final := filepath.Join(e.dir, x.file)
	if _, err := os.Lstat(final); err == nil {
		return e.compare(x, from)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return x, err
	}
	part := final + ".part"
	f, err := createNew(part)
	if err != nil {
		return x, err
	}
	defer os.Remove(part) // fails when it has its name, as it should
	sum := &counted{to: f, sum: sha256.New()}
	err = from(sum)
	if err == nil {
		err = f.Sync()
	}
	x.bytes, x.sha256 = sum.n, sum.hex()
	if err == nil && e.prove {
		err = readBack(f, x)
	}
	if err = errors.Join(err, f.Close(), ctx.Err()); err != nil {
		return x, err
	}
	x.made = true
	return x, renameNew(part, final)
}

// counted counts and hashes what passes.
type counted struct {
	to  io.Writer
	sum hash.Hash
	n   int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}

func (c *counted) hex() string { return hex.EncodeToString(c.sum.Sum(nil)) }

// readBack compares what the disk has with what was written. The pages are
// dropped first: what is still in memory proves nothing about a USB stick.
func readBack(f *os.File, x exported) error {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // advice: where it is not taken, the copy is read from memory
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := &counted{to: io.Discard, sum: sha256.New()}
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s back: %w", x.file, err)
	}
	if sum.n != x.bytes || sum.hex() != x.sha256 {
		return fmt.Errorf("%s was read back with other bytes than were written: the disk it is on is bad", x.file)
	}
	return nil
}

// compare proves a file that is there already: an export that was cut goes on.
// Its pages are dropped first, and its name is made anew: the export before may
// have ended with a sync that failed, after which the kernel takes for written
// what is only in memory (P8). The directory's next sync has to write it again.
func (e *exporter) compare(x exported, from func(io.Writer) error) (exported, error) {
	final := filepath.Join(e.dir, x.file)
	f, err := openPlain(final)
	if err != nil {
		return x, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return x, err
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // as in readBack
	same := &sameAs{f: f}
	sum := &counted{to: same, sum: sha256.New()}
	if err := from(sum); err != nil {
		if errors.Is(same.err, errOtherFile) {
			return x, fmt.Errorf("%s %w", x.file, errOtherFile)
		}
		return x, err
	}
	if n, _ := f.Read(make([]byte, 1)); n > 0 {
		return x, fmt.Errorf("%s %w", x.file, errOtherFile)
	}
	x.bytes, x.sha256 = sum.n, sum.hex()
	return x, nameAnew(final)
}

// sameAs fails as soon as something else is written than f has.
type sameAs struct {
	f   io.Reader
	buf []byte
	err error
}

func (s *sameAs) Write(p []byte) (int, error) {
	if cap(s.buf) < len(p) {
		s.buf = make([]byte, len(p))
	}
	b := s.buf[:len(p)]
	if _, err := io.ReadFull(s.f, b); err != nil || !bytes.Equal(b, p) {
		s.err = errOtherFile
		return 0, s.err
	}
	return len(p), nil
}
