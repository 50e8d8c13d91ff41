package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"edged/spool"
)

// What is not encrypted although it should be: containers, journals and rows of the
// index that came before encryption was switched on, or that somebody put there, and
// rows of the audit log. Each may name a person.

// What a plain index and a plain audit log hold.
var (
	plainRows  = []byte("objects 1")
	plainEvent = []byte(`"event":`)
)

// plainFiles lists the files of the appliance that show images or names without a
// key, images first: a message names only a few.
func (c *Config) plainFiles() (all []string, err error) {
	for dir, plain := range map[string]func(path string) (bool, error){
		c.spoolDir():                       c.plainInSpool,
		filepath.Join(c.DataDir, auditDir): func(path string) (bool, error) { return holds(path, plainEvent) },
		c.DataDir:                          c.readableElsewhere,
	} {
		some, err := filesThat(plain, dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return all, err
		}
		all = append(all, some...)
	}
	images := filepath.Join(c.spoolDir(), "objects") + "/"
	slices.SortFunc(all, func(a, b string) int {
		if first := strings.HasPrefix(a, images); first != strings.HasPrefix(b, images) {
			return map[bool]int{true: -1, false: 1}[first]
		}
		return strings.Compare(a, b)
	})
	return all, nil
}

// filesThat looks through dir, also where that is a link to another disk.
func filesThat(are func(path string) (bool, error), dir string) (all []string, err error) {
	err = filepath.WalkDir(dir+"/", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		yes, err := are(path)
		if yes {
			all = append(all, path)
		}
		return err
	})
	return all, err
}

// plainInSpool takes for plain whatever does not say that it is encrypted: also what
// nobody knows, and what has lost its beginning.
func (c *Config) plainInSpool(path string) (bool, error) {
	switch name, _ := filepath.Rel(c.spoolDir(), path); name {
	case "lock", "ballast", "suspect", "calm":
		return false, nil
	case "index.db":
		return holds(path, plainRows)
	}
	return notSealed(path)
}

func notSealed(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, spool.EncryptedHead)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return n > 0 && !spool.Encrypted(head[:n]), nil
}

// holds searches a file of any size.
func holds(path string, what []byte) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	window, kept := make([]byte, 256<<10), 0
	for {
		n, err := f.Read(window[kept:])
		if bytes.Contains(window[:kept+n], what) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		tail := window[max(0, kept+n-len(what)+1) : kept+n]
		kept = copy(window, tail)
	}
}

// someOf names a few of many files.
func someOf(names []string) string {
	const few = 3
	if len(names) > few {
		return strings.Join(names[:few], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
