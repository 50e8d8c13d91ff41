package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// What below data_dir, but not in the spool or the audit log, tells of images without
// any key: an export of earlier days, a copy that somebody made of the spool. What is
// in these two is judged more strictly; see plainInSpool.

// readableElsewhere looks for what is drawn in PS3.10 §7.1 and in spool/doc.go.
func (c *Config) readableElsewhere(path string) (bool, error) {
	for _, dir := range []string{c.spoolDir(), filepath.Join(c.DataDir, auditDir)} {
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return false, nil
		}
	}
	head, err := headOf(path)
	if err != nil || !isBolt(head) {
		return isReadable(head), err
	}
	return holds(path, plainRows)
}

func headOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it went while this was looking
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 4<<10) // a row of the audit log is longer only if its reason is
	n, err := io.ReadFull(f, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

func isReadable(head []byte) bool {
	at := func(offset int, what string) bool {
		return len(head) >= offset && bytes.HasPrefix(head[offset:], []byte(what))
	}
	row, _, _ := bytes.Cut(head, []byte("\n"))
	return at(128, "DICM") || at(0, "EDGEDOBJ") || at(0, "EDGEDJNL\x00\x00\x00\x01") || at(0, `{"seq":`) && bytes.Contains(row, plainEvent)
}

// isBolt knows bbolt's meta page: 16 bytes of page header, then its magic in the
// order of the machine.
func isBolt(head []byte) bool {
	return len(head) >= 20 && (bytes.Equal(head[16:20], []byte{0xed, 0xda, 0x0c, 0xed}) || bytes.Equal(head[16:20], []byte{0xed, 0x0c, 0xda, 0xed}))
}
