package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
)

// systemDesk is what the page knows about the machine.
type systemDesk struct{ a *appliance }

var _ page.SystemDesk = systemDesk{}

// System is gathered anew; all of it takes microseconds.
func (d systemDesk) System() page.System {
	s := page.System{Encrypted: d.a.cfg.Spool.Encryption, Recoverable: d.a.view.wrapped(), Certificates: d.a.shownCertificates(), Clock: d.a.clock(),
		Degrees: hottest(hwmon), Limits: d.a.cfg.Alarms.ofSystem(), Unmeasured: d.a.unmeasured(), Runtime: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Booted: booted("/proc/stat")}
	s.Repository = d.a.syslogStatus().said()
	var fs unix.Statfs_t
	if unix.Statfs(filepath.Join(d.a.cfg.DataDir, spoolDir), &fs) == nil {
		s.TotalBytes, s.FreeBytes = int64(fs.Blocks)*fs.Bsize, int64(fs.Bavail)*fs.Bsize
	}
	return s
}

// ofSystem are those that the page System marks by.
func (a *Alarms) ofSystem() page.SystemLimits {
	return page.SystemLimits{SpaceSoon: a.SpaceSoon, SpaceNow: a.SpaceNow, CertificateSoon: a.CertificateSoon, CertificateNow: a.CertificateNow}
}

// Bundle for support.
func (d systemDesk) Bundle(by account.Actor, w io.Writer) error {
	return d.a.audited(by, "support bundle", "", "", func() error { return d.a.bundle(w, time.Now()) })
}

// certificates that this appliance shows; those that it does not have are left out, but
// for that of the uplink where there is a hub.
func (a *appliance) shownCertificates() (out []page.Certificate) {
	if len(a.cfg.Uplink.Hubs) > 0 {
		out = append(out, page.Certificate{ID: "uplink", Until: a.sender.certificateUntil()})
	}
	if c := a.cfg.Dicom.TLS; c.Listen != "" {
		print, until := certificateOf(c.Cert)
		out = append(out, page.Certificate{ID: "dicom", Until: until, Print: print})
	}
	if print, until := a.pageCertificate(); print != "" {
		out = append(out, page.Certificate{ID: "page", Until: until, Print: print})
	}
	return out
}

// pagePrint is the fingerprint of the page's certificate, "" where it has none.
func (a *appliance) pagePrint() string {
	for _, c := range a.shownCertificates() {
		if c.ID == "page" {
			return c.Print
		}
	}
	return ""
}

// clock is how right the time is, as far as the kernel knows.
func (a *appliance) clock() page.Clock {
	c := a.view.Status().Clock
	return page.Clock{Known: c.State == status.ClockSynced || c.State == status.ClockAlone, Synced: c.State == status.ClockSynced,
		Error: time.Duration(c.ErrorSeconds * float64(time.Second))}
}

// unmeasured is what is not known of this machine: the disk's own view of itself and a
// UPS are not asked in this version.
func (a *appliance) unmeasured() []string {
	out := []string{"smart", "ups"}
	if hottest(hwmon) == 0 {
		out = append(out, "heat")
	}
	return out
}

// hwmon is where the kernel has temperatures, in thousandths of a degree
// (Documentation/hwmon/sysfs-interface).
const hwmon = "/sys/class/hwmon"

// hottest is in degrees, 0 where nothing is to be read. What cannot be is left out.
func hottest(dir string) (degrees int) {
	files, _ := filepath.Glob(filepath.Join(dir, "hwmon*", "temp*_input"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 0 && n < 150_000 {
			degrees = max(degrees, n/1000)
		}
	}
	return degrees
}

// booted reads btime of proc(5).
func booted(file string) time.Time {
	text, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "btime "); ok {
			if s, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64); err == nil {
				return time.Unix(s, 0)
			}
		}
	}
	return time.Time{}
}
