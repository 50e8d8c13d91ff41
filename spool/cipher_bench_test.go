package spool

import (
	"fmt"
	"syscall"
	"testing"
)

// benchBoth runs f plain and encrypted.
func benchBoth(b *testing.B, f func(b *testing.B, key []byte)) {
	b.Run("plain", func(b *testing.B) { f(b, nil) })
	b.Run("encrypted", func(b *testing.B) { f(b, testKey) })
}

// cpuTime is what this process has used, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkPut stores objects of 512 KiB and syncs nothing: what encryption costs
// the processor, cpu-µs/op, without the disk's time.
func BenchmarkPut(b *testing.B) { benchBoth(b, benchPut) }

func benchPut(b *testing.B, key []byte) {
	real, err := openOSFS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s := open(b, Config{FS: lazyFS{real}, Key: key, ReserveBytes: -1, RetainArchived: -1})
	body := sample(0, 512<<10)
	b.SetBytes(int64(len(body)))
	b.ResetTimer()
	began := cpuTime(b)
	for n := range b.N {
		o, _ := put(b, s, New{Group: "g", Seed: fmt.Append(nil, n)}, body)
		if err := s.fs.Remove(objectName(o.Seq)); err != nil { // the page cache is not what is measured
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-began)/1e3/float64(b.N), "cpu-µs/op")
}

// BenchmarkScan opens a spool of many objects, small ones and such with a head
// and a seal in two chunks; files/s is the goal's figure, 20,000. cpu-µs/file does
// not depend on what else the machine does.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{1 << 10, 24 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			benchBoth(b, func(b *testing.B, key []byte) { benchScan(b, key, size) })
		})
	}
}

func benchScan(b *testing.B, key []byte, size int) {
	const objects = 10_000
	real, err := openOSFS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	cfg := Config{FS: lazyFS{real}, Key: key}
	s := open(b, cfg)
	body := sample(0, size)
	for n := range objects {
		put(b, s, New{Group: fmt.Sprint(n / 200), Seed: fmt.Append(nil, n), Meta: sample(n, 300), Preface: sample(n, 400)}, body)
	}
	s.Close()
	var scanned float64
	var cpu int64
	b.ResetTimer()
	for b.Loop() {
		began := cpuTime(b)
		s := open(b, cfg)
		cpu += cpuTime(b) - began
		if s.Stats().Objects != objects {
			b.Fatal("objects are missing")
		}
		scanned += s.Recovery().Duration.Seconds()
		s.Close()
	}
	b.ReportMetric(objects*float64(b.N)/scanned, "files/s")
	b.ReportMetric(float64(cpu)/1e3/objects/float64(b.N), "cpu-µs/file")
}

// BenchmarkChecked reads an object of 20 MiB as it is read for sending.
func BenchmarkChecked(b *testing.B) { benchBoth(b, benchChecked) }

func benchChecked(b *testing.B, key []byte) {
	real, err := openOSFS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s := open(b, Config{FS: lazyFS{real}, Key: key})
	o, _ := put(b, s, newSample(1), sample(1, 20<<20))
	b.SetBytes(20 << 20)
	for b.Loop() {
		if err := s.Verify(b.Context(), o.ID); err != nil {
			b.Fatal(err)
		}
	}
}
