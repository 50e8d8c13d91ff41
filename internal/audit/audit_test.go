package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newLog(dir string, key []byte) *Log {
	return New(Config{Dir: dir, Key: key, Now: func() time.Time { return noon }})
}

var key = bytes.Repeat([]byte{7}, 32)

// both runs a test without a key and with one.
func both(t *testing.T, test func(t *testing.T, key []byte)) {
	t.Run("plain", func(t *testing.T) { test(t, nil) })
	t.Run("sealed", func(t *testing.T) { test(t, key) })
}

func discard(n string) Event {
	return Event{Who: "maria", Action: "discard", Object: n, Reason: "sent twice by mistake", Export: "/media/usb"}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, l *Log, events ...Event) {
	t.Helper()
	for _, e := range events {
		e.Outcome = Done
		_, err := l.Append(e)
		must(t, err)
	}
}

// read gives the objects that the log tells of, in order, and the report.
func read(t *testing.T, dir string, key []byte) (objects []string, rep Report) {
	t.Helper()
	rep, err := Read(dir, key, func(e Event) error { objects = append(objects, e.Object); return nil })
	must(t, err)
	return objects, rep
}

func theFile(t *testing.T, dir string) string {
	t.Helper()
	names, err := files(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("files %v, %v", names, err)
	}
	return names[0]
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	both(t, func(t *testing.T, key []byte) {
		dir := filepath.Join(t.TempDir(), "audit")
		add(t, newLog(dir, key), discard("a"), discard("b"))
		add(t, newLog(dir, key), discard("c")) // a process that started later
		var got []Event
		rep, err := Read(dir, key, func(e Event) error { got = append(got, e); return nil })
		must(t, err)
		want := Event{At: noon, Seq: 3, Who: "maria", Action: "discard", Object: "c", Reason: "sent twice by mistake", Outcome: Done, Export: "/media/usb"}
		if len(got) != 3 || got[2] != want {
			t.Errorf("got %+v, want last %+v", got, want)
		}
		if rep.Broken != 0 || rep.Torn != 0 || rep.Seq != 3 || len(rep.Head) != 64 || len(rep.Without) != 0 {
			t.Errorf("report %+v", rep)
		}
	})
}

func TestAnEmptyLogIsInOrder(t *testing.T) {
	if _, rep := read(t, filepath.Join(t.TempDir(), "none"), nil); rep.Events != 0 || rep.Broken != 0 || rep.Head != "" {
		t.Errorf("report %+v", rep)
	}
}

// Whatever is done to a row that has another behind it is told; with a key, also
// what is done to the last one.
func TestABrokenChainIsTold(t *testing.T) {
	changes := map[string]func(rows [][]byte) [][]byte{
		"a row is changed": func(r [][]byte) [][]byte {
			r[1] = bytes.Replace(r[1], []byte(`"seq":2`), []byte(`"seq":9`), 1)
			return r
		},
		"a row is taken out":      func(r [][]byte) [][]byte { return append(r[:1:1], r[2:]...) },
		"the first is taken out":  func(r [][]byte) [][]byte { return r[1:] },
		"two change places":       func(r [][]byte) [][]byte { r[1], r[2] = r[2], r[1]; return r },
		"a row comes twice":       func(r [][]byte) [][]byte { return slices.Insert(r, 1, r[0]) },
		"something is put in":     func(r [][]byte) [][]byte { return slices.Insert(r, 2, []byte("{}")) },
		"one bit":                 func(r [][]byte) [][]byte { r[1][len(r[1])/2] ^= 1; return r },
		"a line beyond all sizes": func(r [][]byte) [][]byte { return slices.Insert(r, 2, bytes.Repeat([]byte("x"), 3*maxLine)) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, key []byte) {
				dir := t.TempDir()
				add(t, newLog(dir, key), discard("a"), discard("b"), discard("c"), discard("d"))
				file := theFile(t, dir)
				b, err := os.ReadFile(file)
				must(t, err)
				rows := change(bytes.Split(bytes.TrimSpace(b), []byte("\n")))
				must(t, os.WriteFile(file, append(bytes.Join(rows, []byte("\n")), '\n'), 0o600))
				objects, rep := read(t, dir, key)
				if rep.Broken == 0 || len(rep.Breaks) == 0 {
					t.Errorf("not told; report %+v", rep)
				}
				if !slices.Contains(objects, "d") {
					t.Errorf("what stands behind the break is not read: %v", objects)
				}
			})
		})
	}
}

