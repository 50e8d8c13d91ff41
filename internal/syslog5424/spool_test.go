package syslog5424

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T, dir string, quota int64) *spool {
	t.Helper()
	s, err := openSpool(dir, quota, func() time.Time { return moment }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

// drain takes everything out as the sender does and says what it was, and how many were told lost.
func drain(t *testing.T, s *spool) (messages []string, told int64) {
	t.Helper()
	for range 10_000 {
		seg, all, err := s.take()
		if err != nil {
			t.Fatal(err)
		}
		if seg.number == 0 {
			return messages, told
		}
		arrived := int64(0)
		for _, r := range all {
			if n, _ := r.lost(); r.kind == kindLost {
				told += n
				continue
			}
			messages = append(messages, string(r.body))
			arrived++
		}
		s.done(seg, arrived)
	}
	t.Fatal("the spool has no end")
	return nil, 0
}

func put(t *testing.T, s *spool, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := s.put([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestWhatWasKeptIsThereAfterARestartInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "syslog")
	s := open(t, dir, minQuota)
	put(t, s, "a", "b")
	seg, _, err := s.take() // being sent when the power goes
	if err != nil || seg.messages != 2 {
		t.Fatalf("%+v, %v", seg, err)
	}
	put(t, s, "c")
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, minQuota)
	put(t, s, "d")
	if got, told := drain(t, s); strings.Join(got, "") != "abcd" || told != 0 {
		t.Errorf("%q, %d lost; want a b c d", got, told)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestNobodyElseReadsTheFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "syslog")
	s := open(t, dir, minQuota)
	put(t, s, "a")
	for name, want := range map[string]os.FileMode{dir: 0o700, files(t, dir)[0]: 0o600, filepath.Join(dir, "lock"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

// A power cut leaves any beginning of the newest file. Records that are whole are there,
// nothing else is, and what is kept afterwards comes behind them.
func TestAFileCutAnywhereCostsOnlyWhatWasNotPromised(t *testing.T) {
	whole, ends := sample(9, "one", "two", "three")
	for cut := range len(whole) + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000009.seg"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := ""
		for i, end := range ends {
			if cut >= end {
				want += []string{"one ", "two ", "three "}[i]
			}
		}
		s := open(t, dir, minQuota)
		put(t, s, "new")
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, minQuota) // now it is not the newest any more: a rest would be damage
		got, told := drain(t, s)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != want+"new" || told != 0 {
			t.Fatalf("cut at %d: %q, %d lost; want %snew", cut, got, told, want)
		}
	}
}

// In a file that is not the newest one a missing end is no power cut.
func TestDamageIsCountedAndTold(t *testing.T) {
	dir := t.TempDir()
	first, _ := sample(1, "one", "two")
	first[len(first)-6] ^= 1
	second, _ := sample(2, "three")
	for name, b := range map[string][]byte{"0000000000000001.seg": first, "0000000000000002.seg": second, "readme.seg": []byte("x"), "0000000000000003.tmp": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, minQuota)
	if got, told := drain(t, s); strings.Join(got, " ") != "one three" || told != 1 || s.dropped != 1 {
		t.Errorf("%q, %d told, %d dropped; want one three, 1, 1", got, told, s.dropped)
	}
}

func TestWhatCannotBeReadAnyMoreIsCountedAndTold(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, minQuota)
	put(t, s, "a", "b", "c")
	if err := os.Remove(files(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
	if got, told := drain(t, s); len(got) != 0 || told != 3 {
		t.Errorf("%q, %d told; want none, 3", got, told)
	}
}

// Oldest first, never the one on its way, never more than the quota, and every message is
// either there or told lost, across restarts.
func TestTheQuotaCostsTheOldestAndSaysHowMany(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, minQuota)
	body := strings.Repeat("x", 8<<10)
	put(t, s, "0 "+body)
	leased, _, err := s.take()
	if err != nil || leased.number == 0 {
		t.Fatal(leased, err)
	}
	const n = 300
	for i := 1; i < n; i++ {
		put(t, s, fmt.Sprint(i, " ", body))
		disk := int64(0)
		for _, name := range files(t, dir) {
			if info, err := os.Stat(name); err == nil {
				disk += info.Size()
			}
		}
		if s.bytes > minQuota || disk != s.bytes {
			t.Fatalf("%d bytes on the disk, %d in the books, quota %d", disk, s.bytes, minQuota)
		}
	}
	s.release()
	dropped := s.dropped
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, minQuota)
	if s.dropped != dropped {
		t.Errorf("%d dropped after a restart, %d before", s.dropped, dropped)
	}
	got, told := drain(t, s)
	if len(got)+int(told) != n || told != dropped || told == 0 || !strings.HasPrefix(got[0], "0 ") {
		t.Fatalf("%d arrive, %d are told lost, of %d; first %.4s", len(got), told, n, got[0])
	}
	for i, m := range got[1:] {
		if want := fmt.Sprint(i+1+int(told), " "); !strings.HasPrefix(m, want) {
			t.Fatalf("message %d is %.5s, want %s", i+1, m, want)
		}
	}
}

func TestManyShareAnFsync(t *testing.T) {
	s := open(t, t.TempDir(), minQuota)
	put(t, s, "first")
	gate, begun := make(chan struct{}), make(chan struct{}, 99)
	syncs := 0
	s.sync = func(f *os.File) error {
		syncs++
		begun <- struct{}{}
		<-gate
		return f.Sync()
	}
	var all sync.WaitGroup
	all.Go(func() { put(t, s, "leader") })
	<-begun
	for i := range 50 {
		all.Go(func() { put(t, s, fmt.Sprint(i)) })
	}
	for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
		s.mu.Lock()
		written := s.written
		s.mu.Unlock()
		if written == 52 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d written while another is being synced", written)
		}
	}
	close(gate)
	all.Wait()
	if got, _ := drain(t, s); len(got) != 52 || syncs > 3 {
		t.Errorf("%d messages with %d fsyncs", len(got), syncs)
	}
}

