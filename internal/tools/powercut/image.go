package main

import (
	"bytes"
	"os"
)

// blockBytes is what an image takes and copies at once.
const blockBytes = 64 << 10

var zeros [blockBytes]byte

// image is the content of a disk, in memory. What was never written is zero and
// takes no room.
type image struct {
	size   int64
	blocks map[int64][]byte // by number
	shared map[int64][]byte // of the image below an overlay
}

func newImage(size int64) *image { return &image{size: size, blocks: make(map[int64][]byte)} }

// each calls f for every part of p that lies in one block: the block's number,
// where in it the part begins, and the part.
func each(p []byte, off int64, f func(block, at int64, part []byte)) {
	for len(p) > 0 {
		block, at := off/blockBytes, off%blockBytes
		n := min(int64(len(p)), blockBytes-at)
		f(block, at, p[:n])
		p, off = p[n:], off+n
	}
}

func (m *image) read(p []byte, off int64) {
	each(p, off, func(block, at int64, part []byte) {
		if b := m.block(block); b != nil {
			copy(part, b[at:])
			return
		}
		clear(part)
	})
}

func (m *image) write(p []byte, off int64) {
	each(p, off, func(block, at int64, part []byte) {
		b := m.blocks[block]
		if b == nil {
			below := m.shared[block]
			if below == nil && bytes.Equal(part, zeros[:len(part)]) {
				return
			}
			b = make([]byte, blockBytes)
			copy(b, below)
			m.blocks[block] = b
		}
		copy(b[at:], part)
	})
}

func (m *image) block(n int64) []byte {
	if b := m.blocks[n]; b != nil {
		return b
	}
	return m.shared[n]
}

func (m *image) clone() *image {
	c := newImage(m.size)
	for n, b := range m.blocks {
		c.blocks[n] = bytes.Clone(b)
	}
	return c
}

// writeTo fills an empty file with the image.
func (m *image) writeTo(f *os.File) error {
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	for n, b := range m.shared {
		if own := m.blocks[n]; own == nil {
			if _, err := f.WriteAt(b, n*blockBytes); err != nil {
				return err
			}
		}
	}
	for n, b := range m.blocks {
		if _, err := f.WriteAt(b, n*blockBytes); err != nil {
			return err
		}
	}
	return nil
}

// contains searches the image for text, also where it lies across blocks.
func (m *image) contains(text []byte) bool {
	window := make([]byte, blockBytes+len(text))
	for n := range m.blocks {
		m.read(window, n*blockBytes)
		if bytes.Contains(window, text) {
			return true
		}
		m.read(window[:2*len(text)], max(0, n*blockBytes-int64(len(text))))
		if bytes.Contains(window[:2*len(text)], text) {
			return true
		}
	}
	return false
}

// overlay is a copy that shares what neither writes: a block is copied when the
// overlay writes it. The image below must not be written meanwhile.
func (m *image) overlay() *image {
	c := newImage(m.size)
	c.shared = m.blocks
	return c
}
