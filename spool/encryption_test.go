package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree is every file below dir with its bytes, and when it was changed.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			out[name] = fmt.Sprint(d.IsDir())
			return err
		}
		b, err := os.ReadFile(name)
		out[name] = info.ModTime().String() + " " + string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// secret stands in everything that a caller gives to the spool.
const secret = "ROSSI^MARIO"

func secretSample(n int) New {
	return New{Group: "study of " + secret, Part: "series of " + secret, Priority: Routine, Flags: 1,
		Meta: fmt.Appendf(nil, "meta %d %s", n, secret), Preface: []byte("preface " + secret), Seed: []byte("seed " + secret)}
}

// S8: what callers gave is nowhere on the disk in plain: not in objects, finished
// or not or set aside, not in the journal, not in the index.
func TestNothingIsReadableOnTheDisk(t *testing.T) {
	ctx := context.Background()
	cfg := Config{Dir: t.TempDir(), BallastBytes: -1, RetainArchived: -1, Key: testKey}
	s := open(t, cfg)
	var all []Object
	for n := range 12 {
		o, _ := put(t, s, secretSample(n), bytes.Repeat([]byte(secret+"\n"), 1+n*n*1000))
		all = append(all, o)
	}
	steps := []error{s.NoteSet(ctx, "note of "+secret, []byte(strings.Repeat(secret, 100))), s.AtHub(ctx, receipt(all[0])), s.Hold(ctx, all[1].ID), s.archivedOutright(ctx, receipt(all[2])), s.Sweep(ctx)}
	for range 5 {
		o, err := s.Lease(ctx, "x")
		steps = append(steps, err, s.Return(o.ID, 0, Poison(errors.New("refused, says the hub of "+secret))))
	}
	if err := errors.Join(append(steps, s.Sweep(ctx))...); err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(secretSample(99)) // stays unfinished
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(bytes.Repeat([]byte(secret), 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(cfg.Dir, objectName(all[5].Seq)), filepath.Join(cfg.Dir, asideName(all[5].Seq))); err != nil {
		t.Fatal(err)
	}
	if len(rows(t, s)) != 11 {
		t.Fatal("the index is not filled: this proves nothing about it")
	}
	kinds := map[string]int{}
	for name, b := range tree(t, cfg.Dir) {
		kinds[filepath.Base(filepath.Dir(name))]++
		for _, plain := range []string{secret, "study of", "note of", "meta ", "preface ", headerMagic, sealMagic, string(all[3].ID[:])} {
			if strings.Contains(b, plain) {
				t.Errorf("%s holds %q in plain", name, plain)
			}
		}
	}
	if kinds[tmpDir] != 1 || kinds[quarantineDir] != 1 || kinds[journalDir] != 1 {
		t.Fatalf("files by directory: %v; something is missing, this proves nothing", kinds)
	}
}

// D-S12: without its key, or with another one, an encrypted spool does not open,
// and not a byte of it changes, whatever else would be there to be tidied up.
func TestWrongKeyChangesNothing(t *testing.T) {
	for _, journal := range []bool{true, false} {
		dir := t.TempDir()
		s := open(t, Config{Dir: dir, BallastBytes: -1, Key: testKey})
		for n := range 3 {
			put(t, s, newSample(n), sample(n, 20_000))
		}
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		damage := []error{
			os.WriteFile(filepath.Join(dir, objectName(1)), []byte("the first file is none"), 0o600),
			os.WriteFile(filepath.Join(dir, tmpDir, "left"), []byte("over"), 0o600),
			os.Mkdir(filepath.Join(dir, objectsDir, "0000000000fff"), 0o700),
		}
		if !journal {
			damage = append(damage, os.RemoveAll(filepath.Join(dir, journalDir)), os.Mkdir(filepath.Join(dir, journalDir), 0o700))
		}
		if err := errors.Join(damage...); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		for _, key := range [][]byte{nil, bytes.Repeat([]byte{7}, keySize)} {
			if s, err := Open(t.Context(), Config{Dir: dir, AllowUnsafeFilesystem: true, Key: key}); !errors.Is(err, ErrKey) {
				t.Errorf("open with key %x: %v, %v; want ErrKey", key, s, err)
			}
			r, err := OpenReadOnly(dir, key)
			if err == nil { // without a journal only the objects tell
				err = r.Each(func(Object) error { return nil })
				r.Close()
			}
			if !errors.Is(err, ErrKey) {
				t.Errorf("read only with key %x: %v; want ErrKey", key, err)
			}
		}
		if needs, err := NeedsKey(dir); !needs || err != nil {
			t.Errorf("NeedsKey: %v, %v", needs, err)
		}
		after := tree(t, dir)
		if len(after) != len(before) {
			t.Errorf("%d names, there were %d", len(after), len(before))
		}
		for name := range before {
			if after[name] != before[name] {
				t.Errorf("%s was changed", name)
			}
		}
	}
}

// Encryption that is switched on later takes what is there as it is, encrypts
// what comes, and leaves no plain journal and no plain row behind.
func TestEncryptionIsSwitchedOn(t *testing.T) {
	ctx := context.Background()
	cfg := Config{Dir: t.TempDir(), BallastBytes: -1}
	if needs, err := NeedsKey(filepath.Join(cfg.Dir, "none")); needs || err != nil {
		t.Fatalf("no spool needs a key: %v, %v", needs, err)
	}
	s := open(t, cfg)
	a, _ := put(t, s, secretSample(1), sample(1, 50_000))
	if err := errors.Join(s.AtHub(ctx, receipt(a)), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if needs, err := NeedsKey(cfg.Dir); needs || err != nil {
		t.Fatalf("a plain spool needs a key: %v, %v", needs, err)
	}
	cfg.Key = testKey
	s = open(t, cfg)
	if needs, err := NeedsKey(cfg.Dir); !needs || err != nil {
		t.Fatalf("no key is needed: %v, %v", needs, err)
	}
	b, _ := put(t, s, secretSample(2), sample(2, 50_000))
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantState(t, s, a.ID, AtHub)
		wantContent(t, s, a.ID, sample(1, 50_000))
		wantContent(t, s, b.ID, sample(2, 50_000))
		if got := rows(t, s); len(got) != 2 {
			t.Fatalf("rows %v", got)
		}
		s.Close()
		s = open(t, cfg)
	}
	for name, content := range tree(t, cfg.Dir) {
		if plain := strings.Contains(content, secret); plain != (filepath.Base(name) == filepath.Base(objectName(a.Seq))) {
			t.Errorf("%s: in plain: %v", name, plain)
		}
	}
	s.Close()
	r, err := OpenReadOnly(cfg.Dir, testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := errors.Join(r.Verify(ctx, a.Seq), r.Verify(ctx, b.Seq)); err != nil {
		t.Fatal(err)
	}
}

// What is said to be used of the disk is what is used, also after a restart, and
// content, preface and any offset are read as if nothing were encrypted.
func TestEncryptedObjectsAreAsLargeAsTheirFiles(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), BallastBytes: -1, Key: testKey}
	s := open(t, cfg)
	var sum int64
	var all []Object
	for n, size := range []int{0, 1, chunkSize - 200, chunkSize, 3 * chunkSize, writeBuffer + 1, 3 << 20} {
		body := sample(n, size)
		o, _ := put(t, s, newSample(n), body)
		info, err := os.Stat(filepath.Join(cfg.Dir, objectName(o.Seq)))
		if err != nil || info.Size() != o.Size || o.Length != int64(size) {
			t.Fatalf("%d bytes of %d content are told, %d lie there, %v", o.Size, o.Length, info.Size(), err)
		}
		sum += o.Size
		all = append(all, o)
		c, err := s.Open(o.ID)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(c.File())
		if err != nil || !bytes.Equal(whole, append([]byte("preface "), body...)) {
			t.Fatalf("size %d: file view differs, %v", size, err)
		}
		got, err := io.ReadAll(c.Checked(int64(size / 3)))
		if err != nil || !bytes.Equal(got, body[size/3:]) {
			t.Fatalf("size %d from a third on: %d bytes, %v", size, len(got), err)
		}
		c.Close()
	}
	for range 2 {
		if got := s.Stats().Bytes; got != sum {
			t.Fatalf("%d bytes in all, want %d", got, sum)
		}
		for _, o := range all {
			if got, err := s.Object(o.ID); err != nil || got.Size != o.Size || string(got.Meta) != string(o.Meta) {
				t.Fatalf("%+v, %v; want %+v", got, err, o)
			}
		}
		s.Close()
		s = open(t, cfg)
	}
}