// P8: an fsync that failed is not tried again and believed.
func TestAFailedFsyncBreaksTheSpoolUntilItIsOpenedAnew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, minQuota)
	put(t, s, "a")
	fails := errors.New("EIO")
	s.sync = func(*os.File) error { return fails }
	if err := s.put([]byte("b")); !errors.Is(err, ErrBroken) || !errors.Is(err, fails) {
		t.Fatalf("put: %v", err)
	}
	s.sync = (*os.File).Sync
	if err := s.put([]byte("c")); !errors.Is(err, ErrBroken) {
		t.Fatalf("put after it: %v", err)
	}
	if s.dropped != 2 {
		t.Errorf("%d dropped, want 2", s.dropped)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := drain(t, open(t, dir, minQuota)); got[0] != "a" {
		t.Errorf("%q", got)
	}
}

// A full disk: half of a record was written. It is taken back, and the next one is in its place.
func TestAMessageThatCouldNotBeWrittenIsToldAndCostsNoOther(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, minQuota)
	put(t, s, "a")
	s.writeAt = func(f *os.File, b []byte, at int64) (int, error) {
		n, _ := f.WriteAt(b[:len(b)/2], at)
		return n, syscall.ENOSPC
	}
	for range 2 {
		if err := s.put([]byte("b")); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrBroken) {
			t.Fatalf("put: %v", err)
		}
	}
	s.writeAt = (*os.File).WriteAt
	put(t, s, "c")
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, minQuota)
	if got, told := drain(t, s); strings.Join(got, "") != "ac" || told != 2 || s.dropped != 2 {
		t.Errorf("%q, %d told, %d dropped; want a c, 2, 2", got, told, s.dropped)
	}
}

func TestWhatCannotBeTakenBackBreaksTheSpool(t *testing.T) {
	s := open(t, t.TempDir(), minQuota)
	put(t, s, "a")
	s.writeAt = func(f *os.File, b []byte, at int64) (int, error) {
		_ = f.Close()
		return 0, syscall.EIO
	}
	for range 2 {
		if err := s.put([]byte("b")); !errors.Is(err, ErrBroken) {
			t.Fatalf("put: %v", err)
		}
	}
}

func TestASpoolHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, minQuota)
	if s, err := openSpool(dir, minQuota, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		_ = s.close()
		t.Error("opened twice")
	}
}

// Before and after each fsync, whenever the power goes: what was promised is in a file, or
// told lost in one.
func TestACrashWhileTheOldestGoesHidesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, minQuota)
	onDisk := func() (n int64) {
		all, err := numbers(dir)
		if err != nil {
			t.Error(err)
		}
		for _, number := range all {
			b, err := s.load(number)
			if err != nil {
				t.Error(err)
			}
			seg := segment{}
			list, _ := records(b, number)
			for _, r := range list {
				seg.count(r)
			}
			n += seg.messages + seg.lost
		}
		return n
	}
	promised := int64(0)
	check := func(when string) {
		if n := onDisk(); n < promised {
			t.Errorf("%s fsync %d: %d are on the disk", when, promised, n)
		}
	}
	s.sync = func(f *os.File) error {
		check("before")
		defer check("after")
		return f.Sync()
	}
	for body := []byte(strings.Repeat("x", 16<<10)); promised < 100; promised++ {
		put(t, s, string(body))
	}
	if s.dropped == 0 {
		t.Error("nothing was dropped")
	}
}

// What is kept together costs the disk one flush, and is in order.
func TestABatchCostsOneFsync(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "syslog"), minQuota)
	flushes := 0
	s.sync = func(f *os.File) error { flushes++; return f.Sync() }
	batch := make([][]byte, 100)
	for i := range batch {
		batch[i] = fmt.Appendf(nil, "m%02d", i)
	}
	if err := s.put(batch...); err != nil {
		t.Fatal(err)
	}
	got, told := drain(t, s)
	if flushes != 1 || len(got) != 100 || got[0] != "m00" || got[99] != "m99" || told != 0 {
		t.Errorf("%d flushes, %d messages, %d told lost: %q", flushes, len(got), told, got)
	}
}
