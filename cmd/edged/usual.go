package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"edged/internal/durable"
)

// usualFile is where it is kept what devices usually send, below data_dir:
//
//	{"version":1,"devices":{"CT1":{"weeks":[[day,...],...7],"today":day,"leads":[-240,...]},...}}
//	day  {"date":"2026-11-20","first":485,"hours":[0,...24],"fiscal":1}
//
// A day counts studies by the hour in which their first image came; first is its
// minute, -1 where none came. There are at most eight days for each day of the week.
// Leads are how many seconds the studies' own times were ahead of the clock here when
// they came. It names no study, and is lost without harm.
const usualFile = "usual.json"

const (
	usualEvery = time.Minute
	maxUsual   = 256     // devices; that of the longest silence gives way
	maxWeeks   = 8       // remembered of each day of the week
	maxLeads   = 9       // studies whose clock is looked at: a clock that was put right is soon believed
	maxToday   = 1 << 16 // studies of today that are told apart
	usualBytes = 8 << 20
	leastWeeks = 3 // before this, nobody knows what is usual
	leastLeads = 5
)

type dayCount struct {
	Date  string     `json:"date"`
	First int        `json:"first"`
	Hours [24]uint32 `json:"hours"`

	Fiscal uint32 `json:"fiscal,omitempty"` // of these, with a codice fiscale that is missing or wrong
}

func (d dayCount) total() (n int64) {
	for _, h := range d.Hours {
		n += int64(h)
	}
	return n
}

type habit struct {
	Weeks [7][]dayCount `json:"weeks"` // Sunday first, the oldest first
	Today dayCount      `json:"today"`
	Leads []int64       `json:"leads,omitempty"`
}

// usual learns what devices send, by the day of the week and the hour.
type usual struct {
	file string
	zone *time.Location
	now  func() time.Time
	log  *slog.Logger
	seed maphash.Seed

	mu      sync.Mutex // guards what follows
	dirty   bool
	date    string
	met     map[uint64]struct{} // studies of today
	devices map[string]*habit
}

func newUsual(file string, zone *time.Location, now func() time.Time, log *slog.Logger) *usual {
	u := &usual{file: file, zone: zone, now: now, log: log, seed: maphash.MakeSeed(), devices: make(map[string]*habit), met: make(map[uint64]struct{})}
	if err := u.read(); err != nil {
		log.Warn("what devices usually send is forgotten", "err", err)
	}
	return u
}

// arrived counts an instance of a study. Only the first of each study on a day counts;
// then look is asked what there is to see. After a restart a study that goes on is one
// more.
func (u *usual) arrived(device, study string, look func(now time.Time) firstLook) {
	now := u.now().In(u.zone)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.roll(now)
	sum := maphash.String(u.seed, device+"\x00"+study)
	if _, again := u.met[sum]; again {
		return
	}
	if len(u.met) < maxToday {
		u.met[sum] = struct{}{}
	}
	h := u.habitOf(device, now)
	if h.Today.First < 0 {
		h.Today.First = now.Hour()*60 + now.Minute()
	}
	h.Today.Hours[now.Hour()]++
	f := look(now)
	if f.clock {
		h.Leads = append(h.Leads, int64(f.lead/time.Second))
		h.Leads = h.Leads[max(0, len(h.Leads)-maxLeads):]
	}
	if f.fiscal {
		h.Today.Fiscal++
	}
	u.dirty = true
}

// firstLook is what the first image of a study tells.
type firstLook struct {
	lead   time.Duration // how far the study's own time is ahead of now
	clock  bool          // lead is known
	fiscal bool          // its codice fiscale is missing or wrong
}

// habitOf makes room for a device that is new. mu is held.
func (u *usual) habitOf(device string, now time.Time) *habit {
	if h := u.devices[device]; h != nil {
		return h
	}
	if len(u.devices) >= maxUsual {
		oldest, when := "", ""
		for name, h := range u.devices {
			if last := h.last(); oldest == "" || last < when {
				oldest, when = name, last
			}
		}
		delete(u.devices, oldest)
	}
	h := &habit{Today: emptyDay(now)}
	u.devices[device] = h
	return h
}

// last is the date of the last day on which something came.
func (h *habit) last() (date string) {
	for _, week := range append(h.Weeks[:], []dayCount{h.Today}) {
		for _, d := range week {
			if d.First >= 0 {
				date = max(date, d.Date)
			}
		}
	}
	return date
}

func emptyDay(now time.Time) dayCount { return dayCount{Date: now.Format(time.DateOnly), First: -1} }

// roll ends a day: it is learned. Days on which the appliance did not run are not: that
// nothing came then says nothing. mu is held.
func (u *usual) roll(now time.Time) {
	today := now.Format(time.DateOnly)
	if u.date == today {
		return
	}
	u.date, u.dirty = today, true
	clear(u.met)
	for _, h := range u.devices {
		h.learn()
		h.Today = emptyDay(now)
	}
}

func (h *habit) learn() {
	day, err := time.Parse(time.DateOnly, h.Today.Date)
	if err != nil {
		return
	}
	week := append(h.Weeks[day.Weekday()], h.Today)
	h.Weeks[day.Weekday()] = week[max(0, len(week)-maxWeeks):]
}

