package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
	"edged/internal/audit"
	"edged/spool"
	"edged/uplink"
)

// The sums of a day are those of the spool's counters, also when images have been
// forgotten; and what is missing says why.
func TestTheSumsOfADayAreTheCounters(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(t.Context(), spool.Config{Dir: filepath.Join(dir, "spool"), AllowUnsafeFilesystem: true, BallastBytes: -1, RetainArchived: -1})
	ok(t, err)
	defer s.Close()
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	c := followed(t, k, dir)
	refused := []status.Device{{AETitle: "DEV1", Refused: 7}}
	c.devices = func() []status.Device { return refused }
	c.countRefused(time.Now())
	desk := dayDesk{deskOver(c), &keptDays{}}
	var all []spool.Object
	for i := range 6 {
		for n := range i + 1 {
			m := aMeta(i)
			m.SOPInstance = fmt.Sprintf("2.25.%d.%d", i, n)
			all = append(all, storeAs(t, s, m, fmt.Sprint(i, " ", n)))
		}
	}
	for i, o := range all {
		if i%3 != 0 {
			ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
		}
		if i%3 == 2 {
			ok(t, s.Archived(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
		}
	}
	ok(t, s.Hold(t.Context(), all[4].ID))
	desk.troubles.add(uplink.Trouble{ID: [32]byte(all[4].ID), Destination: "vna", Permanent: true, Words: "0xA900 does not match"})
	ok(t, s.Quarantine(t.Context(), all[3].ID, "for a test"))
	refused = []status.Device{{AETitle: "DEV1", Refused: 9}}
	today := all[0].Received.UTC().Truncate(24 * time.Hour)
	check := func(when string, gone int64) {
		t.Helper()
		var sum page.DayDevice
		var says []string
		awaitFor(t, patience, "the day to be counted "+when, func() bool {
			sum, says = page.DayDevice{}, nil
			d := desk.Day(today)
			for _, x := range d.Devices {
				sum = page.DayDevice{Studies: sum.Studies + x.Studies, Images: sum.Images + x.Images, Hops: added(sum.Hops, x.Hops), Refused: sum.Refused + x.Refused, Complete: sum.Complete + x.Complete}
			}
			for _, m := range d.Missing {
				for _, why := range m.Why {
					says = append(says, fmt.Sprint(why.Code, why.Count, why.Words))
				}
			}
			return sum.Images == int64(s.Counters()[spool.CountReceived]) && sum.Hops.Archived == int64(s.Counters()[spool.CountArchived])
		})
		if st := s.Stats(); st.Objects != int64(len(all))-gone || sum.Hops.Total() != sum.Images {
			t.Errorf("%s: %d objects here, %+v", when, st.Objects, sum)
		}
		if sum.Studies != 6 || sum.Hops.Held != 1 || sum.Hops.Quarantined != 1 || sum.Refused != 2 {
			t.Errorf("%s: %+v", when, sum)
		}
		if got := strings.Join(says, ","); !strings.Contains(got, "aside1") || !strings.Contains(got, "archivesays10xA900 does not match") {
			t.Errorf("%s: why is %s", when, got)
		}
	}
	check("while all is here", 0)
	ok(t, s.Sweep(t.Context()))
	check("when what is archived has gone", int64(len(all)/3))
	if d := desk.Day(today.AddDate(0, 0, -3)); !d.Before || len(d.Devices) > 0 {
		t.Errorf("a day before the first: %+v", d)
	}
	if days := desk.Days(9); len(days) == 0 || !days[len(days)-1].Equal(today) {
		t.Errorf("days %v, want %v", days, today)
	}
}

// What is sent again is offered again, once, with a row on the audit trail before it;
// what is archived, damaged or waiting anyhow is left alone.
func TestSendingAgainOffersWhatIsNotArchived(t *testing.T) {
	s, f := openFeed(t)
	m := aMeta(3)
	var all []spool.Object
	for n := range 5 {
		m.SOPInstance = fmt.Sprint("2.25.3.", n)
		all = append(all, storeAs(t, s, m, fmt.Sprint("image ", n)))
	}
	hub := func(o spool.Object) { ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}})) }
	hub(all[0])
	ok(t, s.Archived(t.Context(), []spool.Receipt{{ID: all[0].ID, Length: all[0].Length}}))
	hub(all[1])
	hub(all[2])
	ok(t, s.Hold(t.Context(), all[2].ID))
	ok(t, s.Quarantine(t.Context(), all[3].ID, "tried often"))
	desk := deskOver(followed(t, f.keeper, t.TempDir()))
	key := status.StudyKey(cardSecret, m.Study)
	who := account.Actor{Name: "maria", Address: netip.MustParseAddr("10.0.0.7")}
	var told []string
	refuse := errors.New("the trail cannot be written")
	desk.audited = func(by account.Actor, action, object, reason string, act func() error) error { return refuse }
	if _, err := desk.Resend(t.Context(), key, who); err != refuse {
		t.Errorf("without a row: %v", err)
	}
	if o, _ := s.Object(all[1].ID); o.State != spool.AtHub {
		t.Errorf("without a row it is %s", o.State)
	}
	desk.audited = func(by account.Actor, action, object, reason string, act func() error) error {
		told = append(told, by.Name, action, object)
		return act()
	}
	n, err := desk.Resend(t.Context(), key, who)
	if err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	for i, want := range []spool.State{spool.Archived, spool.Received, spool.Received, spool.Received, spool.Received} {
		if o, _ := s.Object(all[i].ID); o.State != want || o.Held != (i == 2) {
			t.Errorf("%d is %s, held %t; want %s", i, o.State, o.Held, want)
		}
	}
	if got := strings.Join(told, " "); got != "maria study resend study:"+key {
		t.Errorf("told %q", got)
	}
	if _, err := desk.Resend(t.Context(), key, who); err != page.ErrNothingToResend {
		t.Errorf("once more: %v", err)
	}
	if _, err := desk.Resend(t.Context(), "00", who); err != page.ErrNothingToResend {
		t.Errorf("of what is not here: %v", err)
	}
}

