package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/internal/audit"
	"edged/internal/dicom"
	"edged/spool"
)

// A daemon that starts while a command reads the spool waits, says on its page what
// is in the way when that lasts, and goes on by itself.
func TestADaemonOutwaitsWhoReadsItsSpool(t *testing.T) {
	cfg := spool.Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true, BallastBytes: -1}
	s, err := spool.Open(t.Context(), cfg)
	ok(t, err)
	ok(t, s.Close())
	synctest.Test(t, func(t *testing.T) {
		r, err := spool.OpenReadOnly(cfg.Dir, nil)
		ok(t, err)
		k := newKeeper(cfg, slog.New(slog.DiscardHandler), func() {})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.run(ctx) }()
		pause(ctx, lockedPatience/2)
		if _, why := k.get(); why != errOpening {
			t.Errorf("a short look is told as %v", why)
		}
		pause(ctx, lockedPatience)
		if _, why := k.get(); why != errInTheWay {
			t.Errorf("a long one is told as %v", why)
		}
		select {
		case err := <-ended:
			t.Fatalf("the daemon has ended: %v", err)
		default:
		}
		ok(t, r.Close())
		_, err = k.await(ctx)
		ok(t, err)
		cancel()
		ok(t, <-ended)
	})
}

// A command that reads while no daemon runs ends when one starts, at the next
// object: images are refused until it does.
func TestACommandGivesWayToADaemon(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(t.Context(), spool.Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: -1})
	ok(t, err)
	row := putOne(t, s)
	ok(t, s.Close())
	r, err := spool.OpenReadOnly(dir, nil)
	ok(t, err)
	defer r.Close()
	started := false
	way := &giveWay{running: func(context.Context) bool { return started }}
	in := stopped{r, nil, way}
	none := func(objectRow) error { return nil }
	for _, started = range []bool{false, true} {
		way.asked = time.Time{}
		for what, err := range map[string]error{"objects": in.objects(t.Context(), none), "file": in.file(t.Context(), row, io.Discard), "verify": in.verify(t.Context(), row)} {
			if errors.Is(err, errDaemonStarts) != started || err != nil && !started {
				t.Errorf("%s, a daemon has started: %v: %v", what, started, err)
			}
		}
	}
}

// putOne stores an image in a spool.
func putOne(t *testing.T, s *spool.Spool) objectRow {
	t.Helper()
	names := dicom.Names{SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "1.2.3", TransferSyntax: "1.2.840.10008.1.2.1"}
	w, err := s.Create(spool.New{Preface: dicom.Preface(names)})
	ok(t, err)
	_, err = w.Write([]byte("the data set"))
	ok(t, err)
	o, _, err := w.Commit(t.Context())
	ok(t, err)
	return rowOf(o)
}

// withDesk is a spool with one image, opened for a change.
func withDesk(t *testing.T) (*opened, objectRow, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := spool.Open(t.Context(), spool.Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: -1})
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	row := putOne(t, s)
	trail := audit.New(audit.Config{Dir: filepath.Join(t.TempDir(), "audit")})
	return &opened{desk{s, trail}, "maria", &giveWay{asked: time.Now(), running: func(context.Context) bool { return false }}}, row, dir
}

// P2: raw bytes are a copy of what is damaged, and of nothing else. An object that
// merely could not be read for a moment stays.
func TestRawBytesAreNoCopyOfAWholeObject(t *testing.T) {
	o, row, _ := withDesk(t)
	rq := discardRequest{Seq: row.Seq, ID: row.ID, Reason: "why", Export: "/media/usb/seq-1.damaged", SHA256: hex.EncodeToString(make([]byte, 32)), Bytes: 1, Raw: true}
	var refused refusedError
	if err := o.discard(t.Context(), rq); !errors.As(err, &refused) || !strings.Contains(err.Error(), "raw bytes") {
		t.Errorf("%v, want a refusal", err)
	}
	ok(t, o.verify(t.Context(), row))
}

// A file that somebody removed while the spool was open can be discarded all the
// same, without a copy that nobody can make.
func TestWhatVanishedCanBeDiscarded(t *testing.T) {
	o, row, dir := withDesk(t)
	var name string
	ok(t, filepath.WalkDir(filepath.Join(dir, "objects"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			name = path
		}
		return err
	}))
	rq := discardRequest{Seq: row.Seq, ID: row.ID, Reason: "why"}
	var refused refusedError
	if err := o.discard(t.Context(), rq); !errors.As(err, &refused) {
		t.Errorf("without a copy, while the file is there: %v", err)
	}
	ok(t, os.Remove(name))
	c := &discardCmd{Reason: "why"}
	said, err := c.one(t.Context(), o, &exporter{in: o, dir: t.TempDir(), prove: true}, row)
	if err != nil || !strings.Contains(said, "no file to copy") {
		t.Errorf("%s, %v", said, err)
	}
	if n := len(o.spool.Objects(0, 10)); n != 0 {
		t.Errorf("%d objects are still listed", n)
	}
}
