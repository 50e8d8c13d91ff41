package main

import (
	"embed"
	"os"
	"path/filepath"
)

//go:embed peers
var scripts embed.FS

// script writes one of the scripts into the lab and says where.
func (l *lab) script(name string) (string, error) {
	b, err := scripts.ReadFile("peers/" + name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(l.dir, name)
	return path, os.WriteFile(path, b, 0o600)
}
