package main

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"edged/agent/status"
	"edged/internal/quality"
	"edged/spool"
)

// cards are what the appliance knows of all studies, in memory, so that they can be
// found in a moment: of those that are here also the person and the findings, from the
// Meta of their objects; of those that were forgotten when, from which device and how
// many, and nobody (P10). It is kept by the spool's events, see cardsrun.go; what has to
// outlive the objects is in a file, see cardsfile.go.
//
// Bounds (P9): texts are clipped by whoever writes Meta; devices and modalities are
// interned, maxNames of them; at most maxGone studies that are gone are kept one by one,
// older ones as the sums of their day. Measured: 100,000 cards with persons take 32 MiB.
type cards struct {
	keeper *keeper
	secret []byte
	log    logger
	days   *dayBook
	file   cardFile

	devices func() []status.Device                            // as the roster has them; nil: nobody counts what is refused
	recall  func(study, accession string, of quality.Patient) // is told whose accession numbers those of earlier runs are, if not nil
	keepHub bool                                              // what was let go is at the hub, and no more is known

	many func()     // is called when there are many of them, if not nil; more than once
	scan sync.Mutex // one at a time goes through all cards for a page; before mu

	news    chan *news    // from the door; only run takes them
	missed  atomic.Bool   // some of it had no room: all is looked through again
	live    atomic.Uint64 // the first object that the door told of; 0: none
	persons persons

	mu      sync.Mutex // guards what follows
	all     []card     // by when their first object came, nearly: that is the order of the page, newest last
	byKey   map[uint64]uint32
	names   interned // of devices and modalities
	unread  int      // cards from all[unread-1] down have not been filled
	reading bool
	loaded  bool // what is in the spool has been compared with what earlier runs knew
	rereads []reread
	usual   map[usualKey]usualCount
	learned time.Time // when that was
}

// logger is the part of *slog.Logger that is used here.
type logger interface {
	Warn(msg string, args ...any)
}

const (
	maxGone      = 100_000
	maxNames     = 4096
	maxMore      = 16      // findings of one study
	maxOthers    = 4       // further patients of one study
	maxCardField = 1 << 10 // bytes of a text
)

// card is one study, packed: there are 100,000 of them.
type card struct {
	key    uint64
	group  string // what the spool calls it
	text   string // of the person, field behind field
	ends   [fields]uint16
	more   *cardMore // nil: nothing
	seq    uint64    // of its first object; 0: nothing of it is here
	first  int64     // Unix nanoseconds, when that came
	sums   cardSums
	device uint16
	kind   uint16 // modality
	hop    uint8  // index in status.AllHops
	bits   uint8

	expected int32 // instances, by the MPPS; 0: nobody said
}

// cardSums count the instances of a study, also those that the spool does not
// remember any more: what it has forgotten without a trace is in base.
type cardSums struct{ seen, base, discarded, discardedBase int32 }

func (s cardSums) total() int64 { return int64(s.seen) + int64(s.base) }
func (s cardSums) left() int64  { return s.total() - s.gone() }
func (s cardSums) gone() int64  { return int64(s.discarded) + int64(s.discardedBase) }

// look takes in what the spool says now. Its figures rise, and fall when it has no
// room to remember. Of a study that was gone and has come back, what is here is new.
func (s *cardSums) look(g spool.Group, back bool) {
	seen, gone := int32(g.Objects+g.Forgotten+g.Discarded), int32(g.Discarded)
	if back {
		s.base += s.seen - int32(g.Forgotten) - gone
		s.discardedBase += s.discarded - gone
	} else {
		s.base += s.seen - min(s.seen, seen)
		s.discardedBase += s.discarded - min(s.discarded, gone)
	}
	s.seen, s.discarded = seen, gone
}

const (
	cardFilled  = 1 << iota // the Meta of its first object was read
	cardTest                // of a self-test
	cardUnsaved             // the file does not know it as it is
	cardBack                // all of it had been forgotten, and more came
	cardSettled             // nothing more is expected
)

