package syslog5424

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"edged/internal/durable"
)

// segment is what is known of a file of the spool.
type segment struct {
	number   uint64
	bytes    int64
	messages int64 // in it
	lost     int64 // told in it
}

// maxSegment bounds what is read: more than any segment that this package writes.
const maxSegment = 2 << 20

func (s *spool) name(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x.seg", number))
}

// numbers are those of the segments in the directory, the oldest first.
func numbers(dir string) (all []uint64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look into the spool: %w", err)
	}
	for _, e := range entries {
		base, ours := strings.CutSuffix(e.Name(), ".seg")
		number, err := strconv.ParseUint(base, 16, 64)
		if ours && err == nil && len(base) == 16 {
			all = append(all, number)
		}
	}
	slices.Sort(all)
	return all, nil
}

// recover reads what is on the disk, as doc.go says under "The files".
func (s *spool) recover(log *slog.Logger) error {
	all, err := numbers(s.dir)
	if err != nil {
		return err
	}
	for i, number := range all {
		whole, err := s.cut(number)
		if err != nil {
			return fmt.Errorf("recover the spool: %w", err)
		}
		s.next = number + 1
		if !whole && i < len(all)-1 {
			log.Warn("a segment of the syslog spool was damaged", "segment", number)
			s.lose(1)
		}
	}
	return durable.SyncDir(s.dir)
}

// cut takes a segment in, as far as it is whole; the rest of the file goes.
func (s *spool) cut(number uint64) (whole bool, err error) {
	b, err := s.load(number)
	if err != nil {
		return false, err
	}
	all, valid := records(b, number)
	if len(all) == 0 {
		return valid == len(b) && valid > 0, os.Remove(s.name(number))
	}
	if valid < len(b) {
		if err := truncate(s.name(number), int64(valid)); err != nil {
			return false, err
		}
	}
	seg := segment{number: number, bytes: int64(valid)}
	for _, r := range all {
		seg.count(r)
	}
	s.sealed = append(s.sealed, seg)
	s.bytes += seg.bytes
	s.dropped += seg.lost
	return valid == len(b), nil
}

func (seg *segment) count(r record) {
	if n, _ := r.lost(); r.kind == kindLost {
		seg.lost += n
		return
	}
	seg.messages++
}

func (s *spool) load(number uint64) ([]byte, error) {
	f, err := os.Open(s.name(number))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSegment))
}

func truncate(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