// The digests on a receipt are those by which the spool and the hub know the images.
func TestAReceiptHasTheDigestsOfTheSpool(t *testing.T) {
	s, f := openFeed(t)
	m := aMeta(4)
	var ids []string
	for n := range 20 {
		m.SOPInstance = fmt.Sprint("2.25.4.", n)
		ids = append(ids, storeAs(t, s, m, fmt.Sprint("image ", n)).ID.String())
		storeAs(t, s, aMeta(100+n), fmt.Sprint("of another ", n))
	}
	desk := deskOver(followed(t, f.keeper, t.TempDir()))
	d, found := desk.Study(status.StudyKey(cardSecret, m.Study), true)
	if !found || len(d.Receipt.Instances) != 20 || d.Card.Person.Name != m.Name || d.Card.UID != m.Study {
		t.Fatalf("%+v", d)
	}
	for i, x := range d.Receipt.Instances {
		if x.ID != ids[i] || x.UID != fmt.Sprint("2.25.4.", i) || x.Received.IsZero() {
			t.Errorf("%d is %+v, want %s", i, x, ids[i])
		}
	}
	if d.Receipt.Digest != digestOf(ids) || len(d.Receipt.Digest) != 64 {
		t.Errorf("digest %s", d.Receipt.Digest)
	}
	if bare, _ := desk.Study(status.StudyKey(cardSecret, m.Study), false); bare.Receipt.Digest != "" {
		t.Error("a page that is no receipt lists instances")
	}
}

