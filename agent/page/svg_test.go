package page

import (
	"strings"
	"testing"
	"time"
)

// Today's hours up to this one have a bar, those to come none; yesterday's images are
// not today's.
func TestTheDaysArrivals(t *testing.T) {
	midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, rome)
	c := dayBars([]Arrival{{midnight.Add(-time.Hour), 900}, {midnight.Add(7 * time.Hour).UTC(), 100}, {midnight.Add(8 * time.Hour), 1}}, morning, catalogues["it"])
	if len(c.Bars) != 9 || len(c.Rows) != 9 {
		t.Fatalf("%d bars, %d rows", len(c.Bars), len(c.Rows))
	}
	if c.Bars[7].H != chartHeight-4 || c.Bars[8].H != 2 || c.Bars[0].H != 0 || !c.Bars[8].Now || c.Bars[7].Now {
		t.Errorf("%+v", c.Bars)
	}
	if c.Rows[7] != (chartRow{"07:00", "100"}) || c.Says != "101 immagini oggi" {
		t.Errorf("%+v %q", c.Rows[7], c.Says)
	}
	if c := dayBars(nil, morning, catalogues["it"]); c.Says != "Ancora nessun dato." || c.Most != "" {
		t.Errorf("%q %q", c.Says, c.Most)
	}
}

// A time when nobody looked is a gap and no line at the bottom: that would say that
// nothing was sent.
func TestWhereNobodyLookedIsAGap(t *testing.T) {
	w := catalogues["en"]
	c := ratesOf((&madeUpLine{}).History(), morning, w)
	if len(c.Curves) != 2 {
		t.Errorf("%d stretches", len(c.Curves))
	}
	for _, path := range c.Curves {
		if strings.Contains(path, "-") || !strings.HasPrefix(path, "M") || !strings.HasSuffix(path, "z") {
			t.Errorf("path %.60s", path)
		}
	}
	if len(c.Marks) != 4 || c.Marks[0].Text != "12:00" {
		t.Errorf("%+v", c.Marks)
	}
	if c := ratesOf(LineHistory{}, morning, w); len(c.Curves) != 0 || c.Says != "No data yet." {
		t.Errorf("%+v", c)
	}
	if c := ratesOf(LineHistory{Minutes: []LineMinute{{At: morning.Add(time.Hour), Bits: 1}, {At: morning.Add(-25 * time.Hour), Bits: 1}}}, morning, w); len(c.Curves)+len(c.Rows) > 1 {
		t.Errorf("what is to come, or long ago, is drawn: %+v", c)
	}
}

// The night when clocks go back has an hour twice.
func TestChartsSurviveTheChangeOfClocks(t *testing.T) {
	now := time.Date(2026, 10, 25, 9, 0, 0, 0, rome)
	var arrivals []Arrival
	var minutes []LineMinute
	for ago := 30 * time.Hour; ago > 0; ago -= time.Minute {
		minutes = append(minutes, LineMinute{At: now.Add(-ago), Bits: 1})
	}
	for h := range 30 {
		arrivals = append(arrivals, Arrival{now.Add(-time.Duration(h) * time.Hour), 1})
	}
	if c := dayBars(arrivals, now, catalogues["de"]); c.Rows[2].Says != "2" {
		t.Errorf("the hour that is there twice has %s", c.Rows[2].Says)
	}
	if c := ratesOf(LineHistory{Minutes: minutes}, now, catalogues["de"]); len(c.Curves) != 1 {
		t.Errorf("%d stretches", len(c.Curves))
	}
}

// Next to nothing does not look like a lot: a chart is as high as 1 Mbit/s, or ten images,
// at least.
func TestALittleIsDrawnAsALittle(t *testing.T) {
	h := LineHistory{Minutes: []LineMinute{{At: before(time.Hour), Bits: 48_000, Waiting: 1}}, Arrivals: []Arrival{{Hour: morning.Truncate(time.Hour), Images: 1}}}
	now := morning.In(rome)
	for _, c := range []chart{ratesOf(h, now, catalogues["it"]), queueOf(h, now, catalogues["it"])} {
		if len(c.Curves) != 1 || !strings.Contains(c.Curves[0], "V65h2") && !strings.Contains(c.Curves[0], "V66h2") && !strings.Contains(c.Curves[0], "V69h2") {
			t.Errorf("%s is drawn %v", c.ID, c.Curves)
		}
	}
	c := dayBars(h.Arrivals, now, catalogues["it"])
	if last := c.Bars[len(c.Bars)-1]; last.H < 2 || last.H > chartHeight/8 {
		t.Errorf("one image is a bar of %d", last.H)
	}
}
