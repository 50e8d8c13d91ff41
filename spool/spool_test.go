package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// open opens a spool in dir as the tests need it and closes it at the end.
func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	cfg.AllowUnsafeFilesystem = true
	if cfg.BallastBytes == 0 {
		cfg.BallastBytes = 64 << 10
	}
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// sample is the content of the n-th test object, different for each n.
func sample(n, size int) []byte {
	seed := sha256.Sum256([]byte(fmt.Sprint("sample ", n)))
	return bytes.Repeat(seed[:], size/len(seed)+1)[:size]
}

func idOf(seed, content []byte) ID {
	return ID(sha256.Sum256(append(bytes.Clone(seed), content...)))
}

var testSeed = []byte("seed")

func newSample(n int) New {
	return New{Group: fmt.Sprint("group ", n%3), Priority: Routine, Meta: []byte(fmt.Sprint("meta ", n)), Preface: []byte("preface "), Seed: testSeed, Flags: uint32(n)}
}

// put commits one object and returns what Commit said.
func put(t testing.TB, s *Spool, n New, content []byte) (Object, CommitResult) {
	t.Helper()
	o, result, err := tryPut(s, n, content)
	if err != nil {
		t.Fatal(err)
	}
	return o, result
}

func tryPut(s *Spool, n New, content []byte) (Object, CommitResult, error) {
	w, err := s.Create(n)
	if err != nil {
		return Object{}, 0, err
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return Object{}, 0, err
	}
	return w.Commit(context.Background())
}

// content reads an object through the checking reader.
func content(s *Spool, id ID) ([]byte, error) {
	c, err := s.Open(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(c.Checked(0))
}

func wantContent(t testing.TB, s *Spool, id ID, want []byte) {
	t.Helper()
	got, err := content(s, id)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("object %s: %d bytes, %v; want %d bytes as stored", id, len(got), err, len(want))
	}
}

func wantState(t testing.TB, s *Spool, id ID, want State) {
	t.Helper()
	if o, err := s.Object(id); err != nil || o.State != want {
		t.Fatalf("object %s is %v, %v; want %v", id, o.State, err, want)
	}
}

func receipt(o Object) []Receipt {
	return []Receipt{{ID: o.ID, Length: o.Length, At: time.Unix(1e9, 0)}}
}

func TestLifeOfAnObject(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	cfg := Config{Dir: dir, RetainArchived: -1}
	s := open(t, cfg)
	body := sample(1, 300_000)
	o, result := put(t, s, newSample(1), body)
	if result != Fresh || o.ID != idOf(testSeed, body) || o.Length != int64(len(body)) || o.State != Received {
		t.Fatalf("commit: %+v %v", o, result)
	}
	leased, err := s.Lease(ctx, "lane 1")
	if err != nil || leased.ID != o.ID || string(leased.Meta) != "meta 1" || leased.State != Sending {
		t.Fatalf("lease: %+v %v", leased, err)
	}
	wantContent(t, s, o.ID, body)
	if err := s.AtHub(ctx, receipt(o)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, AtHub)

	// The hub's word survives; the hub's word alone forgets nothing.
	s.Close()
	s = open(t, cfg)
	wantState(t, s, o.ID, AtHub)
	wantContent(t, s, o.ID, body)
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, AtHub)
	if err := s.Archived(ctx, receipt(o)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Archived)
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Object(o.ID); !errors.Is(err, ErrUnknown) {
		t.Fatalf("after the archive's word and the sweep: %v, want ErrUnknown", err)
	}
	if err := s.Archived(ctx, receipt(o)); err != nil {
		t.Fatalf("the archive repeats itself: %v", err)
	}

	s.Close()
	s = open(t, cfg)
	if got := s.Forgotten(10); len(got) != 1 || got[0].ID != o.ID || got[0].Group != "group 1" {
		t.Fatalf("forgotten: %+v", got)
	}
	if c := s.Counters(); c[CountReceived] != 1 || c[CountAtHub] != 1 || c[CountArchived] != 1 {
		t.Fatalf("counters: %v", c)
	}
	if names, _ := s.fs.ReadDir(tmpDir); len(names) != 0 {
		t.Fatalf("left in tmp: %v", names)
	}
}
