package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"edged/agent/page"
	"edged/agent/status"
	"edged/spool"
)

var cardSecret = []byte("secret of the cards")

// storeAs stores an object with that Meta.
func storeAs(t testing.TB, s *spool.Spool, m Meta, content string) spool.Object {
	t.Helper()
	w, err := s.Create(spool.New{Group: m.Study, Part: m.Series, Name: m.SOPInstance, Seed: []byte("seed"), Meta: m.encode(), Quiet: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	o, _, err := w.Commit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func aMeta(i int) Meta {
	return Meta{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: fmt.Sprintf("2.25.%d.1", i), Study: fmt.Sprintf("2.25.190283746501928374650192.%d", i), Series: fmt.Sprintf("2.25.%d.2", i),
		Modality: []string{"CT", "MR", "DX", "US"}[i%4], StudyDate: "20261122", Calling: fmt.Sprintf("DEV%d", i%12), Called: "EDGED", Remote: "10.1.2.3",
		Name: fmt.Sprintf("FAMIGLIA%d^NOME%d", i, i%997), Patient: fmt.Sprintf("PID%07d", i), Issuer: "ASST^1.2.3^ISO", Birth: fmt.Sprintf("19%02d0102", i%100), Sex: "F",
		Fiscal: fmt.Sprintf("RSSMRA72H26F%03dL", i%1000), Accession: fmt.Sprintf("ACC%08d", i), StudyTime: "083500", Description: "TC TORACE SENZA MEZZO DI CONTRASTO"}
}

// followed runs cards over the spool of a keeper until the test ends.
func followed(t *testing.T, k *keeper, dir string) *cards {
	t.Helper()
	c := newCards(k, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	c.keepIn(dir)
	ctx, cancel := context.WithCancel(context.Background())
	parts := newGroup(ctx)
	parts.Go(c.run)
	t.Cleanup(func() {
		cancel()
		parts.Wait()
	})
	awaitFor(t, patience, "the cards to be read", func() bool { return !c.stillReading() })
	return c
}

func deskOver(c *cards) studyDesk {
	return studyDesk{cards: c, keeper: c.keeper, view: &view{secret: cardSecret}, resting: &resting{}, troubles: &troubles{}}
}

func full(text string) page.StudyQuery {
	return page.StudyQuery{Sight: page.SeesFull, Text: text, Limit: 50}
}

func (c *cards) totalOf(group string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := c.find(c.keyOf(group)); in != nil {
		return in.sums.total()
	}
	return 0
}

// 100,000 studies with all that is known of their persons fit in what the appliance
// may take, and are found while a finger is still on the key.
func TestAHundredThousandStudiesAreFoundAtOnce(t *testing.T) {
	const many = 100_000
	var before, after runtime.MemStats
	groups := make([]string, many) // the spool has these
	for i := range groups {
		groups[i] = aMeta(i).Study
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	c := newCards(k, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	day := time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)
	for i, g := range groups {
		m := aMeta(i)
		m.Study = g
		c.hear(spool.Object{Group: g, Seq: uint64(i + 1), Received: day.Add(time.Duration(i) * 20 * time.Second)}, m)
		c.find(c.keyOf(g)).sums = cardSums{seen: 12}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); took > 64<<20 {
		t.Errorf("%d cards take %d bytes", many, took)
	} else {
		t.Logf("%d cards take %.1f MiB", many, float64(took)/(1<<20))
	}
	desk := deskOver(c)
	for _, q := range []page.StudyQuery{full(""), full("famiglia777 nome"), full("ACC00099999"), full("777L"), full("N.F."), full("nobody is called this"), {Sight: page.SeesMasked, Text: "nf", Limit: 50},
		{Sight: page.SeesFull, Day: day.AddDate(0, 0, 3).Truncate(24 * time.Hour), Device: "DEV3", Limit: 50, Offset: 50}} {
		began := time.Now()
		list := desk.Search(q)
		took := time.Since(began)
		t.Logf("%q: %d of %d in %s", q.Text, list.Total, many, took)
		if took > time.Second {
			t.Errorf("a search takes %s", took)
		}
	}
	if list := desk.Search(full("ACC00099999")); list.Total != 1 || list.Cards[0].Person.Name != "FAMIGLIA99999^NOME299" {
		t.Errorf("by accession number: %+v", list)
	}
	runtime.KeepAlive(groups)
}

// A search finds by what one sees, and compares with nothing else: otherwise it tells
// what it hides.
func TestASearchIsNoOracle(t *testing.T) {
	s, f := openFeed(t)
	m := aMeta(1)
	m.Name, m.Fiscal, m.Accession, m.Patient = "MÜLLER^JÜRG=X", "RSSMRA72H26F941L", "A123-9", "P77"
	storeAs(t, s, m, "one")
	storeAs(t, s, aMeta(2), "two")
	desk := deskOver(followed(t, f.keeper, t.TempDir()))
	for text, want := range map[string][3]int{ // state, masked, full
		"muller": {2, 0, 1}, "Jürg mü": {2, 0, 1}, "941L": {2, 0, 1}, "41L": {2, 0, 0}, "RSSMRA72H26F941L": {2, 0, 1}, "a123-9": {2, 0, 1}, "123-": {2, 0, 1}, "p77": {2, 0, 1},
		"JM": {2, 1, 1}, "J.M.": {2, 1, 1}, "mj": {2, 1, 1}, "J": {2, 0, 1}, "": {2, 2, 2}, "2.25": {2, 0, 0}, "72H2": {2, 0, 0}} {
		for sight, n := range want {
			if list := desk.Search(page.StudyQuery{Sight: page.Sight(sight), Text: text, Limit: 10}); list.Total != n || len(list.Cards) != n {
				t.Errorf("%q seen by %d: %d, want %d", text, sight, list.Total, n)
			}
		}
	}
}

// The list has the order of arrival, whatever comes later, and its pages do not
// overlap; day, device and state choose.
func TestTheListHasTheOrderOfArrival(t *testing.T) {
	s, f := openFeed(t)
	var first spool.Object
	for i := range 7 {
		if o := storeAs(t, s, aMeta(i), fmt.Sprint(i)); i == 0 {
			first = o
		}
	}
	c := followed(t, f.keeper, t.TempDir())
	desk := deskOver(c)
	late := aMeta(0)
	late.SOPInstance = "2.25.99"
	storeAs(t, s, late, "late")
	storeAs(t, s, aMeta(7), "7")
	const want = "ACC00000007:1 ACC00000006:1 ACC00000005:1 ACC00000004:1 ACC00000003:1 ACC00000002:1 ACC00000001:1 ACC00000000:2 "
	awaitFor(t, patience, "the late ones to be listed behind and before the others", func() bool {
		got := ""
		for offset := 0; ; offset += 3 {
			list := desk.Search(page.StudyQuery{Sight: page.SeesFull, Limit: 3, Offset: offset})
			for _, card := range list.Cards {
				got += fmt.Sprintf("%s:%d ", card.Accession, card.Instances)
			}
			if len(list.Cards) < 3 {
				return got == want
			}
		}
	})
	ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: first.ID, Length: first.Length}}))
	today := time.Now().UTC().Truncate(24 * time.Hour)
	if first.Received.Before(today) {
		today = today.AddDate(0, 0, -1) // it is midnight
	}
	awaitFor(t, patience, "the state to be known", func() bool {
		return desk.Search(page.StudyQuery{State: status.Sending, Limit: 9}).Total == 1
	})
	for what, q := range map[string]page.StudyQuery{"device": {Device: "DEV3"}, "day": {Day: today, Device: "DEV3"}, "state": {State: status.Sending}} {
		if list := desk.Search(q); list.Total != 1 {
			t.Errorf("by %s: %d", what, list.Total)
		}
	}
	for what, q := range map[string]page.StudyQuery{"device": {Device: "NOBODY"}, "day": {Day: today.AddDate(0, 0, -2)}, "state": {State: status.Archived}} {
		if list := desk.Search(q); list.Total != 0 {
			t.Errorf("by another %s: %d", what, list.Total)
		}
	}
}

// Who was examined is forgotten with the last image; how many images came when, and
// from which device, is not, also over a start and when the spool has no trace of
// them any more.
func TestWhatIsForgottenKeepsItsCountAndNoPerson(t *testing.T) {
	dir := t.TempDir()
	open := func() (*spool.Spool, *keeper) {
		s, err := spool.Open(t.Context(), spool.Config{Dir: filepath.Join(dir, "spool"), AllowUnsafeFilesystem: true, BallastBytes: -1, RetainArchived: -1, MaxTombstones: 2})
		ok(t, err)
		k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
		k.set(s, nil)
		return s, k
	}
	s, k := open()
	ctx, cancel := context.WithCancel(context.Background())
	c := newCards(k, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	c.keepIn(dir)
	parts := newGroup(ctx)
	parts.Go(c.run)
	archive := func(o spool.Object) {
		ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
		ok(t, s.Archived(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
	}
	m := aMeta(1)
	for i := range 5 {
		m.SOPInstance = fmt.Sprint("2.25.1.", i)
		archive(storeAs(t, s, m, fmt.Sprint("image", i)))
	}
	desk := deskOver(c)
	awaitFor(t, patience, "the study to be known", func() bool { return c.totalOf(m.Study) == 5 })
	ok(t, s.Sweep(t.Context()))
	awaitFor(t, patience, "the person to be forgotten", func() bool { return desk.Search(full("ACC00000001")).Total == 0 })
	check := func(when string, c *cards, images int64) {
		t.Helper()
		list := deskOver(c).Search(full(""))
		if list.Total != 1 {
			t.Fatalf("%s: %d studies", when, list.Total)
		}
		card := list.Cards[0]
		if card.Person != (status.Person{}) || card.Accession+card.UID+card.Description != "" {
			t.Errorf("%s: %+v is still known", when, card)
		}
		if card.Instances != images || card.Hops.Archived != images || card.State != status.Archived || card.Device != "DEV1" || card.Modality != "MR" || card.FirstReceived.IsZero() {
			t.Errorf("%s: %+v, want %d images archived", when, card, images)
		}
	}
	check("here", c, 5)
	cancel()
	parts.Wait()
	s.Close()
	raw, err := os.ReadFile(filepath.Join(dir, seenFile))
	ok(t, err)
	for _, secret := range []string{m.Name, m.Patient, m.Fiscal, m.Accession, m.Study, m.Birth} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("%q stands in the file: %s", secret, raw)
		}
	}
	s, k = open()
	defer s.Close()
	c = followed(t, k, dir)
	check("after a start", c, 5)
	m.SOPInstance = "2.25.1.late"
	o := storeAs(t, s, m, "late")
	awaitFor(t, patience, "the late image to be counted", func() bool {
		return c.totalOf(m.Study) == 6
	})
	archive(o)
	ok(t, s.Sweep(t.Context()))
	awaitFor(t, patience, "that one to be forgotten too", func() bool { return deskOver(c).Search(full("ACC00000001")).Total == 0 })
	check("after a late image", c, 6)
}

// A study under two patients is found by either, for who sees names; and one whose
// codice fiscale is wrong by the last four of that.
func TestAStudyToBeCorrectedIsFound(t *testing.T) {
	_, f := openFeed(t)
	c := newCards(f.keeper, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	m := aMeta(1)
	m.Name, m.Patient, m.Fiscal = "ROSSI^MARIO", "RSSMRA72H26F941X", ""
	c.hear(spool.Object{Group: m.Study, Seq: 1, Received: time.Now()}, m)
	m.Name, m.Patient = "VERDI^LUIGIA", "vrdlgu75t50a562x"
	c.hear(spool.Object{Group: m.Study, Seq: 2, Received: time.Now()}, m)
	c.all[0].sums = cardSums{seen: 2}
	for text, want := range map[string][3]int64{"941X": {1, 0, 1}, "562x": {1, 0, 1}, "verdi": {1, 0, 1}, "Verdi Luigia": {1, 0, 1}, "L.V.": {1, 0, 1}, "M.R.": {1, 1, 1}, "VRDLGU75T50A562X": {1, 0, 1},
		"rossi luigia": {0, 0, 1}, "bianchi": {0, 0, 1}, "562": {0, 0, 1}} {
		for i, sight := range []page.Sight{page.SeesFull, page.SeesMasked, page.SeesState} {
			if got := deskOver(c).Search(page.StudyQuery{Sight: sight, Text: text, Limit: 9}).Total; int64(got) != want[i] {
				t.Errorf("%q by sight %d: %d, want %d", text, sight, got, want[i])
			}
		}
	}
}
