package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"edged/internal/config"
	"edged/uplink"
)

// Uplink says where to, by what, and how fast.
type Uplink struct {
	Hubs         []string        `yaml:"hubs"`
	Transport    string          `yaml:"transport" allowed:"auto|quic|tcp"`
	Rate         config.BitRate  `yaml:"rate"`
	BackfillRate config.BitRate  `yaml:"backfill_rate"`
	Schedule     []ScheduleEntry `yaml:"schedule"`
	Lanes        Lanes           `yaml:"lanes"`
	Proxy        string          `yaml:"proxy"`
	DSCP         DSCP            `yaml:"dscp"`
}

// ScheduleEntry is a time of the week with a lower rate.
type ScheduleEntry struct {
	Days Days           `yaml:"days"`
	From WallTime       `yaml:"from"`
	To   WallTime       `yaml:"to"`
	Rate config.BitRate `yaml:"rate"`
}

// SetDefaults are the values of an entry that is listed without them.
func (e *ScheduleEntry) SetDefaults() {
	e.Days, e.To = Days{true, true, true, true, true, true, true}, WallTime(24*time.Hour)
}

// Lanes are how many connections may be open side by side.
type Lanes struct {
	Min int `yaml:"min"`
	Max int `yaml:"max"`
}

// maxSchedule is what the uplink looks through each minute.
const maxSchedule = 64

func (u *Uplink) check(bad complain) {
	u.checkHubs(bad)
	if u.Lanes.Min < 1 || u.Lanes.Max > 32 || u.Lanes.Min > u.Lanes.Max {
		bad("uplink.lanes", "min %d, max %d: want 1 <= min <= max <= 32", u.Lanes.Min, u.Lanes.Max)
	}
	if len(u.Schedule) > maxSchedule {
		bad("uplink.schedule", "%d entries; at most %d", len(u.Schedule), maxSchedule)
	}
	leastRate(bad, "uplink.rate", u.Rate)
	leastRate(bad, "uplink.backfill_rate", u.BackfillRate)
	for i, e := range u.Schedule {
		e.check(bad, fmt.Sprintf("uplink.schedule[%d]", i), u.Rate)
	}
	if err := checkProxy(u.Proxy); err != nil {
		bad("uplink.proxy", "%v", err)
	} else if u.Proxy != "" && u.Transport == "quic" {
		bad("uplink.proxy", "a proxy carries TCP only, and uplink.transport is quic: set transport to tcp or auto, or leave the proxy out")
	}
}

// checkHubs: each node is named once. One that is named twice would be tried again at
// once after it failed, and is no second node.
func (u *Uplink) checkHubs(bad complain) {
	met := map[string]int{}
	for i, h := range u.Hubs {
		key := fmt.Sprintf("uplink.hubs[%d]", i)
		host, port, err := net.SplitHostPort(h)
		if err != nil || host == "" || port == "" {
			bad(key, "%q is not HOST:PORT", h)
			continue
		}
		name := sameName(host) + ":" + port
		if first, twice := met[name]; twice {
			bad(key, "%q is uplink.hubs[%d] again: name each node of the hub once", h, first)
			continue
		}
		met[name] = i
	}
}

// sameName: a name has no case (RFC 4343 §2) and may end with a dot (RFC 1034 §3.1),
// an address has several forms.
func sameName(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// leastRate refuses a cap that cannot be kept.
func leastRate(bad complain, key string, rate config.BitRate) {
	if rate > 0 && rate < uplink.LeastRate {
		bad(key, "%s is below %s, the least rate that can be kept: one frame would take much more than 100 ms of it; 0 is unlimited, and `edged pause` sends nothing for a while",
			rate, config.BitRate(uplink.LeastRate))
	}
}

func (e ScheduleEntry) check(bad complain, key string, rate config.BitRate) {
	switch {
	case e.Rate == 0:
		bad(key+".rate", "is missing or 0, which would mean unlimited; to send nothing for a while there is `edged pause`")
	case e.Rate < uplink.LeastRate:
		leastRate(bad, key+".rate", e.Rate)
	case rate > 0 && e.Rate > rate:
		bad(key+".rate", "%s is above uplink.rate, %s, which holds at all times: raise uplink.rate, and list the times at which less is wanted", e.Rate, rate)
	}
	if e.From == WallTime(24*time.Hour) {
		bad(key+".from", "24:00 is the end of a day: write 00:00 with the next day's name")
	} else if e.From == e.To {
		bad(key+".to", "%s is from as well: for whole days write from 00:00 to 24:00", e.To)
	}
}

// checkProxy does not quote what is wrong: it may hold a password.
func checkProxy(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("want http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; to the proxy no other scheme is spoken, inside all is TLS")
	}
	return nil
}

// warnings are what has no effect.
func (u *Uplink) warnings() (out []string) {
	add := func(on bool, format string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for i, matters := range u.matter() {
		add(!matters, "uplink.schedule[%d] has no effect: at all its times uplink.rate or other entries allow no more", i)
	}
	add(u.Rate > 0 && u.BackfillRate >= u.Rate, "uplink.backfill_rate has no effect: uplink.rate, %s, allows no more", u.Rate)
	add(u.Proxy != "" && u.Transport == "auto", "uplink.proxy is set: all goes over TLS and TCP, QUIC is not tried")
	return out
}

// matter reports which entries lower the rate at any minute of the week.
func (u *Uplink) matter() []bool {
	s, out := u.shape(time.UTC), make([]bool, len(u.Schedule))
	sunday := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	for minute := range 7 * 24 * 60 {
		at := sunday.Add(time.Duration(minute) * time.Minute)
		lowest, who := s.Rate, -1 // -1: nobody alone
		for i, p := range s.Schedule {
			if !p.Holds(at) {
				continue
			}
			if lowest == 0 || p.Rate < lowest {
				lowest, who = p.Rate, i
			} else if p.Rate == lowest {
				who = -1
			}
		}
		if who >= 0 {
			out[who] = true
		}
	}
	return out
}

// shape is what the uplink makes of it.
func (u *Uplink) shape(zone *time.Location) uplink.Shape {
	s := uplink.Shape{Rate: int64(u.Rate), Backfill: int64(u.BackfillRate), Zone: zone}
	for _, e := range u.Schedule {
		s.Schedule = append(s.Schedule, uplink.Period{Days: e.Days, From: time.Duration(e.From), To: time.Duration(e.To), Rate: int64(e.Rate)})
	}
	return s
}

// zone is the facility's.
func (c *Config) zone() *time.Location {
	zone, err := time.LoadLocation(c.Facility.TimeZone)
	if err != nil { // validated
		return time.UTC
	}
	return zone
}

// shape is the caps in the facility's time.
func (c *Config) shape() uplink.Shape { return c.Uplink.shape(c.zone()) }