// P14: a damaged chunk is told and quarantined by whoever meets it first, the
// object's ID stays known, and a re-send heals it.
func TestDamagedChunkIsTold(t *testing.T) {
	reads := map[string]func(c *Content) (int64, error){
		"checked": func(c *Content) (int64, error) { return io.Copy(io.Discard, c.Checked(0)) },
		"resumed": func(c *Content) (int64, error) { return io.Copy(io.Discard, c.Checked(60_000)) },
		"file":    func(c *Content) (int64, error) { return io.Copy(io.Discard, c.File()) },
		"read":    func(c *Content) (int64, error) { return io.Copy(io.Discard, c) },
	}
	for what, read := range reads {
		m := newMemFSWith(testKey)
		s := open(t, memConfig(m))
		body := sample(1, 100_000)
		o, _ := put(t, s, newSample(1), body)
		n, err := m.walk(objectName(o.Seq))
		if err != nil {
			t.Fatal(err)
		}
		n.data[cipherHeader+2*sealedChunk+5] ^= 4
		c, err := s.Open(o.ID)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(c)
		if !errors.Is(err, ErrCorrupt) || got > 2*chunkSize {
			t.Errorf("%s: %d bytes, %v; want ErrCorrupt at the third chunk", what, got, err)
		}
		c.Close()
		if o, err := s.Object(o.ID); err != nil || o.State != Quarantined || !o.Damaged {
			t.Errorf("%s: %+v, %v; want it quarantined", what, o, err)
		}
		if _, result := put(t, s, newSample(1), body); result != Fresh {
			t.Errorf("%s: the damaged copy answered for a re-send", what)
		}
		wantContent(t, s, o.ID, body)
	}
}