// Every bit of every row counts, once there is a row behind it or a key.
func TestEveryFlippedBitIsTold(t *testing.T) {
	dir := t.TempDir()
	add(t, newLog(dir, key), discard("a"), discard("b"))
	file := theFile(t, dir)
	whole, err := os.ReadFile(file)
	must(t, err)
	for i := range len(whole) - 1 { // the last newline is a torn row's business
		b := bytes.Clone(whole)
		b[i] ^= 1
		must(t, os.WriteFile(file, b, 0o600))
		rep, err := Read(dir, key, func(Event) error { return nil })
		if err == nil && rep.Broken == 0 && rep.Torn == 0 {
			t.Fatalf("the flipped bit in byte %d of %q is not told", i, b)
		}
	}
}

// A power cut may leave any beginning of the file: what was acknowledged before
// stays, the rest is no damage, and the log goes on.
func TestAnUnfinishedRowCostsItselfOnly(t *testing.T) {
	both(t, func(t *testing.T, key []byte) {
		dir := t.TempDir()
		add(t, newLog(dir, key), discard("a"), discard("b"))
		file := theFile(t, dir)
		whole, err := os.ReadFile(file)
		must(t, err)
		first := bytes.IndexByte(whole, '\n') + 1
		for n := range len(whole) {
			must(t, os.WriteFile(file, whole[:n], 0o600))
			want, torn := []string{}, int64(n)
			if n >= first {
				want, torn = []string{"a"}, int64(n-first)
			}
			if objects, rep := read(t, dir, key); len(objects) != len(want) || rep.Broken != 0 || rep.Torn != torn {
				t.Fatalf("%d bytes: %v, %+v", n, objects, rep)
			}
			add(t, newLog(dir, key), discard("c"))
			if torn > 0 {
				want = append(want, "") // the row that tells of it
			}
			want = append(want, "c")
			if objects, rep := read(t, dir, key); !slices.Equal(objects, want) || rep.Broken != 0 || rep.Torn != 0 {
				t.Fatalf("%d bytes, then one more: %v, want %v, %+v", n, objects, want, rep)
			}
		}
	})
}

// A power cut may as well leave the end of a row without its beginning, and old
// blocks of the disk in between: the log goes on.
func TestAnUnfinishedRowMayEndAsOneDoes(t *testing.T) {
	holes := map[string]func(row []byte) []byte{
		"zeros":              func(row []byte) []byte { clear(row[:40]); return row },
		"zeros but the end":  func(row []byte) []byte { clear(row[:len(row)-1]); return row },
		"a block of old log": func(row []byte) []byte { copy(row, "old\n{}\n\n{\"seq\":3,"); return row },
		"and no end":         func(row []byte) []byte { clear(row[:40]); return row[:len(row)-9] },
	}
	for name, hole := range holes {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, key []byte) {
				dir := t.TempDir()
				add(t, newLog(dir, key), discard("a"), discard("b"))
				file := theFile(t, dir)
				before, err := os.ReadFile(file)
				must(t, err)
				add(t, newLog(dir, key), discard("never acknowledged"))
				after, err := os.ReadFile(file)
				must(t, err)
				row := hole(after[len(before):])
				must(t, os.WriteFile(file, append(before, row...), 0o600))
				if _, rep := read(t, dir, key); rep.Broken != 0 || rep.Torn != int64(len(row)) || rep.Seq != 2 {
					t.Errorf("after the cut: %+v, want %d bytes torn", rep, len(row))
				}
				add(t, newLog(dir, key), discard("c"))
				if objects, rep := read(t, dir, key); strings.Join(objects, ",") != "a,b,,c" || rep.Broken != 0 || rep.Torn != 0 {
					t.Errorf("%v, %+v", objects, rep)
				}
			})
		})
	}
}

