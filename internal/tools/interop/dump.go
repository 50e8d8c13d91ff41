package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"edged/internal/dicom"
)

func preface(o object) []byte { return dicom.Preface(o.Names) }

// shown is what dcmdump prints of lengths and of the end of sequences.
var shown = regexp.MustCompile(`(?m)(#\s*(\d+|u/l),\s*\d+ .*$|\((Sequence|Item|PixelSequence)? ?with (explicit|undefined) length #=(\d+)\)|\(fffe,e0[0d]d\).*\n)`)

// dump is what DCMTK reads in a file, without file meta, group lengths and forms
// of lengths.
func (l *lab) dump(ctx context.Context, file []byte) (string, error) {
	dir, err := l.folder("dump")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "file.dcm")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return "", err
	}
	said, err := l.call(ctx, "dcmdump", "-q", "+L", "+Un", path)
	if err != nil {
		return "", err
	}
	var lines []string
	for line := range strings.Lines(shown.ReplaceAllString(said, "")) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "(0002,") && !strings.HasPrefix(line, "#") && !strings.Contains(line, ",0000)") && line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n"), nil
}
