package spool

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// countingFS counts flushes on the way to the real file system.
type countingFS struct {
	*osFS
	files, dirs atomic.Int64
}

type countingFile struct {
	osFile
	fs *countingFS
}

func (c *countingFS) Create(name string) (File, error) {
	f, err := c.osFS.Create(name)
	if err != nil {
		return nil, err
	}
	return countingFile{f.(osFile), c}, nil
}

func (f countingFile) Sync() error {
	f.fs.files.Add(1)
	return f.osFile.Sync()
}

func (c *countingFS) SyncDir(name string) error {
	c.dirs.Add(1)
	return c.osFS.SyncDir(name)
}

// BenchmarkCommit stores objects of 512 KiB. dirsyncs/op shows how far the
// directory flush is shared; how often the disk is really flushed is up to the
// file system, which merges further.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchCommit(b, writers, 512<<10) })
	}
}

func benchCommit(b *testing.B, writers, size int) {
	real, err := openOSFS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	fs := &countingFS{osFS: real}
	s := open(b, Config{FS: fs})
	body := sample(0, size)
	b.SetBytes(int64(size))
	fs.files.Store(0)
	fs.dirs.Store(0)
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				seed := []byte(fmt.Sprint("object ", n))
				if _, _, err := tryPut(s, New{Group: "g", Seed: seed}, body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric(float64(fs.files.Load())/float64(b.N), "filesyncs/op")
	b.ReportMetric(float64(fs.dirs.Load())/float64(b.N), "dirsyncs/op")
}

// BenchmarkRecovery opens a spool of many small objects; files/s is the goal's figure.
func BenchmarkRecovery(b *testing.B) {
	const objects = 20_000
	dir := b.TempDir()
	real, err := openOSFS(dir)
	if err != nil {
		b.Fatal(err)
	}
	s := open(b, Config{FS: lazyFS{real}})
	body := sample(0, 1024)
	for n := range objects {
		put(b, s, New{Group: fmt.Sprint(n / 200), Seed: []byte(fmt.Sprint(n)), Meta: sample(n, 300), Preface: sample(n, 400)}, body)
	}
	s.Close()
	b.ResetTimer()
	for b.Loop() {
		s := open(b, Config{FS: lazyFS{real}})
		if s.Stats().Objects != objects {
			b.Fatal("objects are missing")
		}
		s.Close()
	}
	b.ReportMetric(float64(objects)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

// heapInUse is what is in use after a collection.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// lazyFS syncs nothing: it fills a benchmark's directory quickly.
type lazyFS struct{ *osFS }

type lazyFile struct{ osFile }

func (lazyFile) Sync() error        { return nil }
func (lazyFS) SyncDir(string) error { return nil }
func (l lazyFS) Create(name string) (File, error) {
	f, err := l.osFS.Create(name)
	if err != nil {
		return nil, err
	}
	return lazyFile{f.(osFile)}, nil
}
