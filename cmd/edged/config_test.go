package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/internal/config"
)

// The example configuration says what the code does.
func TestExampleConfigurationIsTheDefault(t *testing.T) {
	c := defaultConfig()
	if err := config.CheckExample("../../configs/edged.yaml", &c); err != nil {
		t.Error(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// An error in a configuration names file, line, key, and what is allowed.
func TestConfigurationErrorsSayWhatIsAllowed(t *testing.T) {
	for text, want := range map[string]string{
		"dicom:\n  lisen: x":                                                                                                      ":2: dicom.lisen: unknown key; did you mean listen?",
		"dicom:\n  ae_title: much_too_long_for_a_title":                                                                           ":2: dicom.ae_title: ",
		"dicom:\n  devices:\n    - {ae_title: A, port: 99999}":                                                                    ":3: dicom.devices[0].port: 99999 is not a port",
		"dicom:\n  devices:\n    - {ae_title: A, address: x}":                                                                     ":3: dicom.devices[0].address: ",
		"dicom:\n  devices:\n    - {ae_title: A, quiet: 0s}":                                                                      ":3: dicom.devices[0].quiet: 0s is not between 1s and 24h",
		"dicom:\n  devices:\n    - {ae_title: A, services: [store, print]}":                                                       `:3: dicom.devices[0].services[1]: "print" is not one of store, query, move, get`,
		"dicom:\n  devices:\n    - {ae_title: A, services: [query]}":                                                              ":3: dicom.devices[0].services: query, move and get show persons",
		"dicom:\n  devices:\n    - {ae_title: A, address: 0.0.0.0/0, services: [get]}":                                            ":3: dicom.devices[0].services: query, move and get show persons",
		"dicom:\n  tls: {listen: ':1', cert: a, key: b, client_ca: c}\n  devices: [{ae_title: A, tls: mutual, services: [move]}]": ":3: dicom.devices[0].services: query, move and get show persons",
		"dicom:\n  devices:\n    - {ae_title: A, commitment: soon}":                                                               `:3: dicom.devices[0].commitment: "soon" is not one of archived, received, off`,
		"dicom:\n  devices:\n    - {ae_title: A, quirks: [odd]}":                                                                  `:3: dicom.devices[0].quirks[0]: "odd" is not one of report-on-new-association, any-called-title`,
		"dicom:\n  devices:\n    - {ae_title: A, tls: server}":                                                                    ":3: dicom.devices[0].tls: server needs dicom.tls.listen",
		"dicom:\n  devices:\n    - {ae_title: A, address: 10.0.0.0/24, port: 104}":                                                ":3: dicom.devices[0].port: 104 is of no use with a network",
		"dicom:\n  tls: {listen: ':1', cert: a, key: b}\n  devices: [{ae_title: A, tls: mutual}]":                                 ":3: dicom.devices[0].tls: mutual needs dicom.tls.client_ca",
		"dicom:\n  devices:\n    - {ae_title: A, tls_name: a.example}":                                                            ":3: dicom.devices[0].tls_name: a.example needs dicom.tls.client_ca",
		"dicom:\n  tls: {listen: ':1', cert: a, key: b, client_ca: c}\n  devices: [{ae_title: A, tls_name: '*.example'}]":         `:3: dicom.devices[0].tls_name: "*.example" is not a name in a certificate`,
		"dicom:\n  devices:\n    - {ae_title: A, services: []}":                                                                   ":3: dicom.devices[0].services: is empty",
		"dicom:\n  devices:\n    - {ae_title: A}\n    - {ae_title: B}\n    - {ae_title: A, address: 10.0.0.5}":                    `:5: dicom.devices[2].ae_title: "A" is dicom.devices[0] already, and their addresses overlap`,
		"dicom:\n  devices:\n    - {ae_title: A, address: 10.0.0.5}\n    - {ae_title: 'A ', address: 10.0.0.0/24}":                `:4: dicom.devices[1].ae_title: "A " is dicom.devices[0] already, and their addresses overlap`,
		"dicom:\n  ae_titles:\n    - {title: EDGED, priority: urgent}":                                                            `:3: dicom.ae_titles[0].title: "EDGED" is dicom.ae_title already`,
		"dicom:\n  ae_titles:\n    - {title: NOW, priority: urgent}\n    - {title: NOW, priority: backfill}":                      `:4: dicom.ae_titles[1].title: "NOW" is dicom.ae_titles[0].title already`,
		"dicom:\n  max_associations_per_device: 0":                                                                                ":2: dicom.max_associations_per_device: 0 is not between 1 and 4096",
		"spool: {keep: recycle}":               ":1: spool.keep: ",
		"spool: {key_protection: paper}":       ":1: spool.key_protection: ",
		"discovery: {interfaces: [eth0, e/1]}": `:1: discovery.interfaces[1]: "e/1" is not the name of a network interface`,
		"uplink: {hubs: [nowhere]}":            `:1: uplink.hubs[0]: "nowhere" is not HOST:PORT`,
		"uplink: {rate: 800}":                  ":1: uplink.rate: ",
		"page: {listen: here}":                 ":1: page.listen: ",
		"facility: {time_zone: Roma}":          ":1: facility.time_zone: ",
	} {
		file := filepath.Join(t.TempDir(), "edged.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(file); err == nil || !strings.HasPrefix(err.Error(), file+want) {
			t.Errorf("%q:\n got %v\nwant %s%s...", text, err, file, want)
		}
	}
}

// A device that would be called and cannot be is named before the first call.
func TestCheckNamesWhoCannotBeCalled(t *testing.T) {
	device := func(d Device) Device {
		d.AETitle, d.Address, d.TLS = "WS", "10.0.0.7", tlsServer
		return d
	}
	committed, moved := device(Device{Port: 104, Services: []string{serviceStore}, Commitment: commitReceived}), device(Device{Port: 104, Services: []string{serviceGet}})
	mover := Device{AETitle: "M", Address: "10.0.0.8", Services: []string{serviceMove}}
	for _, c := range []struct {
		d    Dicom
		want bool
	}{
		{Dicom{Devices: []Device{committed}}, true},
		{Dicom{Devices: []Device{moved}}, false},
		{Dicom{Devices: []Device{moved, mover}}, true},
		{Dicom{Devices: []Device{moved, mover}, TLS: DicomTLS{ClientCA: "ca.pem"}}, false},
		{Dicom{Devices: []Device{device(Device{Services: []string{serviceGet}}), mover}}, false},
	} {
		if said := strings.Join(c.d.warnings("archived", false), "\n"); strings.Contains(said, "(WS): tls is server and dicom.tls.client_ca is empty") != c.want {
			t.Errorf("%+v: %s", c.d, said)
		}
	}
}

// One title at several addresses is what an administrator may mean.
func TestOneTitleMayBeListedForSeveralAddresses(t *testing.T) {
	d := defaultConfig()
	for _, address := range []string{"10.0.0.5", "10.0.0.6", "10.0.1.0/24", "fd00::/64"} {
		dev := Device{AETitle: "A", Address: address}
		dev.SetDefaults()
		d.Dicom.Devices = append(d.Dicom.Devices, dev)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}

// Who may move and cannot be called hears so before the first retrieve.
func TestCheckNamesWhoCannotMoveToItself(t *testing.T) {
	ws := func(address string, port int) Device {
		return Device{AETitle: "WS", Address: address, Port: port, Services: []string{serviceMove}}
	}
	for _, c := range []struct {
		devices []Device
		want    int
	}{
		{[]Device{ws("10.0.0.7", 0)}, 1},
		{[]Device{ws("10.0.0.0/24", 0)}, 1},
		{[]Device{ws("10.0.0.7", 104)}, 0},
		{[]Device{ws("10.0.0.7", 104), ws("10.0.1.0/24", 0)}, 0},
		{[]Device{ws("10.0.0.7", 104), ws("10.0.0.8", 104)}, 2}, // which of them?
		{[]Device{{AETitle: "WS", Address: "10.0.0.7", Services: []string{serviceGet}}}, 0},
	} {
		said := strings.Join((&Dicom{Devices: c.devices}).warnings("archived", false), "\n")
		if strings.Count(said, "(WS): services has move") != c.want {
			t.Errorf("%+v: %s", c.devices, said)
		}
	}
}
