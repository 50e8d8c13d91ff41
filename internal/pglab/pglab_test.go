package pglab

import (
	"os"
	"testing"
)

// What was confirmed is there after the server was killed: fsync is on, and the same
// data is served again.
func TestTheServerIsRealAndComesBack(t *testing.T) {
	s := New(t)
	if err := s.Exec("CREATE TABLE x AS SELECT 1 AS n"); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := s.Exec("SELECT 1"); err == nil {
		t.Fatal("it answers after it was killed")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec("INSERT INTO x SELECT 1 / count(*) FROM x"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); err != nil {
		t.Error(err)
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	if a, b := Start(t), Start(t); a == b {
		t.Errorf("%s twice", a)
	}
}