// What is no row and longer than one was not left by a power cut: it stays where it
// is, and is told.
func TestALogOfSomethingElseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	add(t, newLog(dir, nil), discard("a"))
	file := theFile(t, dir)
	b, err := os.ReadFile(file)
	must(t, err)
	b = append(b, bytes.Repeat([]byte("something else\n"), maxLine/10)...)
	must(t, os.WriteFile(file, b, 0o600))
	if _, err := newLog(dir, nil).Append(discard("b")); err == nil || !strings.Contains(err.Error(), "no row of this log") {
		t.Errorf("append: %v", err)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(after, b) {
		t.Error("it was changed")
	}
	if _, rep := read(t, dir, nil); rep.Broken == 0 || rep.Torn != 0 {
		t.Errorf("%+v", rep)
	}
}

// P8: what a failed sync may have left in memory only is not there for the process
// that starts after it, neither the row nor the name of a new file.
func TestAFailedSyncLeavesNothingToBeBelieved(t *testing.T) {
	broken := errors.New("input/output error")
	for _, which := range []string{"the file", "the folder"} {
		t.Run(which, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			l := newLog(dir, nil)
			l.sync = func(f syncer) error {
				if _, isFolder := f.(folder); isFolder == (which == "the folder") {
					return broken
				}
				return nil
			}
			if _, err := l.Append(discard("a")); !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
			if names, _ := files(dir); len(names) != 0 {
				t.Errorf("left behind: %v", names)
			}
			add(t, newLog(dir, nil), discard("b")) // after a restart
			l = newLog(dir, nil)
			l.sync = func(syncer) error { return broken }
			if _, err := l.Append(discard("c")); !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
			if objects, rep := read(t, dir, nil); strings.Join(objects, ",") != "b" || rep.Torn != 0 || rep.Broken != 0 {
				t.Errorf("%v, %+v", objects, rep)
			}
		})
	}
}

// The intent is on the disk before the act, so a crash between the two shows.
func TestACrashBetweenIntentAndOutcomeShows(t *testing.T) {
	both(t, func(t *testing.T, key []byte) {
		dir := t.TempDir()
		l := newLog(dir, key)
		must(t, l.Do(discard("a"), func() error { return nil }))
		func() {
			defer func() { _ = recover() }() // the process ends here
			_ = l.Do(discard("b"), func() error {
				if _, rep := read(t, dir, key); rep.Seq != 3 {
					t.Errorf("during the act the log ends with %d, want its intent, 3", rep.Seq)
				}
				panic("power cut")
			})
		}()
		if _, rep := read(t, dir, key); !slices.Equal(rep.Without, []uint64{3}) {
			t.Errorf("without an outcome: %v, want 3", rep.Without)
		}
	})
}

func TestAFailedActIsRecordedAsSuch(t *testing.T) {
	dir := t.TempDir()
	no := errors.New("object is not in the spool")
	if err := newLog(dir, nil).Do(discard("a"), func() error { return no }); !errors.Is(err, no) {
		t.Errorf("%v", err)
	}
	var last Event
	_, err := Read(dir, nil, func(e Event) error { last = e; return nil })
	if must(t, err); last.Outcome != "failed: object is not in the spool" || last.Of != 1 {
		t.Errorf("%+v", last)
	}
}

// Without its row on the disk nothing is done, and a file whose sync failed is
// not believed again (P8).
func TestNothingIsDoneThatCannotBeRecorded(t *testing.T) {
	l := newLog(t.TempDir(), nil)
	broken := errors.New("input/output error")
	l.sync = func(syncer) error { return broken }
	for range 2 {
		if err := l.Do(discard("a"), func() error { t.Error("it was done"); return nil }); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		l.sync = func(f syncer) error { return f.Sync() }
	}
}

// A clock that was set back does not put new rows before old ones.
func TestTheClockDoesNotDecideTheOrder(t *testing.T) {
	dir := t.TempDir()
	for i, at := range []time.Time{noon, noon.AddDate(0, 1, 0), time.Unix(0, 0), noon.AddDate(10, 0, 0), noon} {
		l := New(Config{Dir: dir, Now: func() time.Time { return at }})
		add(t, l, discard(string(rune('a'+i))))
	}
	objects, rep := read(t, dir, nil)
	if strings.Join(objects, "") != "abcde" || rep.Broken != 0 {
		t.Errorf("%v, %+v", objects, rep)
	}
	names, _ := files(dir)
	if len(names) != 3 {
		t.Errorf("files %v", names)
	}
	must(t, os.Remove(names[1]))
	if _, rep := read(t, dir, nil); rep.Broken == 0 {
		t.Error("a month that was removed is not told")
	}
}

