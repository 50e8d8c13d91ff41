package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Title is a further called AE title and the priority it stands for.
type Title struct {
	Title    string `yaml:"title"`
	Priority string `yaml:"priority" allowed:"urgent|routine|backfill"`
}

// Device is a DICOM node that may call.
type Device struct {
	AETitle    string   `yaml:"ae_title"`
	Address    string   `yaml:"address"`
	Port       int      `yaml:"port"`
	Name       string   `yaml:"name"`
	Priority   string   `yaml:"priority" allowed:"urgent|routine|backfill"`
	Services   []string `yaml:"services" allowed:"store|query|move|get"`
	Commitment string   `yaml:"commitment" allowed:"archived|received|off"`
	TLS        string   `yaml:"tls" allowed:"any|server|mutual"`
	TLSName    string   `yaml:"tls_name"` // in its certificate
	Quirks     []string `yaml:"quirks" allowed:"report-on-new-association|any-called-title"`

	Quiet time.Duration `yaml:"quiet"` // nothing for so long after the association: the study is complete
}

// The services of a device. Store stands for what belongs to it: C-ECHO, C-STORE,
// storage commitment, performed procedure steps.
const (
	serviceStore = "store" // PS3.4 Annexes B, J, F
	serviceQuery = "query" // C-FIND, PS3.4 Annex C
	serviceMove  = "move"  // C-MOVE
	serviceGet   = "get"   // C-GET
)

// When a device is told that its images are committed.
const (
	commitArchived = "archived" // the archive has confirmed them
	commitReceived = "received" // they are safe here
	commitOff      = "off"      // it is not offered the service
)

// How a device has to come.
const (
	tlsAny    = "any"    // by either port
	tlsServer = "server" // by the TLS port; a certificate of its own is not demanded
	tlsMutual = "mutual" // by the TLS port, with a certificate of dicom.tls.client_ca
)

// Quirks are what a device needs that the standard does not ask for
// (dimse/COMPAT.md says who was met).
const (
	quirkNewAssociation = "report-on-new-association" // the answer of storage commitment never on the association that asked
	quirkAnyCalled      = "any-called-title"          // it may call us whatever it likes
)

// DicomTLS is the second port.
type DicomTLS struct {
	Listen   string `yaml:"listen"`
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"`
}

// SetDefaults are the values of a title that is listed without them.
func (t *Title) SetDefaults() { t.Priority = "routine" }

// SetDefaults are the values of a device that is listed without them.
func (d *Device) SetDefaults() {
	d.Priority, d.Services, d.Commitment, d.TLS, d.Quiet = "routine", []string{serviceStore}, commitArchived, tlsAny, defaultQuiet
}

// defaultQuiet is a pause that modalities do not make within a study.
const defaultQuiet = time.Minute

func (d *Device) has(service string) bool { return slices.Contains(d.Services, service) }

func (d *Device) quirk(name string) bool { return slices.Contains(d.Quirks, name) }

// retrieves says whether the device may look at what others have stored.
func (d *Device) retrieves() bool {
	return d.has(serviceQuery) || d.has(serviceMove) || d.has(serviceGet)
}

func (d *Dicom) check(bad complain) {
	address(bad, "dicom.listen", d.Listen, d.TLS.Listen != "")
	address(bad, "dicom.tls.listen", d.TLS.Listen, true)
	if d.TLS.Listen != "" && (d.TLS.Cert == "" || d.TLS.Key == "") {
		bad("dicom.tls", "listen needs cert and key")
	}
	aeTitle(bad, "dicom.ae_title", d.AETitle)
	for i, t := range d.AETitles {
		aeTitle(bad, fmt.Sprintf("dicom.ae_titles[%d].title", i), t.Title)
	}
	d.checkTwice(bad)
	for i, dev := range d.Devices {
		key := fmt.Sprintf("dicom.devices[%d]", i)
		dev.check(bad, key)
		dev.checkTLS(bad, key, d.TLS)
	}
	if d.MaxAssociations < 1 || d.MaxAssociations > 4096 {
		bad("dicom.max_associations", "%d is not between 1 and 4096", d.MaxAssociations)
	}
	if d.MaxPerDevice < 1 || d.MaxPerDevice > 4096 {
		bad("dicom.max_associations_per_device", "%d is not between 1 and 4096", d.MaxPerDevice)
	}
}

// checkTwice refuses what is said twice: the second could say something else, and
// nobody would see which of the two holds.
func (d *Dicom) checkTwice(bad complain) {
	taken := map[string]string{sameTitle(d.AETitle): "dicom.ae_title"}
	for i, t := range d.AETitles {
		key := fmt.Sprintf("dicom.ae_titles[%d].title", i)
		if first, twice := taken[sameTitle(t.Title)]; twice {
			bad(key, "%q is %s already", t.Title, first)
			continue
		}
		taken[sameTitle(t.Title)] = key
	}
	for i, b := range d.Devices {
		for k, a := range d.Devices[:i] {
			if sameTitle(a.AETitle) == sameTitle(b.AETitle) && a.overlaps(b) {
				bad(fmt.Sprintf("dicom.devices[%d].ae_title", i), "%q is dicom.devices[%d] already, and their addresses overlap: no caller could be told to be the one or the other", b.AETitle, k)
				break
			}
		}
	}
}

// sameTitle is what of an AE title counts: blanks around it do not (PS3.5 §6.2).
func sameTitle(s string) string { return strings.Trim(s, " ") }

