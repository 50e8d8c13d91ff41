package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // a static binary brings its own time zones

	"edged/internal/config"
	"edged/spool/vault"
)

// Config is edged.yaml. configs/edged.yaml shows every key with its default and
// the reason for it; a test keeps the two equal.
type Config struct {
	DataDir   string    `yaml:"data_dir"`
	Facility  Facility  `yaml:"facility"`
	Dicom     Dicom     `yaml:"dicom"`
	Spool     Spool     `yaml:"spool"`
	Uplink    Uplink    `yaml:"uplink"`
	Quality   Quality   `yaml:"quality"`
	Alarms    Alarms    `yaml:"alarms"`
	Page      Page      `yaml:"page"`
	Discovery Discovery `yaml:"discovery"`
	Syslog    Syslog    `yaml:"syslog"`
	Log       Log       `yaml:"log"`
}

type Facility struct {
	Code     string `yaml:"code"`
	Name     string `yaml:"name"`
	Contact  string `yaml:"contact"`
	TimeZone string `yaml:"time_zone"`
}

type Dicom struct {
	Listen          string   `yaml:"listen"`
	AETitle         string   `yaml:"ae_title"`
	AETitles        []Title  `yaml:"ae_titles"`
	AcceptUnknown   bool     `yaml:"accept_unknown"`
	Devices         []Device `yaml:"devices"`
	MaxAssociations int      `yaml:"max_associations"`
	MaxPerDevice    int      `yaml:"max_associations_per_device"`
	TLS             DicomTLS `yaml:"tls"`
}

type Spool struct {
	MaxBytes              config.ByteSize `yaml:"max_bytes"`
	ReserveBytes          config.ByteSize `yaml:"reserve_bytes"`
	Keep                  string          `yaml:"keep" allowed:"archived|hub"`
	RetainArchived        time.Duration   `yaml:"retain_archived"`
	Encryption            bool            `yaml:"encryption"`
	KeyProtection         string          `yaml:"key_protection" allowed:"file|tpm"`
	TPM                   string          `yaml:"tpm"`
	AllowUnsafeFilesystem bool            `yaml:"allow_unsafe_filesystem"`
}

type Page struct {
	Listen    string   `yaml:"listen"`
	Anonymous string   `yaml:"anonymous" allowed:"state|masked"`
	Hosts     []string `yaml:"hosts"`
	TLS       PageTLS  `yaml:"tls"`
}