// custom is what is known of a device at a moment.
type custom struct {
	today    dayCount
	known    bool        // enough days were seen to say what is usual
	hours    [24]float64 // studies, on such a day
	byNow    float64     // of them until now
	late     bool        // it has always sent something by now, and today nothing
	byMinute int         // of the day, by which it always has sent something; -1: not always
	ahead    time.Duration
	clock    bool // ahead is known
}

// of says what is usual of a device now.
func (u *usual) of(device string) (c custom) {
	now := u.now().In(u.zone)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.roll(now)
	h := u.devices[device]
	if h == nil {
		return custom{today: emptyDay(now), byMinute: -1}
	}
	return h.custom(now)
}

// custom is pure.
func (h *habit) custom(now time.Time) custom {
	c := custom{today: h.Today, byMinute: -1}
	c.ahead, c.clock = median(h.Leads)
	days := h.Weeks[now.Weekday()]
	if c.known = len(days) >= leastWeeks; !c.known {
		return c
	}
	hour, minute := now.Hour(), now.Hour()*60+now.Minute()
	silent := false
	for _, d := range days {
		for i, n := range d.Hours {
			c.hours[i] += float64(n) / float64(len(days))
		}
		silent = silent || d.First < 0
		c.byMinute = max(c.byMinute, d.First)
	}
	for i := range hour {
		c.byNow += c.hours[i]
	}
	c.byNow += c.hours[hour] * float64(now.Minute()) / 60
	if silent {
		c.byMinute = -1 // on some such days it sends nothing at all
	}
	c.late = c.byMinute >= 0 && h.Today.First < 0 && minute >= c.byMinute+silentAfter
	return c
}

// silentAfter is how many minutes a device may be later than on the latest day that is
// remembered.
const silentAfter = 30

// median is known from some studies on.
func median(leads []int64) (time.Duration, bool) {
	if len(leads) < leastLeads {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(leads))
	return time.Duration(sorted[len(sorted)/2]) * time.Second, true
}

// leadOf says how far a study's own time is ahead of now. Studies of other days, as of
// an old archive, and times without hours and minutes say nothing.
func leadOf(date, clock string, now time.Time) (time.Duration, bool) {
	if len(date) != 8 || len(clock) < 4 {
		return 0, false
	}
	if len(clock) < 6 {
		clock = clock[:4] + "00"
	}
	at, err := time.ParseInLocation("20060102150405", date+clock[:6], now.Location())
	if err != nil {
		return 0, false
	}
	lead := at.Sub(now)
	return lead, lead.Abs() < 24*time.Hour
}

func (u *usual) read() error {
	text, err := durable.ReadFile(u.file, usualBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	devices, err := parseUsual(text)
	if err != nil {
		return err
	}
	u.devices = devices
	for _, h := range devices { // all of them end their day together
		u.date = h.Today.Date
	}
	return nil
}

type usualContent struct {
	Version int               `json:"version"`
	Devices map[string]*habit `json:"devices"`
}

func parseUsual(text []byte) (map[string]*habit, error) {
	in := usualContent{}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("%s: %w", usualFile, err)
	}
	if in.Version != 1 || len(in.Devices) > maxUsual {
		return nil, fmt.Errorf("%s: version %d with %d devices", usualFile, in.Version, len(in.Devices))
	}
	for title, h := range in.Devices {
		if h == nil || len(title) > 64 || len(h.Leads) > maxLeads {
			return nil, fmt.Errorf("%s: a device that cannot be", usualFile)
		}
		for _, w := range h.Weeks {
			if len(w) > maxWeeks {
				return nil, fmt.Errorf("%s: more weeks than are kept", usualFile)
			}
		}
	}
	if in.Devices == nil {
		in.Devices = make(map[string]*habit)
	}
	return in.Devices, nil
}

// run ends the days and writes what was learned, until ctx ends.
func (u *usual) run(ctx context.Context) error {
	for pause(ctx, usualEvery) {
		u.save()
	}
	u.save()
	return nil
}

// encodeUsual is not called under the lock, which each image needs.
var encodeUsual = func(c usualContent) ([]byte, error) { return json.Marshal(c) }

// copied shares nothing that is changed later. mu is held.
func (u *usual) copied() map[string]*habit {
	out := make(map[string]*habit, len(u.devices))
	for title, h := range u.devices {
		c := *h
		for i, week := range h.Weeks {
			c.Weeks[i] = slices.Clone(week)
		}
		c.Leads = slices.Clone(h.Leads)
		out[title] = &c
	}
	return out
}

// save writes the file when there is news. That it cannot is told, and stops nothing.
func (u *usual) save() {
	u.mu.Lock()
	u.roll(u.now().In(u.zone))
	if !u.dirty {
		u.mu.Unlock()
		return
	}
	devices := u.copied()
	u.dirty = false
	u.mu.Unlock()
	text, err := encodeUsual(usualContent{1, devices})
	if err == nil {
		err = durable.WriteFile(u.file, append(text, '\n'), 0o600)
	}
	if err != nil {
		u.log.Warn("what devices usually send is not on the disk", "err", err)
		u.mu.Lock()
		u.dirty = true
		u.mu.Unlock()
	}
}
