package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/internal/netlab"
	"edged/internal/netlab/line"
	"edged/internal/tools/lab"
)

// TestMain is the tool when it starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestWhatIsNotKnownIsNamedTogetherWithWhatIs(t *testing.T) {
	if got, err := chosen(lines, lineID, list{"5g", "1g"}); err != nil || len(got) != 2 || got[0].id != "5g" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := chosen(lines, lineID, list{"2g"}); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("got %v, want the names that there are", err)
	}
	var none list
	if err := none.Set(""); err != nil || len(none) != 0 {
		t.Errorf("an empty flag is %q, %v", none, err)
	}
}

// A row says what of it is not behind a receipt, and that it is a second try.
func TestRemarksSayWhatIsNotDurableAndWhatWasRepeated(t *testing.T) {
	o := outcome{bytes: 1000, partial: 10, seconds: 1}
	if got := remarks(o, wire{}); got != "" {
		t.Errorf("1 %% partial, not repeated: %q", got)
	}
	o.partial, o.again = 120, firstWords(errors.New("no first packet\nand more"))
	want := "12 % of the bytes are of objects cut off, not durable; measured again after a failure: no first packet"
	if got := remarks(o, wire{}); got != want {
		t.Errorf("got %q", got)
	}
}

// Each goal is judged by figures of the same line and the same size.
func TestGoalsAreJudgedWithinALineAndASize(t *testing.T) {
	w, z := lines[0], sizes[1]
	at := func(rate, late float64) outcome {
		return outcome{bytes: int64(rate / 8 * 10), seconds: 10, steady: late}
	}
	r := results{
		{w.id, z.id, ourAuto}:            at(900e6, 930e6),
		{w.id, z.id, ourQUIC}:            at(790e6, 0),
		{w.id, z.id, plainStore}:         at(40e6, 31e6),
		{w.id, z.id, tunedStore}:         at(180e6, 0),
		{w.id, sizes[0].id, plainStore}:  at(1e6, 1e6),
		{lines[1].id, z.id, plainStore}:  at(1e6, 1e6),
		{lines[6].id, z.id, plainTLS}:    at(1000e6, 0),
		{lines[6].id, z.id, ourTCP}:      at(900e6, 0),
		{lines[6].id, sizes[2].id, "no"}: at(1, 1),
	}
	figures := make(map[string]string)
	s := r.judge(plan{lines: []wire{w, lines[6]}, sizes: []size{z}}, figures)
	want := []string{
		"auto, of the line|≥ 0.85|0.90 (second half 0.93)|PASS",
		"QUIC lanes, of the line|≥ 0.80|0.79|GAP",
		"auto, to default C-STORE|≥ 20×|22.5× (second half 30×)|PASS",
		"auto, to tuned C-STORE (the whole line is 5.56×)|≥ 6×|5×|GAP",
		"QUIC lanes, to Go TLS|≥ 0.40×|–|not measured",
		"TLS lanes, to Go TLS|≥ 0.90×|0.90×|PASS",
	}
	for i, row := range s.Rows {
		if got := strings.Join(row[2:], "|"); i >= len(want) || got != want[i] {
			t.Errorf("row %d: %q", i, got)
		}
	}
	if len(s.Rows) != len(want) {
		t.Errorf("%d rows, want %d", len(s.Rows), len(want))
	}
	if figures["auto_1g"] != "0.9" || figures["cstore_1g"] != "22.5" || figures["quic_tls_loopback"] != "" {
		t.Errorf("figures %v", figures)
	}
}

func TestMemoryIsTheWorstOfAllCells(t *testing.T) {
	r := results{{"a"}: {rss: [2]int64{100 << 20, 10 << 20}}, {"b"}: {rss: [2]int64{20 << 20, 200 << 20}}, {"peer"}: {rss: [2]int64{0, 999 << 20}}}
	var s lab.Section
	r.judgeMemory(&s, make(map[string]string))
	if got := s.Rows; len(got) != 2 || got[0][4] != "100 MiB" || got[0][5] != "PASS" || got[1][4] != "200 MiB" || got[1][5] != "GAP" {
		t.Errorf("got %q", got)
	}
}

func TestTheMiddleRunCounts(t *testing.T) {
	var all []outcome
	for _, bytes := range []int64{10, 90, 40} {
		all = append(all, outcome{bytes: bytes, seconds: 1})
	}
	if got := middle(all); got.bytes != 40 {
		t.Errorf("got %d", got.bytes)
	}
}

// The rate of the second half leaves out what the first gave.
func TestPaceIsThatOfTheSecondHalf(t *testing.T) {
	p := pace{limit: 8 * time.Second, before: lab.Net{Bytes: 100}, half: lab.Net{Bytes: 900}, middle: 4 * time.Second, last: lab.Net{Bytes: 1100}, end: 8 * time.Second}
	if got := p.steady(outcome{bytes: 500}); got != 200.0/1000*500*8/4 {
		t.Errorf("got %v", got)
	}
	p.end = 5 * time.Second
	if got := p.steady(outcome{bytes: 500}); got != 0 {
		t.Errorf("what ended early has a second half: %v", got)
	}
}