type PageTLS struct {
	Auto bool   `yaml:"auto"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

type Discovery struct {
	Interfaces []string `yaml:"interfaces"`
	Enabled    bool     `yaml:"enabled"`
}

type Log struct {
	Level  string `yaml:"level" allowed:"debug|info|warn|error"`
	Format string `yaml:"format" allowed:"text|json"`
}

const defaultDataDir = "/var/lib/edged"

func defaultConfig() Config {
	return Config{
		DataDir:  defaultDataDir,
		Facility: Facility{TimeZone: "Europe/Rome"},
		Dicom:    Dicom{Listen: ":11112", AETitle: "EDGED", MaxAssociations: 64, MaxPerDevice: 32},
		Spool:    Spool{ReserveBytes: 2 << 30, Keep: "archived", RetainArchived: 72 * time.Hour, Encryption: true, KeyProtection: vault.File},
		Uplink:   Uplink{Transport: "auto", Lanes: Lanes{Min: 1, Max: 32}},
		Quality:  defaultQuality(),
		Alarms:   defaultAlarms(),
		Page:     Page{Listen: "127.0.0.1:8080", Anonymous: "state"},
		Syslog:   Syslog{Quota: 64 << 20},
		Log:      Log{Level: "info", Format: "text"},

		Discovery: Discovery{Enabled: true},
	}
}

// envPrefix begins the environment variables that override keys.
const envPrefix = "EDGED"

// ownEnv are variables with the prefix that are no keys.
var ownEnv = []string{"EDGED_CONFIG"}

// defaultConfigFile is read when no -c is given and it is there.
const defaultConfigFile = "/etc/edged/edged.yaml"

// loadConfig reads the file, or the default one if it is there, over the
// defaults, and the environment over both.
func loadConfig(path string) (Config, error) { return readConfig(fileInForce(path, defaultConfigFile)) }

// fileInForce is the file that was given, or else the other one, or "" where that is
// not there. One that is there and cannot be reached is not passed over: reading it
// says why.
func fileInForce(given, otherwise string) string {
	if given != "" {
		return given
	}
	if _, err := os.Stat(otherwise); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return otherwise
}

// readConfig reads this file and no other; "" is none.
func readConfig(path string) (Config, error) {
	c, _, err := readWritten(path)
	return c, err
}

// readWritten lists, besides, the keys that are written in the file.
func readWritten(path string) (Config, []string, error) {
	c := defaultConfig()
	written, err := config.LoadWritten(path, &c, envPrefix, ownEnv...)
	var unreadable *fs.PathError
	if errors.As(err, &unreadable) {
		err = usageError{err}
	}
	return c, written, err
}

// Validate judges what the types cannot.
func (c *Config) Validate() error {
	var errs config.Errors
	bad := func(key, format string, args ...any) { errs = append(errs, config.Bad(key, format, args...)) }
	c.Dicom.check(bad)
	c.Uplink.check(bad)
	c.Alarms.check(bad)
	c.Syslog.check(bad)
	c.Quality.check(bad)
	c.Discovery.check(bad)
	if c.DataDir == "" || !filepath.IsAbs(c.DataDir) {
		bad("data_dir", "%q is not an absolute path", c.DataDir)
	}
	if _, err := time.LoadLocation(c.Facility.TimeZone); err != nil || c.Facility.TimeZone == "" {
		bad("facility.time_zone", "%q is not a time zone name, as Europe/Rome", c.Facility.TimeZone)
	}
	address(bad, "page.listen", c.Page.Listen, true)
	if (c.Page.TLS.Cert == "") != (c.Page.TLS.Key == "") {
		bad("page.tls", "cert and key are needed together")
	}
	if c.Page.TLS.Auto && c.Page.TLS.Cert != "" {
		bad("page.tls.auto", "auto makes a certificate, and cert names one: leave one of them out")
	}
	for i, name := range c.Page.Hosts {
		if !isName(strings.ToLower(name)) {
			bad(fmt.Sprintf("page.hosts[%d]", i), "%q is not a name without a port, as edge1.hospital.example", name)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

type complain func(key, format string, args ...any)

func address(bad complain, key, s string, mayBeEmpty bool) {
	if s == "" && mayBeEmpty {
		return
	}
	if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
		bad(key, "%q is not an address to listen on, as :11112 or 127.0.0.1:8080", s)
	}
}

// warnings are what is allowed but wants to be known, for `check`, the log and
// the page.
func (c *Config) warnings() (out []string) {
	add := func(on bool, s string) {
		if on {
			out = append(out, s)
		}
	}
	add(c.Spool.Keep == "hub", "spool.keep is hub: images are forgotten here before the archive has confirmed them")
	add(c.Spool.AllowUnsafeFilesystem, "spool.allow_unsafe_filesystem is true: on such a file system Success does not survive a power cut")
	add(c.Dicom.AcceptUnknown, "dicom.accept_unknown is true: any AE title may store; for a bench only")
	add(!c.Spool.Encryption, "spool.encryption is false: who gets the disk gets the images")
	add(c.Page.inTheOpen(), "page.listen is open to the network and page.tls is not set: the page is seen in plain, and nobody logs in from there; page.tls.auto: true mends it")
	add(len(c.Uplink.Hubs) == 0, "uplink.hubs is empty: images are received and kept, nothing is sent")
	out = append(out, c.Uplink.warnings()...)
	return append(out, c.Dicom.warnings(c.Spool.Keep, len(c.Uplink.Hubs) == 0)...)
}
