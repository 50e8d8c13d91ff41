package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func exported(t *testing.T, dir string, key []byte, readable bool) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := Export(&b, dir, key, "edged-7f3a", noon, readable)
	must(t, err)
	return b.Bytes()
}

// Somebody who has the exported file and nothing else verifies it and, with the key in it,
// reads it; the spool's key is not in it.
func TestAnExportIsVerifiedFromItselfAlone(t *testing.T) {
	both(t, func(t *testing.T, key []byte) {
		dir := filepath.Join(t.TempDir(), "audit")
		add(t, newLog(dir, key), discard("a"), discard("b"), discard("c"))
		for _, readable := range []bool{true, false} {
			b := exported(t, dir, key, readable)
			var got []string
			c, rep, err := Verify(bytes.NewReader(b), nil, func(e Event) error { got = append(got, e.Object); return nil })
			must(t, err)
			if rep.Broken != 0 || rep.Events != 3 || rep.Seq != 3 || c.Of != "edged-7f3a" {
				t.Errorf("cover %+v, report %+v", c, rep)
			}
			if all := strings.Join(got, ""); (all == "abc") != (readable || key == nil) {
				t.Errorf("read %q", all)
			}
			if key != nil && bytes.Contains(b, []byte(hex.EncodeToString(key))) {
				t.Error("the spool's key is in it")
			}
		}
	})
}

// What is done to an export is told: rows cut off at its end too, because the cover has
// the head; and where the cover was written anew as well, because the head is noted elsewhere.
func TestAnExportThatWasCutOffOrRewrittenIsTold(t *testing.T) {
	both(t, func(t *testing.T, key []byte) {
		dir := filepath.Join(t.TempDir(), "audit")
		add(t, newLog(dir, key), discard("a"), discard("b"), discard("c"))
		noted, err := Read(dir, key, func(Event) error { return nil })
		must(t, err)
		b := exported(t, dir, key, true)
		broken := func(b []byte, known ...Head) bool {
			_, rep, err := Verify(bytes.NewReader(b), known, func(Event) error { return nil })
			return err != nil || rep.Broken > 0
		}
		rows := bytes.SplitAfter(b, []byte("\n"))
		if cut := bytes.Join(rows[:3], nil); !broken(cut) {
			t.Error("rows were cut off, and it is not told")
		}
		for i := range len(b) - 1 { // the last newline is a torn row's business
			x := bytes.Clone(b)
			x[i] ^= 1
			var was, is Cover
			must(t, json.Unmarshal(rows[0], &was))
			if before, _, _ := bytes.Cut(x, []byte("\n")); json.Unmarshal(before, &is) == nil && is.Head == was.Head && is.Key == was.Key && i < len(before) {
				continue // the name or the time of the export, which prove nothing
			}
			if !broken(x) {
				t.Fatalf("the flipped bit of byte %d is not told", i)
			}
		}
		other := filepath.Join(t.TempDir(), "audit") // somebody with the key writes a whole new log
		add(t, newLog(other, key), discard("x"), discard("y"), discard("z"), discard("z"))
		head := Head{noted.Seq, noted.Head}
		if forged := exported(t, other, key, true); broken(forged) || !broken(forged, head) {
			t.Error("a log written anew is not told from the true one")
		}
		if broken(b, head) {
			t.Error("the true one is called broken")
		}
		short := filepath.Join(t.TempDir(), "audit") // the same log before the last rows
		add(t, newLog(short, key), discard("a"))
		if !broken(exported(t, short, key, true), head) {
			t.Error("a log that was cut off is not told")
		}
		if rep, err := ReadSince(short, key, []Head{head}, func(Event) error { return nil }); err != nil || rep.Broken == 0 {
			t.Errorf("of the log itself: %+v, %v", rep, err)
		}
		add(t, newLog(dir, key), discard("d")) // the log went on
		if broken(exported(t, dir, key, true), head) {
			t.Error("a log that went on is called broken")
		}
	})
}

// The chain needs no program of ours: each row has the SHA-256 of the line before it.
func TestTheChainIsVerifiedWithoutThisPackage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	add(t, newLog(dir, key), discard("a"), discard("b"), discard("c"))
	lines := bufio.NewScanner(bytes.NewReader(exported(t, dir, key, false)))
	lines.Scan()
	prev := strings.Repeat("0", 64)
	for n := 1; lines.Scan(); n++ {
		var row struct {
			Seq  int    `json:"seq"`
			Prev string `json:"prev"`
		}
		must(t, json.Unmarshal(lines.Bytes(), &row))
		if row.Seq != n || row.Prev != prev {
			t.Fatalf("row %d: %+v, want %s", n, row, prev)
		}
		prev = fmt.Sprintf("%x", sha256.Sum256(lines.Bytes()))
	}
}

func TestHeadsAreReadAsTheyAreWritten(t *testing.T) {
	h := Head{8, strings.Repeat("ab", 32)}
	if got, err := ParseHead(" " + strings.ToUpper(h.String()) + "\n"); got != h || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "8", "8=", "8=ab", "x=" + h.Sum, h.Sum, "8=" + h.Sum + "0"} {
		if _, err := ParseHead(s); err == nil {
			t.Errorf("%q is a head", s)
		}
	}
	for _, s := range []string{"", "{}\n", "{\"edged_audit\":2}\n", "{\"edged_audit\":1,\"head\":\"x\"}\n", "{\"edged_audit\":1,\"key\":\"ab\"}\n"} {
		if _, _, err := Verify(strings.NewReader(s), nil, nil); err == nil {
			t.Errorf("%q is an export", s)
		}
	}
}
