package page

import (
	"fmt"
	"strings"
	"time"
)

// Charts are drawn here, without script: they print, and a table says the same to who
// does not see them. Their colours are the style sheet's.

// Size of a chart in its own units, and the room below it for the hours.
const (
	chartWidth  = 480
	chartHeight = 72
	chartFoot   = 16
)

// The full height of a chart is this at least: next to nothing must not look like a lot.
const (
	leastRate  = 1_000_000 // bits a second
	leastCount = 10        // images
)

// chart is bars or a curve over a time.
type chart struct {
	ID     string // of its heading, one on a page
	Title  string
	Says   string // the chart in a sentence
	Empty  bool   // there is nothing to draw: the sentence stands alone
	From   string // that it begins a short while ago; "" mostly
	Bars   []bar
	Curves []string // paths
	Marks  []mark
	Most   string // what the highest is; "" where nothing is shown
	Table  string // what its table is called
	Head   [2]string
	Rows   []chartRow
}

type bar struct {
	X, Y, W, H int
	Now        bool
}

type mark struct {
	X    int
	Text string
}

type chartRow struct{ When, Says string }

// View is the box of the drawing.
func (c chart) View() string { return fmt.Sprintf("0 0 %d %d", chartWidth, chartHeight+chartFoot) }

// Ground is where the axis is.
func (c chart) Ground() int { return chartHeight }

// Base is where the hours stand.
func (c chart) Base() int { return chartHeight + chartFoot - 3 }

// Width of the drawing.
func (c chart) Width() int { return chartWidth }

// dayBars draws the images that came in each hour of the day of now. An hour that has not
// come yet has no bar, and one without images is seen as such.
func dayBars(arrivals []Arrival, now time.Time, w *words) (c chart) {
	hours, most, total := hoursOf(arrivals, now)
	c = chart{ID: "day", Title: w.Say("chart.day"), Head: [2]string{w.Say("chart.hour"), w.Say("studies.images")}}
	const step = chartWidth / 24
	for h, n := range hours {
		if h > now.Hour() {
			break
		}
		c.Rows = append(c.Rows, chartRow{clock(h), w.number(n)})
		height := scale(n, max(most, leastCount), chartHeight-4)
		c.Bars = append(c.Bars, bar{X: h*step + 3, Y: chartHeight - height, W: step - 6, H: height, Now: h == now.Hour()})
	}
	c.Marks = dayMarks()
	if c.Says, c.Empty = w.Say("chart.none"), true; most > 0 {
		c.Empty, c.Says, c.Most = false, w.Count("chart.today", total), w.Say("chart.most", "n", w.number(most))
	}
	return c
}

func hoursOf(arrivals []Arrival, now time.Time) (hours [24]int64, most, total int64) {
	for _, a := range arrivals {
		if at := a.Hour.In(now.Location()); sameDay(at, now) {
			hours[at.Hour()] += a.Images
			total += a.Images
		}
	}
	for _, n := range hours {
		most = max(most, n)
	}
	return hours, most, total
}

func clock(hour int) string { return fmt.Sprintf("%02d:00", hour) }

func dayMarks() (marks []mark) {
	for h := 0; h < 24; h += 6 {
		marks = append(marks, mark{h*chartWidth/24 + 3, clock(h)})
	}
	return marks
}

// scale gives what is not nothing a pixel at least.
func scale(n, most int64, height int) int {
	if n <= 0 || most <= 0 {
		return 0
	}
	return max(2, int(float64(n)/float64(most)*float64(height)))
}

// curveOf draws what of says of each minute of the 24 hours before now; where nobody
// looked there is a gap. Its full height is the most of them, and least at least.
func curveOf(id, title string, minutes []LineMinute, now time.Time, w *words, least int64, of func(LineMinute) int64, say func(int64) string) chart {
	c := chart{ID: id, Title: title, Table: w.Say("chart.table", "what", title), Head: [2]string{w.Say("chart.hour"), title}, Marks: pastMarks(now), Says: w.Say("chart.none"), From: fromOf(minutes, now, w)}
	columns := columnsOf(minutes, now, of)
	most := int64(0)
	for _, n := range columns {
		most = max(most, n)
	}
	c.Curves, c.Rows = paths(columns, max(most, least)), rowsOf(minutes, now, of, say)
	if most > 0 {
		c.Most = w.Say("chart.most", "n", say(most))
		c.Says = title + ": " + c.Most
	} else if len(c.Curves) > 0 {
		c.Most, c.Says = say(0), title+": "+say(0)
	}
	c.Empty = len(c.Curves) == 0
	return c
}

// fromOf is since when there is a curve, where that is too short for its form to be seen:
// an hour is a twenty-fourth of the width.
func fromOf(minutes []LineMinute, now time.Time, w *words) string {
	if len(minutes) == 0 || now.Sub(minutes[0].At) >= time.Hour {
		return ""
	}
	return w.Say("chart.from", "time", minutes[0].At.In(now.Location()).Format("15:04"))
}

const curveColumns = chartWidth / 2 // three of four minutes share none, others one

// columnsOf has the largest value of the minutes of each column, -1 where there is none.
func columnsOf(minutes []LineMinute, now time.Time, of func(LineMinute) int64) (columns [curveColumns]int64) {
	for i := range columns {
		columns[i] = -1
	}
	const day = 24 * time.Hour
	for _, m := range minutes {
		if ago := now.Sub(m.At); ago >= 0 && ago < day {
			i := curveColumns - 1 - int(ago*curveColumns/day)
			columns[i] = max(columns[i], of(m))
		}
	}
	return columns
}

// paths are areas above the axis, one for each stretch without a gap.
func paths(columns [curveColumns]int64, most int64) (out []string) {
	var p strings.Builder
	for i := 0; i <= curveColumns; i++ {
		if i < curveColumns && columns[i] >= 0 {
			if p.Len() == 0 {
				fmt.Fprintf(&p, "M%d %d", 2*i, chartHeight)
			}
			fmt.Fprintf(&p, "V%dh2", chartHeight-scale(columns[i], most, chartHeight-4))
		} else if p.Len() > 0 {
			fmt.Fprintf(&p, "V%dz", chartHeight)
			out = append(out, p.String())
			p.Reset()
		}
	}
	return out
}

// pastMarks are full hours among the last 24.
func pastMarks(now time.Time) (marks []mark) {
	for back := 24; back > 0; back-- {
		at := now.Add(-time.Duration(back)*time.Hour + time.Hour).Truncate(time.Hour)
		at = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), 0, 0, 0, now.Location())
		ago := now.Sub(at)
		if at.Hour()%6 == 0 && ago > 0 && ago < 24*time.Hour {
			if x := chartWidth - int(ago*chartWidth/(24*time.Hour)); x < chartWidth-30 {
				marks = append(marks, mark{x, clock(at.Hour())})
			}
		}
	}
	return marks
}

// rowsOf says the largest value of each hour.
func rowsOf(minutes []LineMinute, now time.Time, of func(LineMinute) int64, say func(int64) string) (rows []chartRow) {
	last, most := "", int64(0)
	for _, m := range minutes {
		if now.Sub(m.At) >= 24*time.Hour {
			continue
		}
		hour := m.At.In(now.Location()).Format("15") + ":00"
		if hour != last {
			rows, last, most = append(rows, chartRow{When: hour}), hour, 0
		}
		most = max(most, of(m))
		rows[len(rows)-1].Says = say(most)
	}
	return rows
}