// The fields of a card's text.
const (
	fieldName = iota
	fieldFolded
	fieldInitials
	fieldID
	fieldIssuer
	fieldBirth
	fieldSex
	fieldFiscal
	fieldAccession
	fieldDate
	fieldTime
	fieldDescription
	fields
)

func (c *card) field(i int) string {
	from := uint16(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.text[from:c.ends[i]]
}

// write packs what an object says of its study.
func (c *card) write(m Meta) {
	all := [fields]string{m.Name, foldedName(m.Name), initialsOf(m.Name), m.Patient, m.Issuer, m.Birth, m.Sex, m.Fiscal, m.Accession, m.StudyDate, m.StudyTime, m.Description}
	n := 0
	for i := range all {
		all[i] = clip(all[i], maxCardField)
		n += len(all[i])
		c.ends[i] = uint16(n)
	}
	c.text = strings.Join(all[:], "") // as long as it is, no longer
}

// forget keeps no person.
func (c *card) forget() {
	c.group, c.text, c.ends, c.more, c.seq = "", "", [fields]uint16{}, nil, 0
	c.bits &^= cardFilled
}

func (c *card) person() status.Person {
	p := status.Person{Name: c.field(fieldName), Initials: c.field(fieldInitials), BirthDate: c.field(fieldBirth), Sex: c.field(fieldSex),
		ID: c.field(fieldID), Issuer: c.field(fieldIssuer), Fiscal: c.field(fieldFiscal)}
	if t, err := time.Parse("20060102", p.BirthDate); err == nil {
		p.BirthYear = t.Year()
	}
	return p
}

func newCards(k *keeper, secret []byte, zone *time.Location, log logger) *cards {
	return &cards{keeper: k, secret: secret, log: log, days: newDayBook(zone), byKey: map[uint64]uint32{}, news: make(chan *news, maxNews), names: interned{index: map[string]uint16{}}, reading: true}
}

// keyOf is status.StudyKey as a number.
func (c *cards) keyOf(group string) uint64 { return keyNumber(status.StudyKey(c.secret, group)) }

// keyNumber is 0 for what is no key.
func keyNumber(key string) uint64 {
	raw, err := hex.DecodeString(key)
	if err != nil || len(raw) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(raw)
}

func keyText(key uint64) string { return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, key)) }

// find returns the card of a key, nil if there is none. Guarded by mu.
func (c *cards) find(key uint64) *card {
	if i, ok := c.byKey[key]; ok {
		return &c.all[i]
	}
	return nil
}

// of is the card of a group, a new one if need be. Guarded by mu.
func (c *cards) of(group string) *card {
	in := c.have(c.keyOf(group))
	in.group = group
	return in
}

// have is the card of a key, a new one if need be. Guarded by mu.
func (c *cards) have(key uint64) *card {
	if in := c.find(key); in != nil {
		return in
	}
	c.all = append(c.all, card{key: key})
	c.byKey[key] = uint32(len(c.all) - 1)
	return &c.all[len(c.all)-1]
}

// met notes that an object is here; it reports whether its Meta is wanted. Guarded by mu.
func (c *cards) met(group string, seq uint64, received time.Time, test bool) (in *card, wanted bool) {
	in = c.of(group)
	if in.seq == 0 && in.sums.total() > 0 && c.loaded {
		in.bits |= cardBack
	}
	if in.seq == 0 || seq < in.seq {
		in.seq = seq
	}
	if at := received.UnixNano(); !received.IsZero() && (in.first == 0 || at < in.first) {
		in.first = at
	}
	if in.bits &^= cardTest; test {
		in.bits |= cardTest
	}
	return in, in.bits&cardFilled == 0
}

// fill notes what the first object says. Guarded by mu.
func (c *cards) fill(in *card, m Meta) {
	in.device, in.kind = c.names.of(clip(m.Calling, 16)), c.names.of(clip(m.Modality, 16))
	in.write(m)
	in.bits |= cardFilled
	c.persons.met(in)
	c.found(in, m)
	if c.recall != nil {
		c.recall(in.group, m.Accession, quality.Patient{ID: m.Patient, Issuer: m.Issuer})
	}
}

