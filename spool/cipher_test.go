package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func testKeys(t testing.TB, key []byte) *keyring {
	t.Helper()
	k, err := newKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// memBytes is a file that is there.
func memBytes(b []byte) File { return &memFile{m: newMemFS(), n: &memNode{data: b}} }

// sealed is the encrypted file that holds plain, written in pieces.
func sealed(t testing.TB, keys *keyring, plain []byte, piece int) []byte {
	t.Helper()
	f := memBytes(nil).(*memFile)
	out := keys.outlet(f)
	defer out.release()
	for b := plain; len(b) > 0; {
		n := min(piece, len(b))
		if _, err := out.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := out.finish(); err != nil {
		t.Fatal(err)
	}
	if int64(len(f.n.data)) != out.n {
		t.Fatalf("%d bytes in the file, %d counted", len(f.n.data), out.n)
	}
	return f.n.data
}

// inside reads all that is in an encrypted file.
func inside(keys *keyring, file []byte) ([]byte, error) {
	b, err := keys.blob(memBytes(file))
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(onlyReader{io.NewSectionReader(b, 0, b.size)})
}

// Whatever its length, and in whatever pieces it came, what is read is what was
// written, and the sizes are known beforehand.
func TestEncryptedIsReadAsItWasWritten(t *testing.T) {
	keys := testKeys(t, testKey)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, chunks := range []int{0, 1, 2, 8, 9, 10, 17, 33} {
		for _, d := range []int{-17, -16, -1, 0, 1, 16, 17} {
			n := chunks*chunkSize + d
			if n < 1 {
				continue
			}
			plain := sample(n, n)
			for _, piece := range []int{1 + rnd.IntN(40_000), writeBuffer, 1 << 20} {
				file := sealed(t, keys, plain, piece)
				if int64(len(file)) != keys.sizeOnDisk(int64(n)) {
					t.Fatalf("%d bytes take %d on the disk, want %d", n, len(file), keys.sizeOnDisk(int64(n)))
				}
				got, err := inside(keys, file)
				if err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("%d bytes in pieces of %d: read %d, %v", n, piece, len(got), err)
				}
			}
		}
	}
}

// No two lengths of plaintext share a size on the disk, and what lies between
// those sizes is no whole file.
func TestSizesOfEncryptedFilesAreUnambiguous(t *testing.T) {
	keys, from := testKeys(t, testKey), map[int64]int64{}
	for n := int64(1); n <= 3*chunkSize+1; n++ {
		from[keys.sizeOnDisk(n)] = n
	}
	if len(from) != 3*chunkSize+1 {
		t.Fatal("two lengths share a size")
	}
	for disk := range int64(cipherHeader + 3*sealedChunk + 1) {
		n, err := sizeInside(disk)
		want, known := from[disk]
		if known != (err == nil) || known && n != want {
			t.Fatalf("%d bytes on the disk hold %d, %v; want %d, %v", disk, n, err, want, known)
		}
	}
	if n, err := sizeInside(keys.sizeOnDisk(5 << 40)); n != 5<<40 || err != nil {
		t.Fatalf("5 TiB: %d, %v", n, err)
	}
}

// encryptedObject is a whole object of two and a half chunks as it lies on the disk.
func encryptedObject(t testing.TB, keys *keyring, n int) []byte {
	t.Helper()
	h := head{group: "g", seed: testSeed, meta: []byte("m"), preface: []byte("p"), priority: Urgent}
	body := sample(n, 40_000)
	plain := append(h.encode(), body...)
	plain = append(plain, seal{seq: 1, content: int64(len(body)), id: idOf(testSeed, body), head: sha(h.encode())}.encode()...)
	return sealed(t, keys, plain, 1<<20)
}

// proved reads a file as recovery does.
func proved(keys *keyring, file []byte) error {
	b, err := keys.blob(memBytes(file))
	if err != nil {
		return err
	}
	defer b.Close()
	c, err := inspect(b, 1)
	if err != nil {
		return err
	}
	return c.proveContent(b, nil)
}

func toldAsDamage(err error) bool {
	return errors.Is(err, errNotSealed) || errors.Is(err, ErrCorrupt)
}

// P14: a bit that turned, a cut anywhere, bytes behind the end, chunks that
// changed their places or come from another file of the same key: all of it is
// found, and is told as damage.
func TestNoChangeOfAnEncryptedFileIsBelieved(t *testing.T) {
	keys := testKeys(t, testKey)
	file, other := encryptedObject(t, keys, 1), encryptedObject(t, keys, 2)
	if err := errors.Join(proved(keys, file), proved(keys, other)); err != nil {
		t.Fatal(err)
	}
	wrong := func(what string, changed []byte) {
		t.Helper()
		if err := proved(keys, changed); !toldAsDamage(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for at := range file {
		if at >= cipherHeader && at%113 > 0 && at%sealedChunk > cipherHeader+chunkTag && at < len(file)-chunkTag {
			continue // every byte of header and tags, one in 113 of the rest
		}
		changed := bytes.Clone(file)
		changed[at] ^= 1 << (at % 8)
		wrong(fmt.Sprint("bit turned in byte ", at), changed)
	}
	for n := range file {
		if border := (n - cipherHeader + sealedChunk) % sealedChunk; border > 200 && border < sealedChunk-200 && n < len(file)-200 && n%11 > 0 {
			continue // every byte near the borders, one in eleven of the rest
		}
		wrong(fmt.Sprint("cut to ", n), file[:n])
	}
	chunk := func(b []byte, i int) []byte {
		return b[cipherHeader+i*sealedChunk : min(len(b), cipherHeader+(i+1)*sealedChunk)]
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	header := file[:cipherHeader]
	wrong("cut behind the first chunk", join(header, chunk(file, 0)))
	wrong("cut behind the second chunk", join(header, chunk(file, 0), chunk(file, 1)))
	wrong("chunks exchanged", join(header, chunk(file, 1), chunk(file, 0), chunk(file, 2)))
	wrong("a chunk twice", join(header, chunk(file, 0), chunk(file, 0), chunk(file, 2)))
	wrong("a chunk too many", join(header, chunk(file, 0), chunk(file, 1), chunk(file, 1), chunk(file, 2)))
	wrong("a chunk missing", join(header, chunk(file, 0), chunk(file, 2)))
	wrong("a chunk of another file", join(header, chunk(file, 0), chunk(other, 1), chunk(file, 2)))
	wrong("the last chunk of another file", join(header, chunk(file, 0), chunk(file, 1), chunk(other, 2)))
	wrong("the header of another file", join(other[:cipherHeader], file[cipherHeader:]))
	wrong("a byte behind the end", join(file, []byte{0}))
	wrong("an empty chunk behind the end", join(file, make([]byte, chunkTag)))
}

// D-S12: without the key, with another one, or written by a later version, a file
// is not for us; it is never taken for damage.
func TestFilesOfOthersAreNotDamage(t *testing.T) {
	keys := testKeys(t, testKey)
	file := encryptedObject(t, keys, 1)
	if err := proved(nil, file); !errors.Is(err, ErrKey) || toldAsDamage(err) {
		t.Errorf("without a key: %v, want ErrKey", err)
	}
	if err := proved(testKeys(t, bytes.Repeat([]byte{1}, keySize)), file); !errors.Is(err, ErrKey) || toldAsDamage(err) {
		t.Errorf("with another key: %v, want ErrKey", err)
	}
	later := bytes.Clone(file)
	later[9]++
	binary.BigEndian.PutUint32(later[60:], checksum(later[:60]))
	if err := proved(keys, later); !errors.Is(err, errLater) || toldAsDamage(err) {
		t.Errorf("of a later version: %v, want errLater", err)
	}
}

// countingReads is a file that counts what is read of it, and that can break.
type countingReads struct {
	File
	calls, bytes atomic.Int64
	err          error
}

func (c *countingReads) ReadAt(p []byte, off int64) (int, error) {
	c.calls.Add(1)
	c.bytes.Add(int64(len(p)))
	if c.err != nil {
		return 0, c.err
	}
	return c.File.ReadAt(p, off)
}

// Resuming in the middle of a large object costs one chunk, reading on costs each
// chunk once, and large reads ask the disk for 256 KiB at a time.
func TestEncryptedReadsOnlyWhatIsNeeded(t *testing.T) {
	keys := testKeys(t, testKey)
	plain := sample(1, 100*chunkSize)
	f := &countingReads{File: memBytes(sealed(t, keys, plain, 1<<20))}
	b, err := keys.blob(f)
	if err != nil {
		t.Fatal(err)
	}
	cost := func(want int64, calls int64, what string, read func() error) {
		t.Helper()
		f.bytes.Store(0)
		f.calls.Store(0)
		if err := read(); err != nil {
			t.Fatal(err)
		}
		if f.bytes.Load() > want || f.calls.Load() > calls {
			t.Errorf("%s: %d bytes in %d reads, want at most %d in %d", what, f.bytes.Load(), f.calls.Load(), want, calls)
		}
	}
	at := func(off, n int) func() error {
		return func() error {
			p := make([]byte, n)
			if _, err := b.ReadAt(p, int64(off)); err != nil {
				return err
			}
			if !bytes.Equal(p, plain[off:off+n]) {
				return fmt.Errorf("%d bytes at %d are others", n, off)
			}
			return nil
		}
	}
	cost(sealedChunk, 1, "100 bytes in the middle", at(50*chunkSize+77, 100))
	cost(0, 0, "the next 100 bytes", at(50*chunkSize+177, 100))
	cost(2*sealedChunk, 1, "100 bytes over a border", at(60*chunkSize-50, 100))
	cost(16*sealedChunk, 1, "256 KiB", at(16*chunkSize, 256<<10))
	cost(64*sealedChunk, 4, "a mebibyte", at(32*chunkSize, 1<<20))
	cost(100*sealedChunk, 101, "all, in pieces that fit no chunk", func() error {
		_, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{io.NewSectionReader(b, 0, b.size)}, make([]byte, 10_007))
		return err
	})
	cost(100*sealedChunk+sealedChunk, 102, "all, past the header", func() error {
		_, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{io.NewSectionReader(b, 300, b.size-300)}, make([]byte, 32<<10))
		return err
	})
}

// P8: what the disk says when it cannot read stays what it is: no damage.
func TestEncryptedReadErrorIsTheDisks(t *testing.T) {
	keys := testKeys(t, testKey)
	f := &countingReads{File: memBytes(encryptedObject(t, keys, 1))}
	b, err := keys.blob(f)
	if err != nil {
		t.Fatal(err)
	}
	f.err = syscall.EIO
	if _, err := b.ReadAt(make([]byte, 10), 5); !errors.Is(err, syscall.EIO) || toldAsDamage(err) {
		t.Errorf("read: %v, want EIO", err)
	}
	if _, err := keys.blob(f); !errors.Is(err, syscall.EIO) || toldAsDamage(err) {
		t.Errorf("open: %v, want EIO", err)
	}
}

// io.ReaderAt: many at a time, at any offset, up to the end and behind it.
func TestEncryptedIsReadByMany(t *testing.T) {
	keys := testKeys(t, testKey)
	plain := sample(1, 20*chunkSize+1234)
	b, err := keys.blob(memBytes(sealed(t, keys, plain, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(g, g))
			for range 200 {
				off, n := rnd.IntN(len(plain)+10), rnd.IntN(3*chunkSize)
				p := make([]byte, n)
				got, err := b.ReadAt(p, int64(off))
				want := plain[min(off, len(plain)):min(off+n, len(plain))]
				if !bytes.Equal(p[:got], want) || (err == nil) != (got == n) || err != nil && err != io.EOF {
					t.Errorf("%d bytes at %d: %d, %v", n, off, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if _, err := b.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is no error")
	}
}

// A write that failed is never followed by anything under the same key: the
// chunk is in the file perhaps, and its nonce is used.
func TestNothingIsSealedAfterAnError(t *testing.T) {
	fs := newMemFS()
	fs.free = 20_000
	f := &memFile{m: fs, n: &memNode{}}
	out := testKeys(t, testKey).outlet(f)
	_, err := out.Write(sample(1, 5*chunkSize))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("on a full disk: %v", err)
	}
	fs.free = -1
	was, sealed := len(f.n.data), out.seal.n
	_, err = out.Write(sample(2, 5*chunkSize))
	if err2 := out.finish(); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err2, syscall.ENOSPC) {
		t.Errorf("afterwards: %v, %v; want the first error again", err, err2)
	}
	if len(f.n.data) != was || out.seal.n != sealed {
		t.Errorf("%d bytes and %d chunks came after the error", len(f.n.data)-was, out.seal.n-sealed)
	}
}

// fixedFile is an encrypted file without chance in it.
func fixedFile(t testing.TB, keys *keyring, plain []byte) []byte {
	t.Helper()
	header := keys.newFile().header
	clear(header[24:56])
	binary.BigEndian.PutUint32(header[60:], checksum(header[:60]))
	f := memBytes(nil).(*memFile)
	out := &outlet{f: f, seal: newSealer(keys.fileCipher(header))}
	if _, err := out.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := out.finish(); err != nil {
		t.Fatal(err)
	}
	return f.n.data
}

// FuzzEncryptedFile: whatever is in a file, reading it ends, within its bounds;
// what can be read to the end is what sealing the same again would give.
func FuzzEncryptedFile(f *testing.F) {
	keys := testKeys(f, testKey)
	whole := fixedFile(f, keys, sample(1, 40_000)) // the same one in every process
	f.Add(whole[cipherHeader:], uint16(0), int64(0))
	f.Add(whole[cipherHeader:len(whole)-1], uint16(300), int64(16_000))
	f.Add(whole[cipherHeader:cipherHeader+sealedChunk], uint16(7), int64(-1))
	f.Add([]byte{}, uint16(1), int64(1<<62))
	f.Fuzz(func(t *testing.T, body []byte, piece uint16, off int64) {
		file := append(bytes.Clone(whole[:cipherHeader]), body...)
		b, err := keys.blob(memBytes(file))
		if err != nil {
			return
		}
		defer b.Close()
		p := make([]byte, int(piece)+1)
		if n, err := b.ReadAt(p, off); n < len(p) && err == nil || off+int64(n) > b.size && n > 0 {
			t.Fatalf("%d of %d bytes at %d of %d without an error", n, len(p), off, b.size)
		}
		plain, err := io.ReadAll(onlyReader{io.NewSectionReader(b, 0, b.size)})
		if err != nil {
			return
		}
		again := memBytes(nil).(*memFile)
		out := &outlet{f: again, seal: newSealer(keys.fileCipher(file[:cipherHeader]))}
		if _, err := out.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := out.finish(); err != nil || !bytes.Equal(again.n.data, file) {
			t.Fatalf("%d bytes can be read and are not what sealing gives, %v", len(plain), err)
		}
	})
}

// FuzzEncryptedHeader: no header takes the reader out of its bounds.
func FuzzEncryptedHeader(f *testing.F) {
	keys := testKeys(f, testKey)
	f.Add(encryptedObject(f, keys, 1)[:cipherHeader])
	f.Add(newSegment(keys, 3).header)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) >= cipherHeader {
			copy(b, cipherMagic)
			binary.BigEndian.PutUint32(b[60:], checksum(b[:60]))
		}
		if _, err := keys.blob(memBytes(b)); err == nil && len(b) >= cipherHeader && !bytes.Equal(b[16:24], keys.id[:]) {
			t.Fatal("a file of another key was opened")
		}
	})
}
