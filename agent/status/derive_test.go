package status

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// healthy is an appliance with nothing to tell; each case spoils one thing.
func healthy() Facts {
	return Facts{Now: noon, FreeBytes: 100 << 30, Enrolled: true, Connected: true, LinkSince: ago(24 * time.Hour), LastProgress: ago(time.Hour)}
}

func TestStateFollowsFacts(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*Facts)
		state State
		first ReasonCode // "" means no reason at all
	}{
		{"nothing to tell", func(*Facts) {}, OK, ""},
		{"a young backlog is work, not delay", func(f *Facts) { f.BacklogObjects, f.OldestBacklog = 300, ago(59*time.Second) }, OK, ""},
		{"a backlog that moves", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LastProgress = 3, ago(time.Minute), ago(time.Second)
		}, CatchingUp, Backlog},
		{"a backlog that does not move", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LastProgress = 3, ago(10*time.Minute), ago(5*time.Minute)
		}, Attention, BacklogStuck},
		{"one image does not move while others do", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LastProgress = 3, ago(30*time.Minute), ago(time.Second)
		}, Attention, BacklogStuck},
		{"one image is late, but moves perhaps", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LastProgress = 3, ago(29*time.Minute), ago(time.Second)
		}, CatchingUp, Backlog},
		{"what waits since an outage of two hours has two hours more", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LinkSince, f.LastProgress = 3, ago(4*time.Hour), ago(2*time.Hour), ago(time.Second)
		}, CatchingUp, Backlog},
		{"what waits since an outage of two hours has no more than that", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LinkSince, f.LastProgress = 3, ago(5*time.Hour), ago(3*time.Hour), ago(time.Second)
		}, Attention, BacklogStuck},
		{"what waits since an outage of days has four hours", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LinkSince, f.LastProgress = 3, ago(96*time.Hour), ago(5*time.Hour), ago(time.Second)
		}, Attention, BacklogStuck},
		{"a line that has just come back is not stuck", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LastProgress, f.LinkSince = 3, ago(10*time.Hour), ago(9*time.Hour), ago(time.Second)
		}, CatchingUp, Backlog},
		{"the line went a moment ago, images wait", func(f *Facts) {
			f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = false, ago(4*time.Minute), 1, ago(time.Second)
		}, CatchingUp, LinkAway},
		{"the line went a moment ago, nothing waits", func(f *Facts) { f.Connected, f.LinkSince = false, ago(4*time.Minute) }, OK, ""},
		{"the line is gone, images wait", func(f *Facts) {
			f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = false, ago(5*time.Minute), 1, ago(time.Second)
		}, Stopped, LinkDown},
		{"the line is gone, nothing waits", func(f *Facts) { f.Connected, f.LinkSince = false, ago(5*time.Minute) }, Attention, LinkDown},
		{"never connected counts as gone", func(f *Facts) { f.Connected, f.LinkSince, f.BacklogObjects = false, time.Time{}, 1 }, Stopped, LinkDown},
		{"the key is gone", func(f *Facts) { f.KeyMissing = true }, Stopped, KeyMissing},
		{"the disk failed", func(f *Facts) { f.SpoolFailed = true }, Stopped, SpoolFailed},
		{"after a start nothing is received yet", func(f *Facts) { f.Starting = true }, CatchingUp, Starting},
		{"after a start, without a hub", func(f *Facts) { f.Starting, f.Shadow, f.Connected = true, true, false }, CatchingUp, Starting},
		{"the disk is full", func(f *Facts) { f.SpoolFull, f.FreeBytes = true, 0 }, Stopped, SpoolFull},
		{"somebody paused sending", func(f *Facts) { f.PausedUntil = ago(-time.Minute) }, Attention, Paused},
		{"a pause that holds images back is no fault", func(f *Facts) {
			f.PausedUntil, f.BacklogObjects, f.OldestBacklog, f.LastProgress = ago(-time.Minute), 3, ago(2*time.Hour), ago(2*time.Hour)
		}, Attention, Paused},
		{"behind a pause images have their time to leave", func(f *Facts) {
			f.PausedUntil, f.BacklogObjects, f.OldestBacklog, f.LastProgress = ago(4*time.Minute), 3, ago(2*time.Hour), ago(2*time.Hour)
		}, CatchingUp, Backlog},
		{"a pause has ended and nothing leaves", func(f *Facts) {
			f.PausedUntil, f.BacklogObjects, f.OldestBacklog, f.LastProgress = ago(5*time.Minute), 3, ago(2*time.Hour), ago(2*time.Hour)
		}, Attention, BacklogStuck},
		{"a pause on a line that is gone is not what matters", func(f *Facts) {
			f.PausedUntil, f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = ago(-time.Minute), false, ago(5*time.Minute), 1, ago(time.Second)
		}, Stopped, LinkDown},
		{"the disk is nearly full", func(f *Facts) { f.FreeBytes = 1 << 30 }, Attention, SpaceLow},
		{"quarantine", func(f *Facts) { f.Quarantined = 2 }, Attention, Quarantined},
		{"data to be corrected", func(f *Facts) { f.ToFix = 2 }, Attention, ToFix},
		{"refused by the archive or held before it", func(f *Facts) { f.Held = 1 }, Attention, HeldBack},
		{"damaged here, no other copy", func(f *Facts) { f.Lost, f.Damaged = 1, 1 }, Attention, Lost},
		{"damaged here, the hub has a good copy", func(f *Facts) { f.Damaged = 1 }, Attention, Damaged},
		{"not enrolled is told at once", func(f *Facts) { f.Enrolled, f.Connected, f.LinkSince = false, false, noon }, Attention, Unenrolled},
		{"not enrolled, images wait: they will not leave by themselves", func(f *Facts) {
			f.Enrolled, f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = false, false, noon, 1, noon
		}, Attention, Unenrolled},
		{"not enrolled, images wait for long: nobody asked the hub", func(f *Facts) {
			f.Enrolled, f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = false, false, ago(5*time.Minute), 1, ago(time.Minute)
		}, Stopped, Unenrolled},
		{"a certificate has 30 days", func(f *Facts) { f.CertificateUntil = ago(-30 * 24 * time.Hour) }, OK, ""},
		{"a certificate has less than 30 days: nobody renewed it", func(f *Facts) { f.CertificateUntil = ago(-30*24*time.Hour + time.Second) }, Attention, CertEnds},
		{"a certificate ends this second, the connection lives", func(f *Facts) { f.CertificateUntil = noon }, Attention, CertEnded},
		{"a certificate has ended", func(f *Facts) { f.CertificateUntil, f.Connected, f.LinkSince = ago(time.Second), false, noon }, Attention, CertEnded},
		{"a certificate has ended, images wait", func(f *Facts) {
			f.CertificateUntil, f.Connected, f.LinkSince, f.BacklogObjects = ago(time.Second), false, noon, 1
		}, Attention, CertEnded},
		{"a certificate has ended, images wait for long", func(f *Facts) {
			f.CertificateUntil, f.Connected, f.LinkSince, f.BacklogObjects = ago(time.Hour), false, ago(5*time.Minute), 1
		}, Stopped, CertEnded},
		{"without a hub nobody asks for a certificate", func(f *Facts) { f.Shadow, f.Connected, f.CertificateUntil = true, false, ago(time.Hour) }, OK, Shadow},
		{"without a hub there is nobody to enrol with", func(f *Facts) { f.Shadow, f.Enrolled, f.Connected = true, false, false }, OK, Shadow},
		{"unknown callers", func(f *Facts) { f.UnknownCallers = 1 }, Attention, UnknownCallers},
		{"the archive is late", func(f *Facts) { f.OldestUnarchived = ago(30 * time.Minute) }, Attention, ArchiveLate},
		{"the archive has time", func(f *Facts) { f.OldestUnarchived = ago(29 * time.Minute) }, OK, ""},
		{"without a hub a backlog is what is wanted", func(f *Facts) {
			f.Shadow, f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = true, false, time.Time{}, 9, ago(time.Hour)
		}, OK, Shadow},
		{"the worst comes first", func(f *Facts) { f.SpoolFailed, f.Quarantined, f.UnknownCallers = true, 1, 1 }, Stopped, SpoolFailed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := healthy()
			c.spoil(&f)
			state, reasons := Derive(f, Limits{})
			if state != c.state {
				t.Fatalf("state %q, want %q (reasons %v)", state, c.state, reasons)
			}
			if got := first(reasons); got != c.first {
				t.Fatalf("first reason %q, want %q", got, c.first)
			}
		})
	}
}