// overlaps says whether one caller could come from the addresses of both.
func (d *Device) overlaps(other Device) bool {
	a, errA := parseNet(d.Address)
	b, errB := parseNet(other.Address)
	switch {
	case d.Address == "" || other.Address == "":
		return true // from anywhere
	case errA != nil || errB != nil:
		return false // told of already
	}
	return a.Overlaps(b)
}

func (d *Device) check(bad complain, key string) {
	aeTitle(bad, key+".ae_title", d.AETitle)
	if _, err := parseNet(d.Address); d.Address != "" && err != nil {
		bad(key+".address", "%q is not an IP address or network, as 10.0.0.5 or 10.0.0.0/24", d.Address)
	}
	if d.Port < 0 || d.Port > 65535 {
		bad(key+".port", "%d is not a port", d.Port)
	}
	if _, one := d.single(); d.Port > 0 && d.Address != "" && !one {
		bad(key+".port", "%d is of no use with a network: give the one address at which the device listens", d.Port)
	}
	if d.Quiet < time.Second || d.Quiet > 24*time.Hour {
		bad(key+".quiet", "%s is not between 1s and 24h", d.Quiet)
	}
	if len(d.Services) == 0 {
		bad(key+".services", "is empty: the device could do nothing but C-ECHO; leave the key out for [store], or leave the device out")
	}
	if d.retrieves() && !d.bound() {
		bad(key+".services", "query, move and get show persons, and an AE title is easily forged: give the device's address (not every address there is), or tls: mutual with tls_name, the name in its certificate")
	}
}

func (d *Device) checkTLS(bad complain, key string, t DicomTLS) {
	if d.TLS != tlsAny && t.Listen == "" {
		bad(key+".tls", "%s needs dicom.tls.listen, which is empty", d.TLS)
	}
	if d.TLS == tlsMutual && t.ClientCA == "" {
		bad(key+".tls", "mutual needs dicom.tls.client_ca, which is empty")
	}
	if d.TLSName == "" {
		return
	}
	if strings.ContainsAny(d.TLSName, "* \t") {
		bad(key+".tls_name", "%q is not a name in a certificate, as ct1.hospital.example or 10.0.0.5; wildcards are not taken", d.TLSName)
	}
	if t.ClientCA == "" {
		bad(key+".tls_name", "%s needs dicom.tls.client_ca, which is empty: a name proves something only in a certificate of an authority that is known", d.TLSName)
	}
}

// bound says whether another device cannot simply call itself by the title of this
// one: that takes its address, or its certificate.
func (d *Device) bound() bool {
	p, err := parseNet(d.Address)
	return err == nil && p.Bits() > 0 || d.TLS == tlsMutual && d.TLSName != ""
}

// single is the device's address when it is one machine and not a network.
func (d *Device) single() (netip.Addr, bool) {
	p, err := parseNet(d.Address)
	return p.Addr(), err == nil && p.IsSingleIP()
}

// aeTitle checks PS3.5 §6.2: 1 to 16 characters, no backslash, no control
// characters, not only blanks.
func aeTitle(bad complain, key, s string) {
	wrong := func(r rune) bool { return r < ' ' || r == '\\' || r > '~' }
	if strings.TrimSpace(s) == "" || len(s) > 16 || strings.IndexFunc(s, wrong) >= 0 {
		bad(key, "%q is not an AE title: 1 to 16 printable ASCII characters, no backslash", s)
	}
}

func parseNet(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

// warnings are what is allowed here but wants to be known.
func (d *Dicom) warnings(keep string, shadow bool) (out []string) {
	moves := slices.ContainsFunc(d.Devices, func(dev Device) bool { return dev.has(serviceMove) })
	for i, dev := range d.Devices {
		say := func(format string, args ...any) {
			out = append(out, fmt.Sprintf("dicom.devices[%d] (%s): ", i, dev.AETitle)+fmt.Sprintf(format, args...))
		}
		switch {
		case dev.has(serviceStore) && dev.Commitment == commitReceived:
			say("commitment is received: the device is told that images are safe before the archive has them, and may delete its own")
		case dev.has(serviceStore) && dev.Commitment == commitArchived && keep == "hub":
			say("commitment is archived, and with spool.keep: hub images leave here before the archive has spoken: requests are answered with a failure; received fits")
		case dev.has(serviceStore) && dev.Commitment == commitArchived && shadow:
			say("commitment is archived, and with uplink.hubs empty nothing is ever archived: requests are answered with a failure after 24 hours")
		}
		if dev.has(serviceStore) && dev.Commitment != commitOff && dev.Port > 0 && dev.Address == "" {
			say("port is of no use without address: commitment is answered on the device's own association only")
		}
		if dev.has(serviceMove) && d.destinations(dev.AETitle) != 1 {
			say("services has move, and C-MOVE to %s itself is refused: that takes one device of this name with one address and a port; without, it can move to other devices only", dev.AETitle)
		}
		if _, one := dev.single(); one && dev.Port > 0 && dev.TLS == tlsServer && d.TLS.ClientCA == "" && (moves || dev.has(serviceStore) && dev.Commitment != commitOff) {
			say("tls is server and dicom.tls.client_ca is empty: the device is never called, neither with the answer of storage commitment nor as a destination of C-MOVE, because any certificate would serve")
		}
	}
	return out
}

// destinations are the devices of a title that can be called, which C-MOVE needs to
// be one.
func (d *Dicom) destinations(title string) (n int) {
	for _, dev := range d.Devices {
		if _, one := dev.single(); dev.AETitle == title && one && dev.Port > 0 {
			n++
		}
	}
	return n
}