func TestStoryTellsCarriersInOrder(t *testing.T) {
	w := watch{samples: []sample{{transport: "none"}, {transport: "quic", lanes: 1}, {transport: "quic", lanes: 8}, {transport: "tcp", lanes: 4}}}
	if got, want := w.story(), "quic → tcp, lanes: 4 at the end, 8 at most"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is cut off counts with the bytes that are there, what is whole without the
// header of its file.
func TestCarriedCountsWholeObjectsAndParts(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]int{"whole": 1000, "with header": 1100, "part": 300} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &stock{size: size{bytes: 1000}}
	if objects, bytes := s.carried(dir); objects != 2 || bytes != 2300 {
		t.Errorf("%d objects, %d bytes", objects, bytes)
	}
}

// A clone shares what is never written again, and nothing else.
func TestCloneSharesObjectsOnly(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	for _, name := range []string{"edge/spool/objects/1.obj", "edge/spool/journal/1.log"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&stock{pair: from}).clone(to); err != nil {
		t.Fatal(err)
	}
	for name, shared := range map[string]bool{"edge/spool/objects/1.obj": true, "edge/spool/journal/1.log": false} {
		a, err := os.Stat(filepath.Join(from, name))
		b, err2 := os.Stat(filepath.Join(to, name))
		if err != nil || err2 != nil || os.SameFile(a, b) != shared {
			t.Errorf("%s: shared %v, want %v: %v, %v", name, os.SameFile(a, b), shared, err, err2)
		}
	}
}

// The relay is a process that answers, obeys, and ends with its input.
func TestRelayDropsUDPWhenTold(t *testing.T) {
	if err := line.Available(); err != nil {
		t.Skip(err)
	}
	n, err := netlab.Create()
	if err != nil {
		t.Skip(err)
	}
	defer n.Close()
	var spaces []*netlab.Space
	for _, name := range []string{"near", "far"} {
		s, err := n.Space(name)
		if err != nil {
			t.Fatal(err)
		}
		spaces = append(spaces, s)
	}
	r, err := startRelay(t.Context(), spaces[0], spaces[1], lines[0].config(1))
	if err != nil {
		t.Fatal(err)
	}
	var c net.Conn
	if err := spaces[0].Do(func() (err error) { c, err = net.Dial("udp", farAddress+":9"); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	passed := func() int64 { c.Write([]byte("x")); now, _ := r.tell(relayAsk); return now[0].Packets }
	if err := lab.Await(t.Context(), time.Minute, "a packet", func() bool { return passed() > 0 }); err != nil {
		t.Error(err)
	}
	before, err := r.tell(relayBlock)
	if err != nil {
		t.Error(err)
	}
	var after traffic
	lab.Await(t.Context(), time.Minute, "a blocked packet", func() bool { passed(); after, _ = r.tell(relayAsk); return after[0].Blocked > before[0].Blocked })
	if after[0].Packets != before[0].Packets || after[0].Blocked == before[0].Blocked {
		t.Errorf("UDP passes: %+v, then %+v", before[0], after[0])
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// A receiver is found by its port without a packet.
func TestOpenSeesListenersOfTheirNamespace(t *testing.T) {
	n, err := netlab.Create()
	if err != nil {
		t.Skip(err)
	}
	defer n.Close()
	s, err := n.Space("one")
	if err != nil {
		t.Fatal(err)
	}
	e := end{space: s, address: loopAddress}
	if e.open("6001") {
		t.Error("open before it is")
	}
	var l net.Listener
	if err := s.Do(func() (err error) { l, err = net.Listen("tcp", ":6001"); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !e.open("6001") || e.open("6002") {
		t.Errorf("6001 open %v, 6002 open %v", e.open("6001"), e.open("6002"))
	}
}

// Every peer and section can be chosen by its name, which is one.
func TestNamesAreDifferent(t *testing.T) {
	all := slices.Concat(ids(lines, lineID), ids(sizes, sizeID), ids(peers, peerID), ids(extras, extraID))
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("twice: %v", all)
	}
}

// A peer that ends well is waited for; one that takes too long is ended.
func TestSendersAreCutOffWhenTheTimeIsOver(t *testing.T) {
	cmd := lab.Command(context.Background(), nil, nil, "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	if lab.Ended(cmd) {
		t.Error("it has ended at once")
	}
	if kill([]*exec.Cmd{cmd}); !lab.Ended(cmd) {
		t.Error("it still runs")
	}
}

// A sample belongs to the innermost function that says something.
func TestSamplesAreSortedByTheInnermostName(t *testing.T) {
	said := "\n\t 8f3 crypto/internal/fips140/sha256.blockSHANI\n\t 8d6 edged/spool.(*Writer).Write\n\n\n" +
		"\t f rep_movs_alternative\n\t f tcp_sendmsg_locked\n\t 1 do_syscall_64\n\n" +
		"\t 1 runtime.memmove\n\t 2 edged/uplink.(*lane).send\n\n\t 1 main.x\n"
	got := sortSamples(said)
	for _, name := range []string{"SHA-256", "kernel: network", "uplink", "other"} {
		if got[name] != 1 {
			t.Errorf("%s: %d, want 1; all: %v", name, got[name], got)
		}
	}
}
