package page

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"time"

	"edged/agent/status"
)

// DayDesk compares what was received with what was archived, for the radiology
// department. A study belongs to the day on which its first image came.
type DayDesk interface {
	Days(limit int) []time.Time // of which something is known, the latest first
	Day(time.Time) DayReport    // the day of the facility that begins then
}

// DayReport is a day.
type DayReport struct {
	Devices []DayDevice
	Missing []StudyDetail // studies that are not archived as they were announced, in the order of arrival
	More    int64         // of these, that are not listed
	Before  bool          // the appliance remembers nothing that old
	Reading bool          // it has just started and is still reading
}

// DayDevice is what came from one device, and where it is now.
type DayDevice struct {
	Device    string // AE title
	Studies   int64
	Complete  int64 // studies that are archived whole, with all that the device announced
	Short     int64 // images that the device announced (MPPS) and that did not come
	Images    int64 // that came, those that were discarded too
	Hops      status.Hops
	Discarded int64
	Refused   int64 // images and connections that were turned away on that day
}

const shownDays = 60

func (p *Page) dayLeaves() []leaf {
	if p.cfg.Days == nil {
		return nil
	}
	return []leaf{
		{path: "/days", menu: "menu.days", file: "days.html", build: p.buildDays},
		{path: "/days/{date}", title: "days.title", file: "days.html", build: p.buildDays},
		{path: "/days/{date}/print", title: "days.title", file: "days.html", print: true, build: p.buildDays},
		{path: "/days/{date}/table.csv", title: "days.title", raw: p.dayTable},
	}
}

// dayPageView is a day; without one, it is today.
type dayPageView struct {
	Day, Date      string // as people and as addresses have it
	Facility       string
	Rows           []dayRow
	Sum            dayRow
	Says           string
	Missing        []missingRow
	More, Note     string
	Days           []choice
	Print, Persons bool
}

type dayRow struct{ Device, Studies, Complete, Images, Archived, AtHub, Waiting, Stopped, Discarded, Refused string }

type missingRow struct {
	Key, Time, What, Device, Person, Accession, Images, Says string
	Why                                                      []string
}

func (p *Page) dayOf(r *request) (time.Time, error) {
	text := r.PathValue("date")
	if text == "" {
		if text = r.URL.Query().Get("date"); text == "" {
			text = r.Now.Format(time.DateOnly)
		}
	}
	day, err := time.ParseInLocation(time.DateOnly, text, p.cfg.Location)
	if err != nil {
		return day, errNotFound
	}
	return day, nil
}

func (p *Page) buildDays(r *request) (any, error) {
	day, err := p.dayOf(r)
	if err != nil {
		return nil, err
	}
	v := dayPageOf(p.cfg.Days.Day(day), day, r.facts())
	for _, d := range p.cfg.Days.Days(shownDays) {
		v.Days = append(v.Days, choice{d.Format(time.DateOnly), r.W.date(d), d.Equal(day)})
	}
	return v, nil
}

func dayPageOf(d DayReport, day time.Time, s sighted) dayPageView {
	w, names := s.W, deviceNames(s.Devices)
	v := dayPageView{Day: w.date(day), Date: day.Format(time.DateOnly), Persons: s.Sight > SeesState,
		Facility: joined(" · ", status.Shown(s.Status.Facility.Name), status.Shown(s.Status.Facility.Code))}
	var sum DayDevice
	for _, x := range d.Devices {
		v.Rows = append(v.Rows, dayRowOf(x, or(status.Shown(or(names[x.Device], x.Device)), w.Say("days.unknown")), w))
		sum = summed(sum, x)
	}
	v.Sum = dayRowOf(sum, w.Say("days.sum"), w)
	switch missing := sum.Images - sum.Discarded - sum.Hops.Archived; {
	case d.Before:
		v.Says = w.Say("days.before")
	case sum.Images == 0:
		v.Says = w.Say("days.none")
	case missing > 0:
		v.Says = w.Count("days.missing", missing)
	case sum.Short == 0:
		v.Says = w.Say("days.all")
	}
	if sum.Short > 0 {
		v.Says = joined(" ", v.Says, w.Count("days.short", sum.Short))
	}
	if d.Reading {
		v.Note = w.Say("studies.reading")
	}
	for _, m := range d.Missing {
		row := studyRowOf(m.Card, names, s)
		v.Missing = append(v.Missing, missingRow{Key: row.Key, Time: row.Time, What: row.What, Device: row.Device, Person: row.Person, Accession: row.Accession,
			Images: w.Say("studies.some", "n", w.number(m.Card.Hops.Archived), "total", w.number(m.Card.Hops.Total())), Says: row.Says, Why: dayWhyOf(m, s)})
	}
	if d.More > 0 {
		v.More = w.Count("days.more", d.More)
	}
	return v
}

