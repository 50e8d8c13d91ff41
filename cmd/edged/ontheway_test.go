package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

func (r *rig) fetch(path string) string {
	r.t.Helper()
	answer, err := (&http.Client{Timeout: time.Minute}).Get("http://" + r.page + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// onTheWay are the studies of which something is on its way, by the page's interface.
func (r *rig) onTheWay() (out []status.Study) {
	r.t.Helper()
	var list struct{ Studies []status.Study }
	ok(r.t, json.Unmarshal([]byte(r.fetch("/api/v1/studies")), &list))
	for _, s := range list.Studies {
		if s.Progress != nil && s.Progress.RateBitsPerSecond > 0 && !s.Progress.EndsAt.IsZero() {
			out = append(out, s)
		}
	}
	return out
}

// While images leave through a capped line, the page says of their study how much has
// left, how fast and until when; what carries them and why; and a line test beside
// them stays within the cap.
func TestThePageTellsOfWhatIsOnItsWay(t *testing.T) {
	const cap = 60e6
	r := newRig(t, "uplink: {hubs: [\"$HUB\"], rate: 60Mbit/s}\n", "").up()
	r.stream()
	var moving []status.Study
	r.await("a study to say when it ends", func() bool { moving = r.onTheWay(); return len(moving) > 0 })
	p := moving[0].Progress
	if p.SentBytes <= 0 || p.SentBytes > p.TotalBytes || p.RateBitsPerSecond > 1.1*cap || time.Until(p.EndsAt) > 2*time.Minute {
		t.Errorf("%+v", p)
	}
	if page := r.fetch("/?lang=en"); !strings.Contains(page, "On their way now") || !strings.Contains(page, "<progress ") || !strings.Contains(page, "limited to 60\u00a0Mbit/s") {
		t.Errorf("the page does not tell of it:\n%s", page)
	}
	up := r.status().Uplink
	if up.Lanes < 1 || up.Why == "" || up.CapBits != cap || len(up.Carriers) != 2 || up.BytesLeft.Routine == 0 || up.BacklogStudies == 0 {
		t.Errorf("%+v", up)
	}
	var result status.LineTest
	ok(t, json.Unmarshal([]byte(r.must("edged", "linetest", "--json", "-c", r.path("edged.yaml"))), &result))
	// What went beside it is of the whole test, each carrier's rate of its half.
	quic, tcp := result.Of("quic").GoodputBits, result.Of("tcp").GoodputBits
	if best := result.Of(result.Transport).GoodputBits; best <= 0 || best > 1.1*cap || (quic+tcp)/2+result.BesideBits > 1.1*cap || result.CapBits != cap {
		t.Errorf("line test: %+v", result)
	}
	if last := r.status().Uplink.Test; last == nil || !last.At.Equal(result.At) {
		t.Errorf("remembered: %+v", last)
	}
}
