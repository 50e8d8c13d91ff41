package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"edged/internal/durable"
)

// diskWarnings are what an administrator should know of the directories that are
// named. They look at the disks, so they are for the start and for check.
func (c *Config) diskWarnings() []string {
	var out []string
	add := func(what, dir, lost string) {
		if why, err := durable.Doubt(dir); err != nil {
			out = append(out, fmt.Sprintf("%s: %v", what, err))
		} else if why != "" {
			out = append(out, fmt.Sprintf("%s: %s is on %s: %s", what, dir, why, lost))
		}
	}
	add("data_dir", c.DataDir, "a power cut may lose what appliances were told that the hub has")
	for _, d := range c.Destinations {
		if d.Type != "dir" {
			continue
		}
		what := "destination " + d.Name
		if _, err := os.Stat(d.Path); errors.Is(err, fs.ErrNotExist) && !d.Create {
			out = append(out, fmt.Sprintf("%s: path %s is missing: is it mounted? Its objects wait until it is there", what, d.Path))
			continue
		}
		add(what, d.Path, "a power cut may lose what counts as archived and was forgotten elsewhere")
	}
	return out
}
