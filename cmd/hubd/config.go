package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"edged/internal/config"
)

// defaultConfig is read when -c is not given, if it is there.
const defaultConfig = "/etc/edged/hubd.yaml"

// Config is hubd.yaml; configs/hubd.yaml explains each key.
type Config struct {
	DataDir  string  `yaml:"data_dir"`
	Listen   string  `yaml:"listen"`
	Console  Console `yaml:"console"`
	Node     string  `yaml:"node"`
	CADir    string  `yaml:"ca_dir"`
	Database string  `yaml:"database"`
	Objects  string  `yaml:"objects"`

	ObjectsCredentials string `yaml:"objects_credentials"`

	Conflict string `yaml:"conflict" allowed:"hold|deliver"`
	Recovery string `yaml:"recovery_key"`

	ReserveBytes   config.ByteSize `yaml:"reserve_bytes"`
	RetainArchived time.Duration   `yaml:"retain_archived"`

	Limits   Limits   `yaml:"limits"`
	Events   Events   `yaml:"events"`
	Receipts Receipts `yaml:"receipts"`

	DICOM        DICOM         `yaml:"dicom"`
	Destinations []Destination `yaml:"destinations"`
	Log          Log           `yaml:"log"`

	file string // that it was read from, "" where there is none
}

// DICOM is where archives report on storage commitment.
type DICOM struct {
	Listen  string `yaml:"listen"`
	AETitle string `yaml:"ae_title"`
}

// Log says how much is logged and how.
type Log struct {
	Level  string `yaml:"level" allowed:"debug|info|warn|error"`
	Format string `yaml:"format" allowed:"text|json"`
}

// Default is the configuration of a hub that receives and keeps.
func Default() Config {
	return Config{
		DataDir:  "/var/lib/hubd",
		Listen:   ":8443",
		Console:  Console{Listen: "127.0.0.1:8081"},
		Conflict: "hold",

		ReserveBytes:   2 << 30,
		RetainArchived: 168 * time.Hour,

		Limits:   defaultLimits(),
		Events:   defaultEvents(),
		Receipts: defaultReceipts(),

		DICOM: DICOM{AETitle: "HUBD"},
		Log:   Log{Level: "info", Format: "text"},
	}
}

// load reads path, or defaultConfig when path is empty and it exists.
func load(path string) (Config, error) {
	c := Default()
	if path != "" {
		c.file = path
		err := config.Load(path, &c, "HUBD")
		var read *fs.PathError
		if errors.As(err, &read) {
			err = usageError{err} // it was named and is not there
		}
		return c, err
	}
	c.file = defaultConfig
	err := config.Load(defaultConfig, &c, "HUBD")
	if errors.Is(err, fs.ErrNotExist) {
		c = Default()
		err = config.Load("", &c, "HUBD")
	}
	return c, err
}

// Validate judges what the decoder cannot.
func (c *Config) Validate() error {
	var bad config.Errors
	add := func(key, format string, args ...any) { bad = append(bad, config.Bad(key, format, args...)) }
	if c.DataDir == "" {
		add("data_dir", "is empty: name a directory on a local disk")
	}
	for key, addr := range map[string]string{"listen": c.Listen, "console.listen": c.Console.Listen} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			add(key, "%q is not HOST:PORT, as :8443 or 127.0.0.1:8081", addr)
		}
	}
	c.Console.check(add)
	c.DICOM.check(add)
	c.Limits.check(add)
	c.Receipts.check(add)
	c.checkNode(add)
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		add("database", "want postgres://USER@HOST:5432/DATABASE?sslmode=verify-full, or nothing for SQLite in data_dir")
	}
	if _, key, err := c.bucket(); err != nil {
		add(key, "%v", err)
	}
	bad = append(bad, c.Events.check()...)
	if _, err := c.recoveryKey(); err != nil {
		add("recovery_key", "%v", err)
	}
	seen := map[string]bool{}
	for i := range c.Destinations {
		d, key := &c.Destinations[i], fmt.Sprintf("destinations[%d]", i)
		if seen[d.Name] {
			add(key+".name", "%q is used twice: jobs are kept by this name", d.Name)
		}
		seen[d.Name] = true
		bad = append(bad, d.check(key)...)
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

func (d *DICOM) check(add func(key, format string, args ...any)) {
	if d.Listen != "" {
		if _, _, err := net.SplitHostPort(d.Listen); err != nil {
			add("dicom.listen", "%q is not HOST:PORT, as :11113; leave it empty to take reports on our own associations only", d.Listen)
		}
	}
	if !validTitle(d.AETitle) {
		add("dicom.ae_title", "%q is no AE title: want 1 to 16 printable characters without backslash", d.AETitle)
	}
}

// validTitle is PS3.5 §6.2, VR AE.
func validTitle(s string) bool {
	printable := false
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
		printable = printable || s[i] != ' '
	}
	return printable && len(s) <= 16
}

// warnings are what an administrator should know though it is allowed.
func (c *Config) warnings() []string {
	var out []string
	required, commitment := false, false
	for _, d := range c.Destinations {
		required, commitment = required || d.Required, commitment || d.Confirm == "commitment"
		if d.Confirm == "success" {
			out = append(out, fmt.Sprintf("destination %s has confirm: success: its C-STORE Success counts as archived, and appliances then forget the object; no storage commitment is asked for", d.Name))
		}
	}
	if commitment && c.DICOM.Listen == "" {
		out = append(out, "dicom.listen is empty: reports of storage commitment are taken only from an archive that sends them within a minute on the association that asked; most open one of their own")
	}
	if !commitment && c.DICOM.Listen != "" {
		out = append(out, "dicom.listen is set, and no destination has confirm: commitment: nobody is admitted there")
	}
	if commitment && c.Conflict == "deliver" {
		out = append(out, "conflict: deliver: a commitment counts also for a SOP Instance UID with two contents, of which the archive may have kept one")
	}
	out = append(out, c.destinationWarnings()...)
	out = append(out, c.Console.warnings()...)
	out = append(out, c.Events.warnings(required)...)
	if c.Recovery == "" {
		out = append(out, "recovery_key is empty: what is on an appliance whose own key is lost can be read by nobody; make a pair with `hubd recovery new --out DIR`")
	}
	out = append(out, c.objectsWarnings()...)
	out = append(out, c.secretWarnings()...)
	if !required {
		out = append(out, "no destination is required: nothing is ever archived, and appliances keep everything")
	}
	return out
}
