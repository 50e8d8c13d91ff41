package main

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"edged/agent/page"
	"edged/agent/status"
	"edged/internal/codicefiscale"
	"edged/internal/quality"
	"edged/spool"
)

// wanted is a question, made ready to be compared with 100,000 cards.
type wanted struct {
	from, until int64 // Unix nanoseconds; zero: any time
	device      uint16
	anyDevice   bool
	hop         uint8
	anyHop      bool

	sight    page.Sight
	all      bool // no text
	typed    string
	raw      string    // upper case
	initials [2]string // as cards have them, and the other way round; "" where those are none
	words    []string
}

// ready makes a question of what somebody typed. What he may not see is not compared.
func (c *cards) ready(q page.StudyQuery) wanted {
	w := wanted{anyDevice: q.Device == "", anyHop: q.State == "", sight: q.Sight}
	if !q.Day.IsZero() {
		w.from, w.until = q.Day.UnixNano(), q.Day.AddDate(0, 0, 1).UnixNano()
	}
	w.hop = hopIndex(q.State)
	w.device = c.names.known(q.Device)
	if w.device == 0 && !w.anyDevice {
		w.from, w.until = 1, 1 // nothing came from there
	}
	text := strings.ToUpper(strings.TrimSpace(q.Text))
	if w.all = text == "" || q.Sight == page.SeesState; w.all {
		return w
	}
	w.typed, w.raw, w.initials = strings.TrimSpace(q.Text), text, initialsTyped(text)
	for _, word := range strings.Fields(accents.Replace(text)) {
		w.words = append(w.words, " "+word)
	}
	return w
}

func (w *wanted) fits(c *card) bool {
	if w.until != 0 && (c.first < w.from || c.first >= w.until) || !w.anyDevice && c.device != w.device || !w.anyHop && c.hop != w.hop {
		return false
	}
	return w.all || w.fitsPerson(c)
}

// fitsPerson: initials for whoever sees those; all for who sees names.
func (w *wanted) fitsPerson(c *card) bool {
	if w.fitsOne(c.field(fieldInitials), c.field(fieldFolded), c.field(fieldID)) {
		return true
	}
	if w.sight < page.SeesFull {
		return false // of the first patient alone the list shows something
	}
	for i := range c.others() { // two patients in one study: it is to be found by either
		if w.fitsOne(c.more.initials[i], c.more.names[i], c.more.others[i].ID) {
			return true
		}
	}
	if fiscal := c.field(fieldFiscal); len(w.raw) >= 4 && fiscal != "" && strings.HasSuffix(fiscal, w.raw) {
		return true
	}
	if a := c.field(fieldAccession); a != "" && (strings.EqualFold(a, w.raw) || len(w.raw) >= 4 && (strings.Contains(a, w.raw) || strings.Contains(a, w.typed))) {
		return true
	}
	return false
}

func (c *card) others() []quality.Patient {
	if c.more == nil {
		return nil
	}
	return c.more.others
}

// fitsOne compares one patient. The last four of an ID that is as long as a codice fiscale
// count also where that is wrong: such a study is looked for.
func (w *wanted) fitsOne(initials, folded, id string) bool {
	if initials != "" && (initials == w.initials[0] || initials == w.initials[1]) {
		return true
	}
	if w.sight < page.SeesFull {
		return false
	}
	if id != "" && strings.EqualFold(id, w.raw) || len(w.raw) >= 4 && len(id) >= codicefiscale.Length-2 && strings.HasSuffix(strings.ToUpper(id), w.raw) {
		return true
	}
	if folded == "" || len(w.words) == 0 {
		return false
	}
	for _, word := range w.words {
		if !strings.Contains(folded, word) {
			return false
		}
	}
	return true
}

// initialsTyped makes "M.R." and "R.M." of MR, M.R. or m r: some write the family name
// first. Of what is longer than initials it makes nothing.
func initialsTyped(text string) (out [2]string) {
	for _, r := range text {
		switch {
		case unicode.IsLetter(r):
			out[0], out[1] = out[0]+string(r)+".", string(r)+"."+out[1]
		case r != '.' && r != ' ':
			return [2]string{}
		}
		if len(out[0]) > 16 {
			return [2]string{}
		}
	}
	return out
}

// known is the number of a name, 0 for one that was never met.
func (n *interned) known(s string) uint16 { return n.index[clip(s, 16)] }

// Search implements page.StudyDesk. The cards are compared under the lock, a page of
// them is copied; how far those are the spool is asked afterwards.
func (d studyDesk) Search(q page.StudyQuery) page.StudyList {
	c := d.cards
	var found []cardCopy
	var out page.StudyList
	c.mu.Lock()
	w, is := c.ready(q), make([]bool, maxNames)
	c.mu.Unlock()
	c.newestFirst(func(in *card) bool {
		is[in.device] = true
		if in.first == 0 || in.seq == 0 && in.sums.left() <= 0 || !w.fits(in) { // all of it was discarded
			return true
		}
		if out.Total >= q.Offset && len(found) < q.Limit {
			found = append(found, c.copyOf(in))
		}
		out.Total++
		return true
	})
	c.mu.Lock()
	out.Reading, out.Devices = c.reading, c.senders(is)
	c.mu.Unlock()
	for _, f := range found {
		out.Cards = append(out.Cards, d.card(f))
	}
	return out
}

// senders are the names of the devices that are. Guarded by mu.
func (c *cards) senders(is []bool) (out []string) {
	for i, name := range c.names.list {
		if is[i] && name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// cardCopy is a card as it was a moment ago.
type cardCopy struct {
	key          uint64
	group        string
	here         bool
	seq          uint64
	first        time.Time
	sums         cardSums
	device, kind string
	test         bool
	person       status.Person
	accession    string
	date, time   string
	description  string
	findings     []metaFinding
	counts       []int64
	patients     []quality.Patient // more than one is wrong
	usual        usualCount
}

// copyOf is guarded by mu.
func (c *cards) copyOf(in *card) cardCopy {
	out := cardCopy{key: in.key, group: in.group, here: in.seq > 0, seq: in.seq, first: time.Unix(0, in.first), sums: in.sums,
		device: c.names.name(in.device), kind: c.names.name(in.kind), test: in.bits&cardTest != 0, person: in.person(), accession: in.field(fieldAccession),
		date: in.field(fieldDate), time: in.field(fieldTime), description: in.field(fieldDescription), usual: c.usualOf(in)}
	if out.person.ID != "" {
		out.patients = append(out.patients, quality.Patient{ID: out.person.ID, Issuer: out.person.Issuer})
	}
	if in.more != nil {
		out.findings, out.counts = in.more.findings(nil), in.more.counts()
		out.patients = append(out.patients, in.more.others...)
	}
	return out
}

// byText is the card of a key of the page.
func (c *cards) byText(key string) (cardCopy, bool) { return c.byNumber(keyNumber(key)) }

func (c *cards) byNumber(key uint64) (cardCopy, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.find(key)
	if in == nil {
		return cardCopy{}, false
	}
	return c.copyOf(in), true
}

// inSpool asks the spool about a card; of one that is gone there is only what was seen.
func (f cardCopy) inSpool(s *spool.Spool) spool.Group {
	if s != nil && f.here {
		if g, ok := s.Group(f.group); ok {
			return g
		}
	}
	return spool.Group{}
}
