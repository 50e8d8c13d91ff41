package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The tables of the conformance statement are what the program says.
func TestStatementIsWhatTheProgramSays(t *testing.T) {
	have, err := os.ReadFile(filepath.Join("..", "..", "..", document))
	if err != nil {
		t.Fatal(err)
	}
	want, err := fill(string(have))
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s has other tables than the program: `make conformance` writes them", document)
	}
}
