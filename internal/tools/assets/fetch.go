package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// source is a package of the npm registry, at a version, with the integrity that the
// registry had for it when it was chosen.
type source struct{ name, version, sha512 string }

var (
	bootstrap = source{"bootstrap-italia", "2.18.3", "dz4kNtcAYJF4OsWABT9m3CAT3NH5y6OzGG+v/VUGH1LjumIUmlP3GaQ+aHgtv5Vw3B5dS0jbHZiHGSfdu+DffA=="}
	htmx      = source{"htmx.org", "4.0.1", "oF7JgXhDW9UXCy/k1ZYFUQgzu/rm19ORWPSPNL91vPluB2PB9+MV55tyQdH/w7o2EAbTYUG5SDW1R60mdkdqGg=="}
)

// maxFile bounds what one file of a package may be, and maxPackage the package.
const (
	maxFile    = 4 << 20
	maxPackage = 64 << 20
)

// fetch gets the files of s by npm, whose ordinary client knows proxies and mirrors, and
// believes nothing but the digest.
func (s source) fetch(dir string) (map[string][]byte, error) {
	pack := exec.Command("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, s.name+"@"+s.version)
	pack.Stderr = os.Stderr
	if err := pack.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", s.name, err)
	}
	name := filepath.Join(dir, s.name+"-"+s.version+".tgz")
	if info, err := os.Stat(name); err != nil || info.Size() > maxPackage {
		return nil, fmt.Errorf("%s: too large, or not there: %w", name, err)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if sum := sha512.Sum512(raw); base64.StdEncoding.EncodeToString(sum[:]) != s.sha512 {
		return nil, fmt.Errorf("%s@%s: this is another package than the one that was chosen", s.name, s.version)
	}
	return unpack(raw)
}

// unpack reads the regular files of a tarball into memory.
func unpack(raw []byte) (map[string][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || h.Size > maxFile {
			continue
		}
		if files[h.Name], err = io.ReadAll(io.LimitReader(r, maxFile)); err != nil {
			return nil, err
		}
	}
}