// What has a number shows it, and one cause is told once.
func TestReasonsCount(t *testing.T) {
	f := healthy()
	f.Damaged, f.Held, f.Quarantined = 1, 2, 3
	f.Enrolled, f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = false, false, ago(time.Hour), 4, ago(time.Hour)
	_, got := Derive(f, Limits{})
	want := []Reason{{Unenrolled, 4}, {Damaged, 1}, {HeldBack, 2}, {Quarantined, 3}}
	if !slices.Equal(got, want) {
		t.Errorf("reasons %v, want %v", got, want)
	}
}

// The days left are whole days, and one cause is told once.
func TestCertificateDaysAreCounted(t *testing.T) {
	day := 24 * time.Hour
	for left, want := range map[time.Duration]Reason{
		time.Hour: {Code: CertEnds}, day: {CertEnds, 1}, 29*day + time.Hour: {CertEnds, 29}, 0: {Code: CertEnded}, -day: {Code: CertEnded},
	} {
		for _, connected := range []bool{true, false} {
			f := healthy()
			f.CertificateUntil, f.Connected, f.LinkSince = noon.Add(left), connected, noon
			if _, got := Derive(f, Limits{}); !slices.Equal(got, []Reason{want}) {
				t.Errorf("%v left, connected %t: %v, want %v", left, connected, got, want)
			}
		}
	}
}

