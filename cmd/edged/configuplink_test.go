package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/uplink"
)

// loadText loads a configuration as a file says it, and the name of the file.
func loadText(t *testing.T, text string) (Config, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edged.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	return c, file, err
}

// What is meant by the keys of the uplink reaches it.
func TestUplinkKeysAreTakenOver(t *testing.T) {
	c, _, err := loadText(t, `
facility: {time_zone: America/St_Johns}
uplink:
  transport: tcp
  rate: 1Gbit/s
  backfill_rate: 20Mbit/s
  schedule:
    - {days: mon-fri, from: "08:00", to: "18:00", rate: 200Mbit/s}
    - {days: "sat-mon,wed", from: 22:30, to: 05:00, rate: 300Mbit/s}
    - {rate: 900Mbit/s}
  proxy: http://user:word@10.0.0.1:3128
  dscp: af11
`)
	if err != nil {
		t.Fatal(err)
	}
	hours := func(h float64) time.Duration { return time.Duration(h * float64(time.Hour)) }
	want := []uplink.Period{
		{Days: [7]bool{false, true, true, true, true, true, false}, From: hours(8), To: hours(18), Rate: 200e6},
		{Days: [7]bool{true, true, false, true, false, false, true}, From: hours(22.5), To: hours(5), Rate: 300e6},
		{Days: [7]bool{true, true, true, true, true, true, true}, To: hours(24), Rate: 900e6},
	}
	s := c.shape()
	if s.Rate != 1e9 || s.Backfill != 20e6 || s.Zone.String() != "America/St_Johns" || !slices.Equal(s.Schedule, want) {
		t.Errorf("%+v", s)
	}
	if c.Uplink.DSCP != 10 || c.Uplink.Transport != "tcp" || s.Validate() != nil {
		t.Errorf("%+v, %v", c.Uplink, s.Validate())
	}
}

