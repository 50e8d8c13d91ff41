package objects_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
)

// A deleted document is gone after a restart too; deleting again is no error.
func TestADeletedDocumentIsGone(t *testing.T) { onBoth(t, deletedDocumentIsGone) }

func deletedDocumentIsGone(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir, 0)
	for _, name := range []string{"a/gone", "a/kept"} {
		if err := s.Put(ctx, name, []byte("text")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a/gone", "a/gone", "never/there"} {
		if err := s.Delete(ctx, name); err != nil {
			t.Error(err)
		}
	}
	s.Close()
	s = open(t, dir, 0)
	if _, err := s.Get(ctx, "a/gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if got, err := s.Get(ctx, "a/kept"); err != nil || string(got) != "text" {
		t.Errorf("%q %v", got, err)
	}
	if s.Delete(ctx, "../a") == nil {
		t.Error("a path was taken")
	}
}
