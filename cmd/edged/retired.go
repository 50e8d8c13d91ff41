package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"edged/internal/durable"
	"edged/spool/vault"
)

// retiredFile is below data_dir and says when `edged retire` was here. It is written
// before the keys go: as long as one is there, the retirement was cut short, and the
// marker means nothing.
const retiredFile = "retired"

func (c *Config) markRetired(at time.Time) error {
	return durable.WriteFile(filepath.Join(c.DataDir, retiredFile), []byte(at.UTC().Format(time.RFC3339)+"\n"), 0o644)
}

// mustNotBeRetired is an error where an appliance was retired, and says how to begin
// anew.
func (c *Config) mustNotBeRetired() error {
	text, err := durable.ReadFile(filepath.Join(c.DataDir, retiredFile), 1<<10)
	if errors.Is(err, fs.ErrNotExist) || err == nil && c.keyMayComeBack() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	when := ""
	if at, err := time.Parse(time.RFC3339+"\n", string(text)); err == nil {
		when = " on " + at.Format(time.DateOnly)
	}
	return usagef("this appliance was retired%s: its keys are erased, and %s is not gone on with; to begin anew, delete everything in that folder, then `edged enroll` with a new code", when, c.DataDir)
}

// keyMayComeBack: a retirement that was cut before it erased everything is none, and
// must not bar the way to images that a copy, or the recovery key, still opens.
func (c *Config) keyMayComeBack() bool {
	_, err := os.Lstat(filepath.Join(c.keysDir(), "recovery.wrapped"))
	return err == nil || vault.Exists(c.keysDir())
}