// An error in them names the line and what is allowed, and no password.
func TestUplinkKeysSayWhatIsAllowed(t *testing.T) {
	entry := func(s string) string { return "uplink:\n  rate: 100Mbit/s\n  schedule:\n    - {" + s + "}" }
	for text, want := range map[string]string{
		"uplink: {transport: udp}":                                               `:1: uplink.transport: "udp" is not one of auto, quic, tcp`,
		"uplink: {backfill_rate: 20}":                                            `:1: uplink.backfill_rate: "20" is not a rate`,
		"uplink: {dscp: 64}":                                                     `:1: uplink.dscp: "64" is not a DSCP: 0 to 63, CS0 to CS7`,
		"uplink: {dscp: AF44}":                                                   `:1: uplink.dscp: "AF44" is not a DSCP`,
		"uplink: {dscp: -1}":                                                     `:1: uplink.dscp: "-1" is not a DSCP`,
		"uplink:\n  lanes: {min: 4, max: 2}":                                     `:2: uplink.lanes: min 4, max 2`,
		"uplink:\n  lanes: {max: 33}":                                            `:2: uplink.lanes: min 1, max 33`,
		"uplink:\n  transport: quic\n  proxy: http://10.0.0.1:1":                 `:3: uplink.proxy: a proxy carries TCP only`,
		"uplink: {proxy: 'https://me:secret@10.0.0.1:1'}":                        `:1: uplink.proxy: want http://HOST:PORT`,
		"uplink: {proxy: '10.0.0.1:3128'}":                                       `:1: uplink.proxy: want http://HOST:PORT`,
		"uplink: {proxy: 'http://10.0.0.1'}":                                     `:1: uplink.proxy: want http://HOST:PORT`,
		"uplink:\n  hubs: ['h:1', 'g:1', 'H.:1']":                                `:2: uplink.hubs[2]: "H.:1" is uplink.hubs[0] again`,
		"uplink: {hubs: ['[::1]:8443', '[0:0::1]:8443']}":                        `:1: uplink.hubs[1]: "[0:0::1]:8443" is uplink.hubs[0] again`,
		"uplink: {hubs: ['h:1', 'h']}":                                           `:1: uplink.hubs[1]: "h" is not HOST:PORT`,
		"uplink: {rate: 255999bit/s}":                                            `:1: uplink.rate: 255999bit/s is below 256kbit/s, the least rate`,
		"uplink: {backfill_rate: 64kbit/s}":                                      `:1: uplink.backfill_rate: 64kbit/s is below 256kbit/s, the least rate`,
		entry("rate: 100kbit/s"):                                                 `:4: uplink.schedule[0].rate: 100kbit/s is below 256kbit/s, the least rate`,
		entry("days: mon-fri"):                                                   `:4: uplink.schedule[0].rate: is missing or 0`,
		entry("rate: 0"):                                                         `:4: uplink.schedule[0].rate: is missing or 0`,
		entry("rate: 20"):                                                        `:4: uplink.schedule[0].rate: "20" is not a rate`,
		entry("rate: 200Mbit/s"):                                                 `:4: uplink.schedule[0].rate: 200Mbit/s is above uplink.rate, 100Mbit/s`,
		entry("rate: 1Mbit/s, days: lun-ven"):                                    `:4: uplink.schedule[0].days: "lun-ven" is not days, as mon-fri or sat,sun; the days are mon, tue`,
		entry("rate: 1Mbit/s, days: monday"):                                     `:4: uplink.schedule[0].days: "monday" is not days`,
		entry("rate: 1Mbit/s, days: mon-mon"):                                    `:4: uplink.schedule[0].days: "mon-mon" is not days`,
		entry("rate: 1Mbit/s, days: 'mon,'"):                                     `:4: uplink.schedule[0].days: "mon," is not days`,
		entry("rate: 1Mbit/s, days: [mon, tue]"):                                 `:4: uplink.schedule[0].days: want a word, not a list`,
		entry("rate: 1Mbit/s, from: '8:00'"):                                     `:4: uplink.schedule[0].from: "8:00" is not a time from 00:00 to 24:00`,
		entry("rate: 1Mbit/s, to: '24:01'"):                                      `:4: uplink.schedule[0].to: "24:01" is not a time`,
		entry("rate: 1Mbit/s, to: '12:60'"):                                      `:4: uplink.schedule[0].to: "12:60" is not a time`,
		entry("rate: 1Mbit/s, to: '+1:00'"):                                      `:4: uplink.schedule[0].to: "+1:00" is not a time`,
		entry("rate: 1Mbit/s, from: '24:00', to: '06:00'"):                       `:4: uplink.schedule[0].from: 24:00 is the end of a day`,
		entry("rate: 1Mbit/s, from: '08:00', to: '08:00'"):                       `:4: uplink.schedule[0].to: 08:00 is from as well`,
		entry("rate: 1Mbit/s, form: '08:00'"):                                    `:4: uplink.schedule[0].form: unknown key; allowed here: days, from, to, rate`,
		"uplink:\n  schedule: [" + strings.Repeat("{rate: 1Mbit/s}, ", 65) + "]": `:2: uplink.schedule: 65 entries; at most 64`,
	} {
		_, file, err := loadText(t, text)
		if err == nil || !strings.HasPrefix(err.Error(), file+want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q:\n got %v\nwant %s%s...", text, err, file, want)
		}
	}
}

// What has no effect is said, and what has one is not.
func TestUplinkKeysWithoutEffectAreTold(t *testing.T) {
	for text, want := range map[string]string{
		"rate: 10Mbit/s\n  schedule: [{rate: 10Mbit/s}]":                                                 "uplink.schedule[0] has no effect",
		"schedule: [{rate: 10Mbit/s}]":                                                                   "",
		"schedule: [{rate: 5Mbit/s}, {days: mon, rate: 10Mbit/s}]":                                       "uplink.schedule[1] has no effect",
		"schedule: [{days: mon, rate: 5Mbit/s}, {rate: 10Mbit/s}]":                                       "",
		"schedule: [{days: sun, from: '23:00', to: '01:00', rate: 5Mbit/s}, {days: mon, rate: 6Mbit/s}]": "",
		"rate: 10Mbit/s\n  backfill_rate: 10Mbit/s":                                                      "uplink.backfill_rate has no effect",
		"rate: 10Mbit/s\n  backfill_rate: 9Mbit/s":                                                       "",
		"rate: 256kbit/s\n  backfill_rate: 256kbit/s\n  hubs: ['h:1', 'h:2', 'g:1']":                     "uplink.backfill_rate has no effect",
		"backfill_rate: 9Mbit/s":                                                                         "",
		"proxy: http://me:secret@10.0.0.1:3128":                                                          "uplink.proxy is set: all goes over TLS and TCP, QUIC is not tried",
	} {
		c, _, err := loadText(t, "uplink:\n  "+text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		said := strings.Join(c.Uplink.warnings(), "\n")
		if want == "" && said != "" || !strings.Contains(said, want) || strings.Contains(said, "secret") {
			t.Errorf("%q: %q, want %q", text, said, want)
		}
	}
}
