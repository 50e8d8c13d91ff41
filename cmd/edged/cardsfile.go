package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edged/agent/status"
	"edged/internal/durable"
)

// cardFile is where it is written down what of a study outlives its objects, so that
// the sums of a day are true when the spool has let them go: no person, no UID (P10).
//
// DATA/studies.seen has a JSON object a line; the last one about a study, or about a day
// and a device, counts. A line that is cut off or broken is passed over: what it said
// is told again by the spool as long as that has the study.
//
//	{"k":"KEY","f":NANOSECONDS,"d":"AE TITLE","m":"CT","n":IMAGES,"x":DISCARDED,"t":true,"e":ANNOUNCED}   a study
//	{"day":20261122,"d":"AE TITLE","s":STUDIES,"n":IMAGES,"x":DISCARDED,"r":REFUSED}                      a day and a device
//	{"was":REFUSED,"d":"AE TITLE"}                                                                        the device's own figure then
//
// Lines are appended and synced every few seconds. At the start, and when it has grown
// large, the file is written anew.
type cardFile struct {
	name  string // "": nothing is written
	lines int    // in the file
}

const seenFile = "studies.seen"

type seenLine struct {
	Key       string `json:"k,omitempty"`
	First     int64  `json:"f,omitempty"`
	Kind      string `json:"m,omitempty"`
	Test      bool   `json:"t,omitempty"`
	Day       int    `json:"day,omitempty"`
	Was       *int64 `json:"was,omitempty"`
	Device    string `json:"d,omitempty"`
	Studies   int64  `json:"s,omitempty"`
	Images    int64  `json:"n,omitempty"`
	Discarded int64  `json:"x,omitempty"`
	Refused   int64  `json:"r,omitempty"`
	Expected  int32  `json:"e,omitempty"` // by the MPPS, once nothing more is expected
}

func (c *cards) keepIn(dir string) { c.file.name = filepath.Join(dir, seenFile) }

// load reads what earlier runs knew. What cannot be read is told, and nothing waits for it.
func (c *cards) load() {
	if c.file.name == "" {
		return
	}
	f, err := os.Open(c.file.name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("what is known of studies that are gone cannot be read", "err", err)
		}
		return
	}
	defer f.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l seenLine
		if json.Unmarshal(lines.Bytes(), &l) == nil {
			c.take(l)
		}
	}
	c.order()
	c.file.lines = 1 << 40 // the first save writes all anew, each once
}

// take is one line. Guarded by mu.
func (c *cards) take(l seenLine) {
	key := keyNumber(l.Key)
	switch {
	case l.Was != nil:
		c.days.was[l.Device] = *l.Was
		return
	case l.Day > 0:
		c.days.sums[dayDevice{l.Day, l.Device}] = daySum{l.Studies, l.Images, l.Discarded, l.Refused}
		return
	case key == 0:
		return
	}
	in := c.have(key)
	in.first, in.device, in.kind = l.First, c.names.of(clip(l.Device, 16)), c.names.of(clip(l.Kind, 16))
	in.sums = cardSums{seen: int32(l.Images), discarded: int32(l.Discarded)}
	in.hop = c.goneHop()
	if in.expected, in.bits = l.Expected, 0; l.Test {
		in.bits = cardTest
	}
	if l.Expected > 0 {
		in.bits |= cardSettled
	}
}

func (c *cards) lineOf(in *card) seenLine {
	l := seenLine{Key: keyText(in.key), First: in.first, Device: c.names.name(in.device), Kind: c.names.name(in.kind),
		Images: in.sums.total(), Discarded: in.sums.gone(), Test: in.bits&cardTest != 0}
	if in.bits&cardSettled != 0 {
		l.Expected = in.expected
	}
	return l
}

// recount numbers the names anew where there is no room for more: those that no study has
// any more make room for devices to come. Guarded by mu.
func (c *cards) recount() {
	if len(c.names.list) < maxNames {
		return
	}
	old := c.names
	c.names = interned{index: map[string]uint16{}}
	for i := range c.all {
		in := &c.all[i]
		in.device, in.kind = c.names.of(old.name(in.device)), c.names.of(old.name(in.kind))
	}
	c.usual, c.learned = nil, time.Time{} // by number
}

// trim makes sums of the oldest studies that are gone. Guarded by mu.
func (c *cards) trim() {
	defer c.recount()
	gone := 0
	for i := range c.all {
		if c.all[i].seq == 0 {
			gone++
		}
	}
	if gone <= maxGone {
		return
	}
	fold := gone - maxGone*9/10 // not each time one more
	kept := c.all[:0]
	for _, in := range c.all {
		if in.seq > 0 || fold == 0 {
			kept = append(kept, in)
			continue
		}
		fold--
		c.days.fold(&in, c.names.name(in.device))
	}
	clear(c.all[len(kept):])
	c.all, c.byKey = kept, make(map[uint64]uint32, len(kept))
	c.order()
	c.unread = len(kept)
}

// save writes what has changed. Only run calls it. Nobody waits for the disk: the door
// tells the cards of each instance.
func (c *cards) save() error {
	if c.file.name == "" {
		return nil
	}
	c.mu.Lock()
	before := len(c.all)
	c.trim()
	whole, many := len(c.all) != before || c.file.lines > 4*(len(c.all)+c.days.size())+1024, len(c.all) >= manyCards
	c.mu.Unlock()
	if many && c.many != nil {
		c.many()
	}
	lines, n := c.pending(whole)
	if n == 0 {
		return nil
	}
	if whole {
		return c.wrote(n, durable.WriteFile(c.file.name, lines, 0o600))
	}
	return c.wrote(c.file.lines+n, appendSynced(c.file.name, lines))
}