func first(reasons []Reason) ReasonCode {
	if len(reasons) == 0 {
		return ""
	}
	return reasons[0].Code
}

func TestLimitsAreConfiguration(t *testing.T) {
	f := healthy()
	f.BacklogObjects, f.OldestBacklog, f.LastProgress = 1, ago(90*time.Second), ago(time.Second)
	if state, _ := Derive(f, Limits{Backlog: 2 * time.Minute}); state != OK {
		t.Errorf("a limit of two minutes is not kept: %q", state)
	}
}

func TestOneInstanceBehindKeepsAStudyFromBeingArchived(t *testing.T) {
	cases := []struct {
		hops Hops
		want Hop
	}{
		{Hops{Archived: 1000}, Archived},
		{Hops{Archived: 999, AtHub: 1}, AtHub},
		{Hops{Archived: 999, Received: 1}, Sending},
		{Hops{Received: 5}, Received},
		{Hops{Received: 5, Sending: 1}, Sending},
		{Hops{Archived: 999, Receiving: 1}, Receiving},
		{Hops{Archived: 999, Held: 1}, Held},
		{Hops{Held: 1, Quarantined: 1}, InQuarantine},
		{Hops{}, Receiving},
	}
	for _, c := range cases {
		if got := c.hops.State(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.hops, got, c.want)
		}
	}
}

// The dots of the page must never claim more than is true: what is reached at a
// later hop is never more than at an earlier one.
func TestReachedNeverGrowsAlongTheWay(t *testing.T) {
	h := Hops{Receiving: 1, Received: 2, Sending: 3, AtHub: 4, Archived: 5, Held: 6, Quarantined: 7}
	way := []Hop{Receiving, Received, Sending, AtHub, Archived}
	for i := 1; i < len(way); i++ {
		if h.Reached(way[i]) > h.Reached(way[i-1]) {
			t.Errorf("%s %d is more than %s %d", way[i], h.Reached(way[i]), way[i-1], h.Reached(way[i-1]))
		}
	}
	if h.Reached(Received) != h.Total()-1 || h.Reached(AtHub) != 15 || h.Reached(Archived) != 5 {
		t.Errorf("received %d, at hub %d, archived %d", h.Reached(Received), h.Reached(AtHub), h.Reached(Archived))
	}
}

func TestStudyKeyIsStableAndNeedsTheSecret(t *testing.T) {
	uid := "1.2.826.0.1.3680043.8.498.1"
	a, again, b := StudyKey([]byte("a"), uid), StudyKey([]byte("a"), uid), StudyKey([]byte("b"), uid)
	if a != again || a == b || len(a) != 16 {
		t.Errorf("%q %q %q", a, again, b)
	}
}

// A node of the hub that is left alone, and images that it does not take, need a person:
// also where it is the only one, and for a while after it is used again.
func TestAHubThatIsDoubtedAndWhatItDoesNotTakeAreShown(t *testing.T) {
	now := time.Unix(1e9, 0)
	for name, c := range map[string]struct {
		facts Facts
		want  []Reason
	}{
		"left alone":        {Facts{HubsAside: 1}, []Reason{{Code: HubDoubted}}},
		"lately":            {Facts{HubDoubted: now.Add(-59 * time.Minute)}, []Reason{{Code: HubDoubted}}},
		"long ago":          {Facts{HubDoubted: now.Add(-61 * time.Minute)}, nil},
		"what is not taken": {Facts{Refused: 2, Mismatched: 1, Unread: 3}, []Reason{{Mismatched, 1}, {Unread, 3}, {RefusedByHub, 2}}},
	} {
		c.facts.Now, c.facts.Enrolled, c.facts.Connected, c.facts.FreeBytes = now, true, true, 1<<40
		state, reasons := Derive(c.facts, Limits{})
		if !slices.Equal(reasons, c.want) || (state == Attention) != (c.want != nil) {
			t.Errorf("%s: %s %v, want %v", name, state, reasons, c.want)
		}
	}
}