// found adds the findings of an instance, and whom it says it is of. Guarded by mu.
func (c *cards) found(in *card, m Meta) {
	for _, f := range m.Findings {
		if p, known := packed(f); known {
			in.further().count(p)
		}
	}
	if m.Patient == "" || m.Patient == in.field(fieldID) && m.Issuer == in.field(fieldIssuer) {
		return
	}
	more := in.further()
	if other := (quality.Patient{ID: m.Patient, Issuer: m.Issuer}); len(more.others) < maxOthers && !slices.Contains(more.others, other) {
		more.others = append(more.others, other)
		more.names, more.initials = append(more.names, foldedName(m.Name)), append(more.initials, initialsOf(m.Name))
	}
}

// further is what not all studies have, made when there is some.
func (c *card) further() *cardMore {
	if c.more == nil {
		c.more = &cardMore{}
	}
	return c.more
}

// hear takes in what took was told.
func (c *cards) hear(o spool.Object, m Meta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in, wanted := c.met(o.Group, o.Seq, o.Received, o.Test)
	switch {
	case wanted:
		c.fill(in, m)
	case o.Seq == in.seq: // an event was faster, and its Meta has been counted
		c.foundNew(in, m.Findings)
	default:
		c.found(in, m)
	}
}

// foundNew adds findings whose codes a study does not have yet. Guarded by mu.
func (c *cards) foundNew(in *card, found []metaFinding) {
	for _, f := range found {
		p, known := packed(f)
		if p.images = 1; !known {
			continue
		}
		if more := in.further(); len(more.found) < maxMore && !slices.ContainsFunc(more.found, func(have cardFound) bool { return have.code == p.code }) {
			more.add(p)
		}
	}
}

// interned numbers strings; 0 is the empty one, and whatever comes when it is full.
type interned struct {
	index map[string]uint16
	list  []string
}

func (n *interned) of(s string) uint16 {
	if len(n.list) == 0 {
		n.list = append(n.list, "")
	}
	if s == "" {
		return 0
	}
	i, ok := n.index[s]
	if !ok && len(n.list) < maxNames {
		i = uint16(len(n.list))
		n.list = append(n.list, strings.Clone(s))
		n.index[n.list[i]] = i
	}
	return i
}

func (n *interned) name(i uint16) string {
	if int(i) < len(n.list) {
		return n.list[i]
	}
	return ""
}

// initialsOf makes "M.R." of ROSSI^MARIO: the given name first, as people say it.
func initialsOf(pn string) string {
	group, _, _ := strings.Cut(pn, "=")
	family, rest, _ := strings.Cut(group, "^")
	given, _, _ := strings.Cut(rest, "^")
	out := ""
	for _, part := range []string{given, family} {
		for _, r := range part {
			if unicode.IsLetter(r) {
				out += string(unicode.ToUpper(r)) + "."
				break
			}
		}
	}
	return out
}

// accents are taken off before names are compared: who searches writes as he likes.
var accents = strings.NewReplacer("À", "A", "Á", "A", "Â", "A", "Ä", "A", "È", "E", "É", "E", "Ê", "E", "Ë", "E", "Ì", "I", "Í", "I", "Î", "I", "Ï", "I",
	"Ò", "O", "Ó", "O", "Ô", "O", "Ö", "O", "Ù", "U", "Ú", "U", "Û", "U", "Ü", "U", "Ç", "C", "Ñ", "N", "ß", "SS", "^", " ", "=", " ", ",", " ")

// foldedName is a name as it is searched: each word with a space before it.
func foldedName(pn string) string {
	words := strings.Fields(accents.Replace(strings.ToUpper(pn)))
	if len(words) == 0 {
		return ""
	}
	return " " + strings.Join(words, " ")
}
