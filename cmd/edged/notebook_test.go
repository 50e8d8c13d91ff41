package main

import (
	"context"
	"encoding/binary"
	"testing"

	"edged/spool"
)

// wholeNote is the only part of a text.
func wholeNote(text string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{noteVersion}, 1), text...)
}

// onDisk is what a start would find.
func onDisk(t *testing.T, k *keeper) map[string][]byte {
	t.Helper()
	texts, err := newNotebook(k, "test/", k.log).all(t.Context())
	ok(t, err)
	return texts
}

// D-S4: a clean-up that fails, once or always, costs no text; it is done again later.
func TestNotesSurviveACleanUpThatFails(t *testing.T) {
	k := openKeeper(t, t.TempDir())
	first := newNotebook(k, "test/", k.log)
	ok(t, first.put(t.Context(), "a", []byte("owed")))
	s, err := k.get()
	ok(t, err)
	stray := first.key("a", 0xff, 1) // of a text that a crash has cut
	ok(t, s.NoteSet(t.Context(), stray, []byte{noteVersion, 0, 2, 'x'}))

	book := newNotebook(k, "test/", k.log)
	failing, cancel := context.WithCancel(t.Context())
	cancel() // no NoteDrop succeeds
	for range 2 {
		if texts, err := book.all(failing); err != nil || string(texts["a"]) != "owed" {
			t.Fatalf("%q, %v", texts["a"], err)
		}
	}
	if texts, err := book.all(t.Context()); err != nil || string(texts["a"]) != "owed" {
		t.Fatalf("read again: %q, %v", texts["a"], err)
	}
	if texts := onDisk(t, k); string(texts["a"]) != "owed" {
		t.Fatalf("%d texts are on the disk, want the one that is owed", len(texts))
	}
	ok(t, s.Notes(stray, func(key string, _ []byte) error { t.Errorf("%s is still there", key); return nil }))
}

// A put that failed, and happened all the same, does not come back in place of what
// came after it.
func TestAFailedNoteDoesNotComeBack(t *testing.T) {
	for _, after := range []string{"put", "drop"} {
		dir := t.TempDir()
		k := openKeeper(t, dir)
		book := newNotebook(k, "test/", k.log)
		ok(t, book.put(t.Context(), "a", []byte("first")))
		s, err := k.get()
		ok(t, err)
		ok(t, s.Close())
		if err := book.put(t.Context(), "a", []byte("second")); err == nil {
			t.Fatal("put on a closed spool")
		}
		if len(book.left["a"]) != 1 {
			t.Fatalf("%q is left over, want one key", book.left)
		}
		s, err = spool.Open(t.Context(), spool.Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: -1, ReserveBytes: -1})
		ok(t, err)
		defer s.Close()
		k.set(s, nil)
		ok(t, s.NoteSet(t.Context(), book.left["a"][0], wholeNote("second")))
		want := ""
		if after == "put" {
			want = "third"
			ok(t, book.put(t.Context(), "a", []byte(want)))
		} else {
			ok(t, book.drop(t.Context(), "a"))
		}
		texts := onDisk(t, k)
		if text, there := texts["a"]; string(text) != want || there != (want != "") {
			t.Errorf("after a %s a start finds %q, want %q", after, text, want)
		}
		if len(book.left) != 0 {
			t.Errorf("after a %s is left over: %q", after, book.left)
		}
	}
}

// What a later version wrote is left for it, and its keys are not used again.
func TestNotesOfALaterVersionAreLeftAlone(t *testing.T) {
	k := openKeeper(t, t.TempDir())
	s, err := k.get()
	ok(t, err)
	book := newNotebook(k, "test/", k.log)
	later := map[string]string{book.key("a", 1, 0): "\x02later", "test/other/way/of/keys": "\x02later"}
	for key, body := range later {
		ok(t, s.NoteSet(t.Context(), key, []byte(body)))
	}
	texts, err := book.all(t.Context())
	ok(t, err)
	if len(texts) != 0 {
		t.Errorf("%q was read", texts)
	}
	ok(t, book.put(t.Context(), "a", []byte("ours")))
	ok(t, s.Notes("test/", func(key string, body []byte) error {
		if want, known := later[key]; known && string(body) != want {
			t.Errorf("%s is %q now", key, body)
		}
		delete(later, key)
		return nil
	}))
	if len(later) != 0 {
		t.Errorf("gone: %q", later)
	}
}