// Nobody reads or adds without the key, and the disk shows nothing.
func TestWithoutTheKeyNobodyReadsOrAdds(t *testing.T) {
	dir := t.TempDir()
	add(t, newLog(dir, nil), discard("before encryption was switched on"))
	add(t, newLog(dir, key), discard("PROVA^MARIA"))
	if objects, rep := read(t, dir, key); len(objects) != 2 || rep.Broken != 0 {
		t.Errorf("plain rows before sealed ones: %v, %+v", objects, rep)
	}
	if _, err := newLog(dir, nil).Append(discard("forged")); !errors.Is(err, ErrKey) {
		t.Errorf("append without the key: %v", err)
	}
	if _, err := Read(dir, nil, func(Event) error { return nil }); !errors.Is(err, ErrKey) {
		t.Errorf("read without the key: %v", err)
	}
	b, err := os.ReadFile(theFile(t, dir))
	if must(t, err); bytes.Contains(b, []byte("PROVA")) {
		t.Errorf("it can be read on the disk: %s", b)
	}
	tail, err := findTail(dir)
	must(t, err)
	forged, err := encode(Event{Seq: tail.seq + 1, Who: "nobody", Action: "discard", Outcome: Done}, tail.hash, nil)
	must(t, err)
	must(t, os.WriteFile(theFile(t, dir), append(append(b, forged...), '\n'), 0o600))
	if _, rep := read(t, dir, key); rep.Broken != 1 {
		t.Errorf("a forged row: %+v", rep)
	}
	other := t.TempDir()
	add(t, newLog(other, key), discard("a"))
	if _, err := Read(other, bytes.Repeat([]byte{8}, 32), func(Event) error { return nil }); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
}

// What people type is bounded, and no character is cut in two.
func TestEventsAreBounded(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("è\x00\n", 10_000)
	add(t, newLog(dir, key), Event{Who: long, Action: long, Object: long, Reason: "x\xff" + long, Export: long})
	var got Event
	rep, err := Read(dir, key, func(e Event) error { got = e; return nil })
	must(t, err)
	if rep.Broken != 0 || len(got.Reason) > MaxReason || len(got.Who) > maxField || len(got.Export) > maxPath || !strings.HasPrefix(got.Reason, "x\uFFFDè") {
		t.Errorf("%+v, reason of %d bytes", rep, len(got.Reason))
	}
}

// The daemon and a command may write at the same time.
func TestTwoProcessesMayWrite(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		l := newLog(dir, key) // locks are by open file: as good as processes
		wg.Go(func() {
			for range 5 {
				if _, err := l.Append(discard("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, rep := read(t, dir, key); rep.Seq != 20 || rep.Broken != 0 {
		t.Errorf("%+v", rep)
	}
}

// A command that root runs must not lock the daemon's user out of its own log.
func TestWhatRootAddsBelongsToTheDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	data := t.TempDir()
	must(t, os.Chown(data, 4242, 4242))
	dir := filepath.Join(data, "audit")
	add(t, newLog(dir, nil), discard("a"))
	for _, name := range []string{dir, filepath.Join(dir, "lock"), theFile(t, dir)} {
		info, err := os.Stat(name)
		if must(t, err); info.Sys().(*syscall.Stat_t).Uid != 4242 {
			t.Errorf("%s belongs to %d", name, info.Sys().(*syscall.Stat_t).Uid)
		}
	}
}

func FuzzRead(f *testing.F) {
	row, _ := encode(Event{At: noon, Seq: 1, Who: "maria", Outcome: Done}, digest{}, nil)
	sealed, _ := encode(Event{At: noon, Seq: 1, Who: "maria", Outcome: Done}, digest{}, key)
	for _, seed := range []string{"", "\n\n", "{}\n", string(row) + "\n", string(sealed) + "\n", string(sealed), string(row) + "\n" + string(row) + "\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "2026-11.log"), b, 0o600))
		events := 0
		rep, err := Read(dir, key, func(Event) error { events++; return nil })
		if err == nil && events != rep.Events {
			t.Errorf("%d events, %+v", events, rep)
		}
		if _, err := newLog(dir, key).Append(discard("a")); err == nil {
			if after, err := Read(dir, key, func(Event) error { return nil }); err != nil || after.Torn != 0 {
				t.Errorf("after an append: %+v, %v", after, err)
			}
		}
	})
}
