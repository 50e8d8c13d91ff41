package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pdu is a PDU with its head (PS3.8 §9.3.1).
func pdu(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind, 0}, uint32(len(body))), body...)
}

// item is one of an A-ASSOCIATE.
func item(kind byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint16([]byte{kind, 0}, uint16(len(body))), body...)
}

// fragment is a presentation data value: bit 0 of control is command, bit 1 last.
func fragment(context, control byte, data []byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+2)), context, control), data...)
}

// element is one of a command set.
func element(number uint16, v []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0, 0}, number)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
}

func associate(kind byte, items ...[]byte) []byte {
	return pdu(kind, append(make([]byte, 68), bytes.Join(items, nil)...))
}

// cStore is a request for instance 1.2.3, its data set in two fragments, the
// command in two PDUs.
func cStore(syntaxes ...string) (requestor, acceptor bytes.Buffer) {
	proposed := [][]byte{{1, 0, 0, 0}, item(0x30, []byte("1.9"))}
	for _, s := range syntaxes {
		proposed = append(proposed, item(0x40, []byte(s)))
	}
	command := append(append(element(0x0100, []byte{1, 0}), element(0x0800, []byte{0, 0})...), element(0x1000, []byte("1.2.3\x00"))...)
	requestor.Write(associate(1, item(0x10, []byte("1.2.840.10008.3.1.1.1")), item(0x20, proposed...)))
	requestor.Write(pdu(4, fragment(1, 1, command[:5])))
	requestor.Write(pdu(4, append(fragment(1, 3, command[5:]), fragment(1, 0, []byte("da"))...)))
	requestor.Write(pdu(4, fragment(1, 2, []byte("ta"))))
	requestor.Write(pdu(5, make([]byte, 4)))
	acceptor.Write(associate(2, item(0x21, []byte{1, 0, 0, 0}, item(0x40, []byte(syntaxes[0]+"\x00")))))
	acceptor.Write(pdu(4, fragment(1, 3, append(append(element(0x0100, []byte{1, 0x80}), element(0x0800, []byte{1, 1})...), element(0x0900, []byte{0, 0xA7})...))))
	return requestor, acceptor
}

// The recorder reads what was said, however it was cut into PDUs and fragments.
func TestRecorderReadsWhatWasSaid(t *testing.T) {
	var r recording
	r.requestor, r.acceptor = cStore("1.4", "1.5")
	all := []dialogue{read(&r)}
	m, syntax, ok := stored(all, "1.2.3")
	if !ok || syntax != "1.4" || string(m.data) != "data" || all[0].err != nil {
		t.Errorf("got %q in %q, %v, %v", m.data, syntax, ok, all[0].err)
	}
	if s, err := last(all, cStoreResponse); s != 0xA700 || err != nil || ended(all, cStoreResponse) == nil {
		t.Errorf("the response has status %04X, %v", s, err)
	}
	if _, _, ok := stored(all, "1.2"); ok {
		t.Error("an instance that was not sent was found")
	}
}

// What was cut is no whole message, and no panic.
func TestRecorderSurvivesEveryCut(t *testing.T) {
	requestor, acceptor := cStore("1.4")
	whole := requestor.Bytes()
	for n := range len(whole) {
		var r recording
		r.requestor.Write(whole[:n])
		r.acceptor = acceptor
		if m, _, ok := stored([]dialogue{read(&r)}, "1.2.3"); ok && string(m.data) != "data" {
			t.Errorf("cut at %d: %q is taken for whole", n, m.data)
		}
	}
}

// A dash is only for what the wire shows that the peer did not do; what we refused
// is red.
func TestDashNeedsAProof(t *testing.T) {
	context := func(proposed []string, accepted string) dialogue {
		d := dialogue{proposed: map[byte]proposal{1: {"1.9", proposed}}, accepted: map[byte]string{}}
		if accepted != "" {
			d.accepted[1] = accepted
		}
		return d
	}
	var o object
	o.SOPClass, o.TransferSyntax = "1.9", "1.4"
	for _, c := range []struct {
		name string
		wire []dialogue
		dash bool
	}{
		{"never called", nil, true},
		{"never proposed", []dialogue{context([]string{"1.5"}, "1.5")}, true},
		{"proposed, accepted, not sent", []dialogue{context([]string{"1.4"}, "1.4")}, true},
		{"let us choose", []dialogue{context([]string{"1.5", "1.4"}, "1.5")}, true},
		{"proposed and refused by us", []dialogue{context([]string{"1.4"}, "")}, false},
		{"association rejected by us", []dialogue{{rejected: true}}, false},
		{"cut", []dialogue{{err: errors.New("cut")}}, false},
	} {
		var u unable
		if err := neverSent(c.wire, o, nil); errors.As(err, &u) != c.dash {
			t.Errorf("%s: %v, want a dash %v", c.name, err, c.dash)
		}
	}
}

// A red cell, or a peer that must run and did not, is an error; one that may be
// away is a line of the page. The page is the same each time.
func TestPageSaysWhatFailed(t *testing.T) {
	must, may := &peer{name: "MUST", required: true}, &peer{name: "MAY"}
	cells := []cell{{check: check{table: storeIn, row: "r", column: "c"}, state: yes}, {check: check{table: storeIn, row: "r2", column: "c"}, state: cannot, note: "why"}}
	good := &matrix{reports: []report{{peer: must, version: "1", cells: cells}, {peer: may, absent: errors.New("no registry | here")}}}
	if err := good.verdict(true); err != nil {
		t.Error(err)
	}
	page := good.page()
	for _, want := range []string{"| r | yes |", "| r2 | – (1) |", "1. why", "| MAY | not run here: no registry / here |"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if page != good.page() {
		t.Error("the page is another the second time")
	}
	if err := (&matrix{reports: []report{{peer: must, absent: errNotInstalled}}}).verdict(true); err == nil {
		t.Error("a run without a peer that must run is good")
	}
	bad := &matrix{reports: []report{{peer: may, cells: []cell{{check: cells[0].check, state: red}}}}}
	if bad.verdict(false) == nil || !strings.Contains(bad.page(), "**no**") {
		t.Error("a red cell is good")
	}
}

// TestFewCellsWithDCMTK runs what `make interop` runs, a little of it: both ways,
// stored, found and moved.
func TestFewCellsWithDCMTK(t *testing.T) {
	for _, program := range []string{"storescu", "storescp", "findscu", "movescu"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian: dcmtk)", program)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l := testLab(t, ctx)
	checks, stop, err := dcmtkChecks(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	tried := 0
	for _, c := range checks {
		if quick[c.row] && c.column != "DCMTK dcmsend" {
			tried++
			if got := l.try(ctx, dcmtk, c); got.state != yes {
				t.Errorf("%s, %s, %s: %s %s", c.column, c.table, c.row, got.state, got.note)
			}
		}
	}
	if tried < 9 {
		t.Errorf("%d cells were tried", tried)
	}
}

// quick are the rows that are tried here.
var quick = map[string]bool{rowEcho: true, rowMutual: true, "Explicit VR Little Endian": true, "JPEG Baseline": true,
	"C-FIND, Study Root, study by UID": true, "C-MOVE, Study Root, to the device that asks": true}

// testLab builds edged as `make build` does, so that only the linking is new.
func testLab(t *testing.T, ctx context.Context) *lab {
	bin := t.TempDir()
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "edged/cmd/edged")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := newLab(options{bin: bin, cache: filepath.Join(bin, "none")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	if err := l.startAppliance(ctx); err != nil {
		t.Fatal(err)
	}
	return l
}