// D-S6: what recovery rewrites after a failed sync is copied as it lies there.
func TestRewrittenFilesStayEncrypted(t *testing.T) {
	m := newMemFSWith(testKey)
	s := open(t, memConfig(m))
	o, _ := put(t, s, newSample(1), sample(1, 50_000))
	was, err := m.walk(objectName(o.Seq))
	if err != nil {
		t.Fatal(err)
	}
	m.fault = func(kind, name string) error {
		if kind == "sync" {
			return syscall.EIO
		}
		return nil
	}
	if _, _, err := tryPut(s, newSample(2), sample(2, 100)); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	m.fault = nil
	s.Close()
	s = open(t, memConfig(m))
	is, err := m.walk(objectName(o.Seq))
	if err != nil || is == was || !bytes.Equal(is.data, was.data) || s.Recovery().Rewritten == 0 {
		t.Fatalf("%v: not a new file with the old bytes; %+v", err, s.Recovery())
	}
	wantContent(t, s, o.ID, sample(1, 50_000))
}

// nonces are those of every chunk and record that any of the files has, each with
// what it sealed. Files that were removed count, too.
func nonces(t *testing.T, files []*memNode) map[string]string {
	t.Helper()
	out := map[string]string{}
	use := func(salt []byte, nonce string, sealed []byte) {
		k := string(salt) + nonce
		if was, twice := out[k]; twice && was != string(sealed) {
			t.Fatalf("nonce %x was used for two different texts under salt %x", nonce, salt)
		}
		out[k] = string(sealed)
	}
	for _, f := range files {
		b := f.data
		switch {
		case isEncrypted(b) && len(b) >= cipherHeader:
			for i, rest := 0, b[cipherHeader:]; len(rest) > 0; i++ {
				n := min(len(rest), sealedChunk)
				use(b[24:56], fmt.Sprint("chunk ", i), rest[:n])
				rest = rest[n:]
			}
		case len(b) >= sealedHeader && string(b[:8]) == segmentMagic:
			for rest := b[sealedHeader:]; len(rest) >= recordHeader; {
				n := min(len(rest)-recordHeader, int(binary.BigEndian.Uint32(rest)))
				use(b[40:72], string(rest[8:16]), rest[recordHeader:recordHeader+n])
				rest = rest[recordHeader+n:]
			}
		}
	}
	return out
}

// No nonce seals two different texts, in a whole life with full disks at every
// write, with errors, and with starts after them. Only a file that was copied
// after a failed sync has the same bytes under the same nonce as another.
func TestNoNonceIsUsedTwice(t *testing.T) {
	seals := 0
	for n := 1; n <= 60; n++ {
		m := newMemFSWith(testKey)
		m.fault = func(kind, name string) error {
			if kind == "write" && m.ops%97 == n%97 || kind == "sync" && n%5 == 0 && m.ops > 100+n {
				return []error{syscall.ENOSPC, syscall.EIO}[n%2]
			}
			return nil
		}
		l := newLedger()
		_ = story(m, l)
		again := m.kill()
		again.made = m.made
		again.fault = failNth(n%40+1, isWrite, syscall.ENOSPC)
		_ = story(again, newLedger())
		seals += len(nonces(t, again.made))
	}
	t.Logf("%d texts were sealed", seals)
	if seals < 2_500 {
		t.Fatal("too few to prove anything")
	}
}

// The record that found no room, in part or at all, is finished or forgotten, but
// never sealed again with other bytes; the journal reads whole afterwards.
func TestFullDiskReusesNoRecordNumber(t *testing.T) {
	ctx := context.Background()
	for room := range int64(200) {
		m := newMemFSWith(testKey)
		cfg := memConfig(m)
		cfg.BallastBytes, cfg.ReserveBytes, cfg.JournalBytes = -1, -1, 1<<20
		s := open(t, cfg)
		a, _ := put(t, s, newSample(1), sample(1, 100))
		b, _ := put(t, s, newSample(2), sample(2, 100))
		m.free = room
		err := s.AtHub(ctx, receipt(a))
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		m.free = -1
		if err := errors.Join(s.archivedOutright(ctx, receipt(b)), s.AtHub(ctx, receipt(a))); err != nil {
			t.Fatal(err)
		}
		nonces(t, m.made)
		s = open(t, memConfig(m.powerCut(0, rand.New(rand.NewPCG(1, 1)))))
		if r := s.Recovery(); r.JournalHoles > 0 || r.JournalTorn > 0 {
			t.Fatalf("room for %d: the journal is not whole: %+v", room, r)
		}
		wantState(t, s, a.ID, AtHub)
		wantState(t, s, b.ID, Archived)
	}
}
