package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"edged/internal/pglab"
	"edged/internal/s3lab"
	"edged/internal/tools/lab"
)

// place is where a hub keeps rows and objects.
type place struct {
	rows, objects string
	missing       error // why it is not there; then the rest is not
	open          func() (database string, bucket *s3lab.Bucket, err error)
}

// into has a cell keep there what it receives.
func (p place) into(c cell) (cell, error) {
	if p.missing != nil {
		return c, p.missing
	}
	var err error
	c.database, c.bucket, err = p.open()
	return c, err
}

// places are SQLite with files, and where they can be had PostgreSQL with files and
// PostgreSQL with S3.
type places struct{ sqlite, postgres, s3 place }

func openPlaces(l *lab.Lab) places {
	var p places
	p.sqlite = place{rows: "SQLite", objects: "files", open: func() (string, *s3lab.Bucket, error) { return "", nil, nil }}
	create, missing := openPostgres(l)
	p.postgres = place{rows: "PostgreSQL", objects: "files", missing: missing, open: func() (string, *s3lab.Bucket, error) {
		url, err := create()
		return url, nil, err
	}}
	p.s3 = place{rows: "PostgreSQL", objects: "S3", missing: missing}
	if missing != nil {
		return p
	}
	dir, err := l.Folder(l.Dir, "s3")
	if err != nil {
		p.s3.missing = err
		return p
	}
	bucket, err := s3lab.Run(dir)
	if p.s3.missing = err; err != nil {
		return p
	}
	l.OnClose(bucket.Close)
	p.s3.open = func() (string, *s3lab.Bucket, error) {
		url, err := create()
		return url, bucket, err
	}
	return p
}

// openPostgres starts one, and returns what makes a database of it.
func openPostgres(l *lab.Lab) (create func() (string, error), err error) {
	if err := os.Chmod(l.Dir, 0o711); err != nil { // it runs as another user when we are root
		return nil, err
	}
	pg, err := pglab.Run(l.Dir)
	if err != nil {
		return nil, errors.New(strings.TrimSpace(err.Error()))
	}
	l.OnClose(pg.Close)
	n := 0
	return func() (string, error) {
		n++
		return pg.Create(fmt.Sprintf("bench%d", n))
	}, nil
}

// hubd writes the configuration of a hub with its data below dir. All cells share the
// bucket, and each has a part of it that is named like dir.
func (c cell) hubd(dir string, at lab.Place) (*lab.Hub, error) {
	h, err := lab.NewHub(dir, at)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "log: {level: warn}\nreserve_bytes: 1GiB\n")
	if c.database != "" {
		fmt.Fprintf(&text, "database: %s\n", lab.Quote(c.database))
	}
	if c.bucket != nil {
		keys := filepath.Join(dir, "keys")
		said := "[default]\naws_access_key_id = " + c.bucket.AccessKey + "\naws_secret_access_key = " + c.bucket.SecretKey + "\n"
		if err := os.WriteFile(keys, []byte(said), 0o600); err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "objects: %s\nobjects_credentials: %s\n", lab.Quote(strings.Replace(c.bucket.URL(), "?", "/"+filepath.Base(dir)+"?", 1)), lab.Quote(keys))
	}
	if c.archive {
		fmt.Fprintf(&text, "destinations:\n  - {name: archive, type: dir, confirm: dir, path: %s, create: true}\n", lab.Quote(filepath.Join(dir, "archive")))
	}
	return h, appendTo(h.Config, text.String())
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
