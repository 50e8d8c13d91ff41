package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/hub"
	"edged/internal/pglab"
)

// lived is a ledger with rows in every state that a dump must carry.
func lived(t *testing.T, config Config) *world {
	t.Helper()
	config.Destinations = []Destination{{Name: "vna", Required: true, Confirm: "commitment"}, {Name: "copy", Confirm: "dir"}}
	w := start(t, config)
	w.must(w.AddCode(w.ctx, [32]byte{1}, "F1", w.now.Add(time.Hour), "cli:test"))
	_, err := w.Claim(w.ctx, [32]byte{1}, [32]byte{2}, "a", "")
	w.must(err)
	odd := object("a", 7, "odd")
	odd.Study, odd.Calling = "1.2.\xff\x00\n\"<é>", "ÀÈ\\"
	w.receive(object("a", 1, "x"), object("a", 2, "y"), object("a", 3, "z"), object("a", 3, "other contents"), odd)
	w.receive(object("b", 1, "x"))
	jobs := w.lease("vna", 10)
	w.must(w.Stored(w.ctx, jobs[0], ""))
	w.must(w.Refuse(w.ctx, jobs[1], "no <room> for it"))
	_, err = w.Ask(w.ctx, "vna", "2.25.1", 10, func(int) time.Duration { return time.Hour })
	w.must(err)
	_, err = w.Reported(w.ctx, []string{"vna"}, Report{Transaction: "2.25.1", Committed: []Reference{{jobs[0].Object.Names.SOPClass, jobs[0].Object.Names.SOPInstance}}}, nil)
	w.must(err)
	w.must(w.AcknowledgeConfirmations(w.ctx, "a", []uint64{1, 2}))
	return w
}

func (w *world) dump() []byte {
	w.Helper()
	var b bytes.Buffer
	_, err := w.Dump(w.ctx, &b, "hubd test")
	w.must(err)
	return b.Bytes()
}

func allHere(hub.ID) (bool, error) { return true, nil }

func (w *world) restore(dump []byte, here func(hub.ID) (bool, error)) Restored {
	w.Helper()
	r, err := w.Restore(w.ctx, bytes.NewReader(dump), here, "cli:test")
	w.must(err)
	return r
}