// Late images are those that came when all before them had been archived.
func TestLateImagesAreCounted(t *testing.T) {
	at := func(m int) time.Time { return time.Date(2026, 11, 22, 8, m, 0, 0, time.UTC) }
	o := func(received, archived int) spool.Object {
		x := spool.Object{Received: at(received)}
		if archived > 0 {
			x.ArchivedAt = at(archived)
		}
		return x
	}
	for _, tc := range []struct {
		what    string
		objects []spool.Object
		gone    int64
		want    int64
	}{
		{"none", nil, 0, 0}, {"all at once", []spool.Object{o(1, 9), o(2, 9)}, 0, 0}, {"not archived yet", []spool.Object{o(1, 0), o(20, 0)}, 0, 0},
		{"two late", []spool.Object{o(1, 9), o(2, 8), o(20, 0), o(21, 30)}, 0, 2}, {"the others have gone", []spool.Object{o(59+30, 0)}, 4, 1}, {"some of them have", []spool.Object{o(2, 9), o(59+30, 0)}, 4, 1},
	} {
		late := lateCount{gone: tc.gone, last: at(0)}
		for _, o := range tc.objects {
			late.object(o)
		}
		if late.n != tc.want {
			t.Errorf("%s: %d, want %d", tc.what, late.n, tc.want)
		}
	}
}

// The trail is shown newest first, in pages, by day and by person; an export proves
// itself, stands on the trail, and is harmless in a spreadsheet.
func TestTheTrailIsShownAndTakenAlong(t *testing.T) {
	dir := t.TempDir()
	trail := audit.New(audit.Config{Dir: dir})
	for i := range 30 {
		_, err := trail.Append(audit.Event{Who: []string{"maria", "=cmd|' /C calc'!A0"}[i%2], Action: "spool release", Object: fmt.Sprint("seq:", i), Outcome: audit.Done})
		ok(t, err)
	}
	desk := &auditDesk{dir: dir, key: func() ([]byte, error) { return nil, nil }, audited: func(by account.Actor, action, object, reason string, act func() error) error {
		return trail.Do(audit.Event{Who: by.Name, Action: action, Object: object}, act)
	}}
	rows := func(q page.AuditQuery) page.AuditPage {
		t.Helper()
		p, err := desk.Rows(q)
		ok(t, err)
		return p
	}
	var read []string
	desk.read = func(by account.Actor, found audit.Report) { read = append(read, fmt.Sprint(by.Name, found.Events)) }
	p := rows(page.AuditQuery{Limit: 10, Offset: 10, By: account.Actor{Name: "anna"}})
	rows(page.AuditQuery{Limit: 10, Offset: 20, By: account.Actor{Name: "anna"}})
	if rows(page.AuditQuery{By: account.Actor{Name: "ugo"}}); fmt.Sprint(read) != "[anna30 ugo30]" {
		t.Errorf("the repository hears that %v read", read)
	}
	desk.read = nil
	if p.Total != 30 || p.All != 30 || p.Broken != 0 || len(p.Rows) != 10 || p.Rows[0].Seq != 20 || p.Rows[9].Seq != 11 || p.Older {
		t.Errorf("%+v", p)
	}
	if p := rows(page.AuditQuery{Limit: 50, Who: "MAR"}); p.Total != 15 {
		t.Errorf("by maria: %d", p.Total)
	}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	if p, q := rows(page.AuditQuery{Limit: 50, Day: today}), rows(page.AuditQuery{Limit: 50, Day: today.AddDate(0, 0, -1)}); p.Total+q.Total != 30 {
		t.Errorf("by day: %d and %d", p.Total, q.Total)
	}
	var chain, table bytes.Buffer
	ok(t, desk.Export(&chain, false, account.Actor{Name: "anna"}))
	if _, rep, err := audit.Verify(&chain, nil, func(audit.Event) error { return nil }); err != nil || rep.Broken != 0 || rep.Events != 31 {
		t.Errorf("the copy: %+v, %v", rep, err)
	}
	ok(t, desk.Export(&table, true, account.Actor{Name: "anna"}))
	if text := table.String(); !strings.Contains(text, "'=cmd|") || strings.Contains(text, ",=cmd") || !strings.Contains(text, "anna,audit export") {
		t.Errorf("the table:\n%s", text)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	raw, err := os.ReadFile(names[0])
	ok(t, err)
	ok(t, os.WriteFile(names[0], bytes.Replace(raw, []byte("seq:5"), []byte("seq:6"), 1), 0o600))
	if p := rows(page.AuditQuery{Limit: 10}); p.Broken == 0 {
		t.Error("a changed row is not told")
	}
	if err := desk.Export(failing{}, true, account.Actor{Name: "anna"}); err == nil {
		t.Error("a copy that was cut off is called one")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// What a device has announced and not sent is missing from its day, also when all that came is
// archived; of a study that is still coming nobody says so.
func TestADayLacksWhatWasAnnounced(t *testing.T) {
	s, f := openFeed(t)
	var all []spool.Object
	for n := range 2 {
		m := aMeta(1)
		m.SOPInstance = fmt.Sprint("2.25.1.", n)
		all = append(all, storeAs(t, s, m, fmt.Sprint(n)))
		ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: all[n].ID, Length: all[n].Length}}))
		ok(t, s.Archived(t.Context(), []spool.Receipt{{ID: all[n].ID, Length: all[n].Length}}))
	}
	c := newCards(f.keeper, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	c.through(t.Context(), s)
	for c.stillReading() {
		c.fillSome(s)
	}
	desk, today := dayDesk{deskOver(c), &keptDays{}}, all[0].Received.UTC().Truncate(24*time.Hour)
	for _, x := range []struct {
		bits         uint8
		expected     int32
		short, whole int64
	}{{0, 5, 0, 1}, {cardSettled, 0, 0, 1}, {cardSettled, 2, 0, 1}, {cardSettled, 1, 0, 1}, {cardSettled, 5, 3, 0}} {
		c.all[0].bits, c.all[0].expected = c.all[0].bits&^cardSettled|x.bits, x.expected
		d := desk.count(today)
		if in := d.Devices[0]; in.Short != x.short || in.Complete != x.whole || in.Hops.Archived != 2 || len(d.Missing) != int(1-x.whole) {
			t.Errorf("%+v: %+v, missing %d", x, in, len(d.Missing))
		}
		if x.short > 0 && d.Missing[0].Short != x.short {
			t.Errorf("%d are listed", d.Missing[0].Short)
		}
	}
}

