package page

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
)

// madeUpLine is a line on an ordinary morning.
type madeUpLine struct {
	asked []string
	err   error
}

func (l *madeUpLine) History() (h LineHistory) {
	for ago := 24 * time.Hour; ago > 0; ago -= time.Minute {
		at := morning.Add(-ago)
		if at.Hour() == 3 && at.Minute() < 40 {
			continue // it was off
		}
		m := LineMinute{At: at, Bits: 20e6 + int64(at.Minute())*1e6}
		if at.Hour() >= 7 && at.Hour() < 19 {
			m.Bits, m.Waiting = 300e6+int64(at.Minute()%17)*9e6, int64(at.Minute()*7%220)
		}
		h.Minutes = append(h.Minutes, m)
	}
	midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, rome)
	for hour, n := range []int64{0, 12, 0, 0, 340, 0, 80, 2140, 1822} {
		h.Arrivals = append(h.Arrivals, Arrival{midnight.Add(time.Duration(hour) * time.Hour), n})
	}
	return h
}

func (l *madeUpLine) Pause(_ context.Context, who account.Actor, d time.Duration) error {
	l.asked = append(l.asked, who.Name+" pause "+d.String())
	return l.err
}

func (l *madeUpLine) Test(_ context.Context, who account.Actor) error {
	l.asked = append(l.asked, who.Name+" test")
	return l.err
}

// form is a request with a form, by a technician.
func form(p *Page, values url.Values) *request {
	r := httptest.NewRequest("POST", "/line/x", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rq := p.request(r)
	rq.Viewer = viewers[1]
	return rq
}

// What a technician does with the line is answered in words, also when it cannot be.
func TestTheLineIsPausedAndTestedInWords(t *testing.T) {
	desk := &madeUpLine{}
	p, err := New(Config{Source: ordinary(), LineDesk: desk})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		do      func(*request) (outcome, error)
		minutes string
		err     error
		notice  string
	}{
		{p.pauseLine, "30", nil, "line.paused"}, {p.pauseLine, "0", nil, "line.minutes"}, {p.pauseLine, "1441", nil, "line.minutes"}, {p.pauseLine, "-5", nil, "line.minutes"},
		{p.pauseLine, "soon", nil, "line.minutes"}, {p.pauseLine, "30", ErrNoLine, "line.noline"}, {p.resumeLine, "", nil, "line.resumed"},
		{p.testLine, "", nil, "line.tested"}, {p.testLine, "", ErrLineBusy, "line.busy"}, {p.testLine, "", ErrLinePaused, "line.still"},
	}
	for _, c := range cases {
		desk.err = c.err
		out, err := c.do(form(p, url.Values{"minutes": {c.minutes}}))
		if err != nil || out.to != "/line" || out.notice != c.notice || !catalogues["it"].has("notice."+out.notice) {
			t.Errorf("%q %v: %+v %v", c.minutes, c.err, out, err)
		}
	}
	if got := strings.Join(desk.asked, ", "); got != "m.rossi pause 30m0s, m.rossi pause 30m0s, m.rossi pause 0s, m.rossi test, m.rossi test, m.rossi test" {
		t.Errorf("asked for %s", got)
	}
	desk.err = errors.New("the trail cannot be written")
	if _, err := p.pauseLine(form(p, url.Values{"minutes": {"5"}})); err == nil {
		t.Error("what was not done is said to be")
	}
}

// Who only looks is shown no button, and may press none.
func TestWhoOnlyLooksPausesNothing(t *testing.T) {
	p := deskPage(t, ordinary())
	for _, l := range p.lineLeaves() {
		for i, who := range viewers {
			if body, ok := drawn(t, p, l, who, "it"); !ok || strings.Contains(body, `action="/line/pause"`) != (i > 0) {
				t.Errorf("%q: a button is there is %t", who.Name, i == 0)
			}
		}
	}
	for _, d := range p.lineDeeds() {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", d.path, nil)
		r.Header.Set("Origin", "http://example.com")
		if p.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("%s answers %d", d.path, w.Code)
		}
	}
}