// rows are the lines of a dump that a restore does not change on purpose.
func rows(dump []byte) string {
	var out []string
	table := ""
	for line := range strings.Lines(string(dump)) {
		var t dumpedTable
		if json.Unmarshal([]byte(line), &t) == nil && t.Table != "" {
			table = t.Table
		}
		if strings.HasPrefix(line, `["generation"`) || strings.HasPrefix(line, `["restored_at"`) || strings.Contains(line, `"restored"`) || strings.HasPrefix(line, `{"rows"`) || strings.HasPrefix(line, `{"format"`) || table == "jobs" {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// What a restored ledger says of objects, devices, outboxes and jobs is what the
// dumped one said; generation and audit trail say that it was restored.
func TestARestoredLedgerIsTheDumpedOne(t *testing.T) {
	w := lived(t, Config{})
	dump := w.dump()
	if again := w.dump(); !bytes.Equal(again, dump) {
		t.Error("two dumps of the same rows differ")
	}
	d, err := CheckDump(bytes.NewReader(dump))
	w.must(err)
	w.want("objects, receipts, jobs", []int64{d.Tables["objects"], d.Tables["receipts"], d.Tables["jobs"]}, []int64{5, 6, 10})
	n := start(t, Config{Destinations: w.config.Destinations})
	r := n.restore(dump, allHere)
	w.want("not archived, not here", []int64{r.Waiting, r.Missing}, []int64{4, 0})
	if got, want := sorted(rows(n.dump())), sorted(rows(dump)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	id, generation, err := n.Identity(n.ctx)
	n.must(err)
	was, before, err := w.Identity(w.ctx)
	w.must(err)
	if id != was || generation <= before || generation != r.Generation {
		t.Errorf("ledger %s generation %d, it was %s %d", id, generation, was, before)
	}
	old, now := w.stats(), n.stats()
	old.Backlog, now.Backlog = nil, nil
	w.want("figures", now, old)
	n.must(n.Start(n.ctx))
	w.want("jobs that were leased are free", len(n.lease("vna", 10)), 2)
}

// The way from SQLite to PostgreSQL, and back: all is the same, also text that
// PostgreSQL's own cannot hold.
func TestADumpGoesFromOneDatabaseToTheOther(t *testing.T) {
	w := lived(t, Config{})
	dump := w.dump()
	pg := start(t, Config{Database: pglab.Start(t), Destinations: w.config.Destinations})
	pg.restore(dump, allHere)
	moved := pg.dump()
	want := rows(dump)
	if got := rows(moved); sorted(got) != sorted(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	back := start(t, Config{Destinations: w.config.Destinations})
	back.now = back.now.Add(time.Hour)
	back.restore(moved, allHere)
	if got := rows(back.dump()); sorted(got) != sorted(want) {
		t.Errorf("back again\n%s\nwant\n%s", got, want)
	}
	for _, n := range []*world{pg, back} {
		n.must(n.Start(n.ctx))
		n.want("figures", fmt.Sprintf("%+v", n.stats().Objects), "5")
		n.receive(object("a", 100, "new")) // numbers go on
		n.want("jobs", len(n.lease("vna", 10)), 3)
	}
}

// sorted forgets in which order a database returns rows.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A number of the outbox that was given and acknowledged is never given again.
func TestNumbersGoOnWhereTheDumpStopped(t *testing.T) {
	w := lived(t, Config{})
	cs, err := w.Confirmations(w.ctx, "b", 0, 10)
	w.must(err)
	w.must(w.AcknowledgeConfirmations(w.ctx, "b", []uint64{cs[0].Seq}))
	n := start(t, Config{Destinations: w.config.Destinations})
	n.restore(w.dump(), allHere)
	o := object("b", 1, "x")
	_, err = n.Known(n.ctx, "b", []hub.ID{o.ID})
	n.must(err)
	again, err := n.Confirmations(n.ctx, "b", 0, 10)
	n.must(err)
	if len(again) != 1 || again[0].Seq <= cs[0].Seq {
		t.Errorf("got %+v after %+v", again, cs)
	}
}

// The same dump restored a second time raises the generation above that of the first.
func TestEachRestoreHasAGenerationOfItsOwn(t *testing.T) {
	dump := lived(t, Config{}).dump()
	a, b := start(t, Config{}), start(t, Config{})
	first := a.restore(dump, allHere)
	b.now = a.now.Add(time.Minute)
	if second := b.restore(dump, allHere); second.Generation <= first.Generation {
		t.Errorf("%d after %d", second.Generation, first.Generation)
	}
}

func TestADumpIsNotRestoredIntoALedgerThatIsUsed(t *testing.T) {
	w := lived(t, Config{})
	before := w.dump()
	if _, err := w.Restore(w.ctx, bytes.NewReader(before), allHere, "cli:test"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("got %v", err)
	}
	if !bytes.Equal(w.dump(), before) {
		t.Error("its rows have changed")
	}
}

// What waits for an archive and is not here any more: no receipt of it counts, so
// that no appliance forgets it; nobody is asked before a destination was.
func TestWhatARestoreDoesNotFindIsNotPromised(t *testing.T) {
	w := start(t, Config{})
	kept, gone := object("a", 1, "x"), object("a", 2, "y")
	w.receive(kept, gone)
	n := start(t, Config{})
	r := n.restore(w.dump(), func(id hub.ID) (bool, error) { return id == kept.ID, nil })
	w.want("missing", r.Missing, 1)
	known, err := n.Known(n.ctx, "a", []hub.ID{kept.ID, gone.ID})
	n.must(err)
	w.want("promised", fmt.Sprint(known), fmt.Sprint(map[hub.ID]int64{kept.ID: kept.Length}))
	troubles, err := n.Troubles(n.ctx, "a", 0, 10)
	n.must(err)
	w.want("asked for", len(troubles), 0)
	w.want("jobs", len(n.lease("vna", 10)), 2)
	n.receive(gone)
	w.want("lost after it came again", n.stats().Lost, 0)
}

// Any one byte changed, any cut: refused, and the ledger stays empty.
func TestADamagedDumpIsRefusedAtAnyByte(t *testing.T) {
	dump := lived(t, Config{}).dump()
	// Each byte counts for the digest alone but at both ends: of those between, other
	// ones in each run.
	for i := 0; i < len(dump); i++ {
		if i > 60 && i < len(dump)-160 {
			i += rand.IntN(1 + len(dump)/400)
		}
		if i >= len(dump) {
			break
		}
		bad := bytes.Clone(dump)
		bad[i] ^= 1 << (i % 8)
		if _, err := CheckDump(bytes.NewReader(bad)); err == nil {
			t.Fatalf("byte %d of %d flipped is taken", i, len(dump))
		}
		if _, err := CheckDump(bytes.NewReader(dump[:i])); !errors.Is(err, ErrDump) {
			t.Fatalf("cut after %d of %d bytes: %v", i, len(dump), err)
		}
	}
	if _, err := CheckDump(bytes.NewReader(append(bytes.Clone(dump), '\n'))); !errors.Is(err, ErrDump) {
		t.Errorf("with something behind it: %v", err)
	}
	w := start(t, Config{})
	empty := w.dump()
	for i := 0; i < len(dump); i += 1 + len(dump)/12 {
		bad := bytes.Clone(dump)
		bad[i] ^= 1
		if _, err := w.Restore(w.ctx, bytes.NewReader(bad), allHere, "cli:test"); err == nil {
			t.Fatalf("byte %d flipped is restored", i)
		}
	}
	if !bytes.Equal(w.dump(), empty) {
		t.Error("a refused dump has left rows")
	}
}

func TestADumpOfANewerProgramIsRefusedInWords(t *testing.T) {
	dump := lived(t, Config{}).dump()
	w := start(t, Config{})
	for change, want := range map[[2]string]string{
		{`"version":1`, `"version":2`}: "format version 2",
		{fmt.Sprintf(`"schema":%d`, len(migrations)), fmt.Sprintf(`"schema":%d`, len(migrations)+1)}: "restore it with the hubd that wrote it",
	} {
		newer := bytes.Replace(dump, []byte(change[0]), []byte(change[1]), 1)
		if _, err := w.Restore(w.ctx, bytes.NewReader(newer), allHere, "cli:test"); !errors.Is(err, ErrDump) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

// A dump is of one moment: an object, its receipt and its jobs are in it together
// or not at all, whatever is received while it is written.
func TestADumpBesideARunningHubIsOfOneMoment(t *testing.T) {
	w := start(t, Config{})
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := w.Receive(w.ctx, []hub.Object{object("a", n, "x")}); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 20 {
		d, err := CheckDump(bytes.NewReader(w.dump()))
		w.must(err)
		if o := d.Tables["objects"]; d.Tables["receipts"] != o || d.Tables["jobs"] != o {
			t.Errorf("%v", d.Tables)
		}
	}
	close(stop)
	w.must(<-ended)
}

// The reader takes whatever a file holds: what it believes has the digest that it says.
func FuzzCheckDump(f *testing.F) {
	f.Add([]byte(smallDump)) // without its digest; testdata has whole ones
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := CheckDump(bytes.NewReader(b))
		if err == nil && (d.Format != dumpFormat || d.SHA256 == "") {
			t.Errorf("taken: %+v", d)
		}
	})
}

const smallDump = `{"format":"edged-hub-ledger","version":1,"schema":11,"ledger":"0123","generation":1,"at":"2026-11-22T13:00:00Z","software":"hubd","sequences":{"objects":2}}
{"table":"meta","columns":["key","value"]}
["ledger_id","0123"]
{"table":"objects","columns":["seq","id","study","archived_at"]}
[1,{"b":"AQI="},"1.2.3",null]
[2,{"b":"AQM="},{"t":"MS4y/w=="},1790000000000]
{"rows":3,"sha256":"%s"}
`

// The form that is written down is the form that is read.
func TestTheFormOfADump(t *testing.T) {
	body, _, _ := strings.Cut(smallDump, `{"rows"`)
	text := fmt.Sprintf(smallDump, fmt.Sprintf("%x", sha256.Sum256([]byte(body))))
	d, err := CheckDump(strings.NewReader(text))
	if err != nil || d.Rows != 3 || d.Tables["objects"] != 2 || d.Sequences["objects"] != 2 {
		t.Errorf("%+v %v", d, err)
	}
}