// It is missing also when all of the study has gone and the appliance has started anew; of
// what was announced before a study settled, nothing is written down.
func TestWhatWasAnnouncedOutlivesTheStudy(t *testing.T) {
	for _, x := range []struct {
		bits  uint8
		short int64
	}{{cardSettled, 3}, {0, 0}} {
		c, again := newCards(nil, cardSecret, time.UTC, slog.New(slog.DiscardHandler)), newCards(nil, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
		l := c.lineOf(&card{key: 7, first: 1, sums: cardSums{seen: 2}, expected: 5, bits: x.bits})
		raw, err := json.Marshal(l)
		ok(t, err)
		var read seenLine
		ok(t, json.Unmarshal(raw, &read))
		again.take(read)
		if in := again.find(7); in == nil || in.short() != x.short {
			t.Errorf("%s: %+v, want %d missing", raw, in, x.short)
		}
	}
}

// Who was a stranger and is admitted was refused no more often for that; what comes then counts.
func TestAnAdmissionIsNoRefusal(t *testing.T) {
	d, now := newDayBook(time.UTC), time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	look := func(known bool, address string, refused int64) string {
		d.refusals(now, []status.Device{{AETitle: "ECO_NEW", Address: address, Known: known, Refused: refused}})
		return fmt.Sprint(d.sums[dayDevice{20261122, ""}].refused, " ", d.sums[dayDevice{20261122, "ECO_NEW"}].refused)
	}
	look(false, "10.0.0.9", 0)
	for _, x := range []struct {
		known   bool
		address string
		refused int64
		want    string
	}{{false, "10.0.0.9", 4, "4 0"}, {true, "10.0.0.9:104", 4, "4 0"}, {true, "10.0.0.9:104", 4, "4 0"}, {true, "10.0.0.9:104", 6, "4 2"}} {
		if got := look(x.known, x.address, x.refused); got != x.want {
			t.Errorf("%+v: %s", x, got)
		}
	}
}