// wrote has all written anew after an error: nobody knows what is in the file.
func (c *cards) wrote(lines int, err error) error {
	if c.file.lines = lines; err != nil {
		c.file.lines = 1 << 40
	}
	return err
}

// pending are the lines that the file is to get, or all. They are copied under the lock,
// few at a time, and made without it.
func (c *cards) pending(whole bool) ([]byte, int) {
	var b bytes.Buffer
	n := 0
	out := json.NewEncoder(&b)
	for from, more := 0, true; more; from += atOnce {
		var rows []seenLine
		rows, more = c.pendingFrom(from, whole)
		for _, l := range rows {
			out.Encode(l) // into memory
		}
		n += len(rows)
	}
	for _, l := range c.pendingDays(whole) {
		out.Encode(l)
		n++
	}
	return b.Bytes(), n
}

func (c *cards) pendingFrom(from int, whole bool) (rows []seenLine, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := from; i < min(from+atOnce, len(c.all)); i++ {
		in := &c.all[i]
		if whole && in.sums.total() > 0 || in.bits&cardUnsaved != 0 {
			rows = append(rows, c.lineOf(in))
		}
		in.bits &^= cardUnsaved
	}
	return rows, from+atOnce < len(c.all)
}

func (c *cards) pendingDays(whole bool) (lines []any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	write := func(l any) error {
		lines = append(lines, l)
		return nil
	}
	if whole {
		c.days.all(write)
	} else {
		c.days.changed(write)
	}
	clear(c.days.unsaved)
	return lines
}

// appendSynced adds whole lines. What an earlier crash cut off ends before them.
func appendSynced(name string, lines []byte) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(append([]byte{'\n'}, lines...)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", seenFile, err)
	}
	return nil
}

// dayBook has the sums of studies that are not kept one by one, and what was refused.
// Guarded by cards.mu.
type dayBook struct {
	sums    map[dayDevice]daySum
	was     map[string]int64 // refused of a known device, by its own figure, when that was last looked at
	strange map[string]int64 // and of the others that are remembered now: they count together, without a name
	unsaved map[dayDevice]bool
	zone    *time.Location
	primed  bool // all devices that were there at the start have been looked at
}

// dayDevice is a day, 20261122, and an AE title.
type dayDevice struct {
	day    int
	device string
}

type daySum struct{ studies, images, discarded, refused int64 }

// maxDays is how long sums are kept; older ones are of interest to nobody.
const maxDays = 800

func newDayBook(zone *time.Location) *dayBook {
	return &dayBook{sums: map[dayDevice]daySum{}, was: map[string]int64{}, unsaved: map[dayDevice]bool{}, zone: zone}
}

func dayNumber(t time.Time) int { return t.Year()*10000 + int(t.Month())*100 + t.Day() }

func (d *dayBook) size() int { return len(d.sums) + len(d.was) }

func (d *dayBook) dayOf(nanoseconds int64) int {
	return dayNumber(time.Unix(0, nanoseconds).In(d.zone))
}

// fold adds a study that is not kept by itself any more.
func (d *dayBook) fold(in *card, device string) {
	if in.bits&cardTest != 0 {
		return
	}
	at := dayDevice{d.dayOf(in.first), device}
	s := d.sums[at]
	s.studies, s.images, s.discarded = s.studies+1, s.images+in.sums.total(), s.discarded+in.sums.gone()
	d.sums[at], d.unsaved[at] = s, true
}

// refusals adds to a day what devices were refused since the last look. Their own
// figures fall when they are forgotten.
func (d *dayBook) refusals(now time.Time, devices []status.Device) {
	strange := make(map[string]int64)
	for _, x := range devices {
		name, of := clip(x.AETitle, 16), d.was
		was, met := of[name]
		if !x.Known {
			was, met = d.strange[x.AETitle+" "+x.Address]
			of, name = strange, ""
			strange[x.AETitle+" "+x.Address] = x.Refused
		} else if !met {
			was, met = d.strangerWas(x)
		}
		if x.Known {
			of[name] = x.Refused
		}
		if x.Refused == was && met {
			continue
		}
		if at := (dayDevice{dayNumber(now), name}); x.Refused > was && (met || d.primed) { // nobody knows of which day the first figure is
			s := d.sums[at]
			s.refused += x.Refused - was
			d.sums[at], d.unsaved[at] = s, true
		}
	}
	d.primed, d.strange = true, strange
	oldest := dayNumber(now.AddDate(0, 0, -maxDays))
	for at := range d.sums {
		if at.day < oldest {
			delete(d.sums, at)
		}
	}
}

// strangerWas is what has been counted of a device that was a stranger until it was admitted.
func (d *dayBook) strangerWas(x status.Device) (was int64, met bool) {
	for caller, n := range d.strange {
		if strings.HasPrefix(caller, x.AETitle+" ") {
			was, met = was+n, true
		}
	}
	return min(was, x.Refused), met
}

func (d *dayBook) line(at dayDevice, s daySum) seenLine {
	return seenLine{Day: at.day, Device: at.device, Studies: s.studies, Images: s.images, Discarded: s.discarded, Refused: s.refused}
}

// changed writes what the file does not have, and with it the devices' figures.
func (d *dayBook) changed(write func(any) error) (n int) {
	for at := range d.unsaved {
		write(d.line(at, d.sums[at]))
		was := d.was[at.device]
		write(seenLine{Was: &was, Device: at.device})
		n += 2
	}
	return n
}

func (d *dayBook) all(write func(any) error) (n int) {
	for at, s := range d.sums {
		write(d.line(at, s))
		n++
	}
	for device, was := range d.was {
		write(seenLine{Was: &was, Device: device})
		n++
	}
	return n
}
