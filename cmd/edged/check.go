package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"edged/spool"
)

// checkCmd judges a configuration without running it.
type checkCmd struct{ configFlag }

func (c *checkCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	for _, w := range cfg.warnings() {
		fmt.Fprintln(p.stderr, "warning:", w)
	}
	if doubt := cfg.diskDoubt(); doubt != "" {
		fmt.Fprintln(p.stderr, "warning:", doubt)
	}
	name := c.Config
	if name == "" {
		name = "defaults and environment"
	}
	_, err = fmt.Fprintf(p.stdout, "%s: in order. AE title %s on %s, data in %s, %s, %s\n",
		name, cfg.Dicom.AETitle, cfg.Dicom.Listen, cfg.DataDir, plural(int64(len(cfg.Dicom.Devices)), "device"), plural(int64(len(cfg.Uplink.Hubs)), "hub"))
	return err
}

// diskDoubt is what edged run will refuse data_dir for. Before the first start that is not there
// yet: then the directory counts in which it will be made.
func (c *Config) diskDoubt() string {
	if c.Spool.AllowUnsafeFilesystem {
		return ""
	}
	if err := spool.CheckFilesystem(existing(c.DataDir)); err != nil {
		return "edged run will not start: " + err.Error()
	}
	return ""
}

// logger writes to standard error, where the service manager picks it up.
func (l Log) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // validated
	options := &slog.HandlerOptions{Level: level}
	handler := func(w io.Writer) slog.Handler {
		if l.Format == "json" {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	}
	if toJournal(os.Stderr) {
		options.ReplaceAttr = untimed
		return slog.New(newJournalHandler(os.Stderr, handler))
	}
	return slog.New(handler(os.Stderr))
}