// dayWhyOf has also what did not come: it can be found at the device only.
func dayWhyOf(m StudyDetail, s sighted) []string {
	why := studyWhyOf(m, s)
	if m.Short > 0 {
		why = append(why, s.W.Count("days.short", m.Short))
	}
	return why
}

func summed(a, b DayDevice) DayDevice {
	h, x := a.Hops, b.Hops
	return DayDevice{Studies: a.Studies + b.Studies, Complete: a.Complete + b.Complete, Images: a.Images + b.Images, Short: a.Short + b.Short, Discarded: a.Discarded + b.Discarded, Refused: a.Refused + b.Refused,
		Hops: status.Hops{Receiving: h.Receiving + x.Receiving, Received: h.Received + x.Received, Sending: h.Sending + x.Sending, AtHub: h.AtHub + x.AtHub,
			Archived: h.Archived + x.Archived, Held: h.Held + x.Held, Quarantined: h.Quarantined + x.Quarantined}}
}

func dayRowOf(x DayDevice, name string, w *words) dayRow {
	h := x.Hops
	return dayRow{name, w.number(x.Studies), w.number(x.Complete), w.number(x.Images), w.number(h.Archived), w.number(h.AtHub),
		w.number(h.Receiving + h.Received + h.Sending), w.number(h.Held + h.Quarantined), w.number(x.Discarded), w.number(x.Refused)}
}

// dayTable is the day for a spreadsheet: figures without marks, times as ISO 8601 has
// them, no person for who may not see one.
func (p *Page) dayTable(w http.ResponseWriter, r *request) error {
	day, err := p.dayOf(r)
	if err != nil {
		return err
	}
	d, date := p.cfg.Days.Day(day), day.Format(time.DateOnly)
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="edged-`+date+`.csv"`)
	out := csv.NewWriter(w)
	out.Write([]string{"day", "device", "studies", "archived_studies", "images", "archived", "at_hub", "waiting", "stopped", "discarded", "refused", "not_received"})
	for _, x := range d.Devices {
		row := []string{date, Cell(status.Shown(x.Device))}
		for _, n := range []int64{x.Studies, x.Complete, x.Images, x.Hops.Archived, x.Hops.AtHub, x.Hops.Receiving + x.Hops.Received + x.Hops.Sending, x.Hops.Held + x.Hops.Quarantined, x.Discarded, x.Refused, x.Short} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		out.Write(row)
	}
	out.Write(nil)
	head := []string{"received", "device", "modality", "images", "archived", "state", "why"}
	s := r.facts()
	if s.Sight > SeesState {
		head = append(head, "person")
	}
	out.Write(head)
	for _, m := range d.Missing {
		c := m.Card
		row := []string{c.FirstReceived.In(r.Now.Location()).Format(time.RFC3339), Cell(status.Shown(c.Device)), Cell(status.Shown(c.Modality)), strconv.FormatInt(c.Hops.Total(), 10),
			strconv.FormatInt(c.Hops.Archived, 10), string(knownHop(c.Study)), Cell(joined(" ", dayWhyOf(m, s)...))}
		if s.Sight > SeesState {
			row = append(row, Cell(personOf(c.Person, s.Sight)))
		}
		out.Write(row)
	}
	out.Flush() // a client that is gone needs no answer
	return nil
}
