// Package edged_test holds the house rules that a machine can check: which room
// may import which, where goroutines start, and what each program links.
package edged_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowed says which packages of this module a room may import, by prefix. What
// is not named here may import nothing of the module.
var allowed = map[string][]string{
	"dimse":           {"dimse"}, // its own packages: dataset, query, commitment, steps
	"spool":           {"spool", "internal/durable"},
	"uplink":          {"uplink", "internal/dicom"},
	"uplink/wire":     {"internal/dicom"},
	"agent":           {"agent", "internal"},
	"agent/status":    {},
	"agent/page":      {"agent/status", "agent/account"},
	"firmware":        {"firmware", "internal/durable"},
	"hub":             {"hub", "dimse", "uplink/wire", "agent/status", "agent/page", "internal"},
	"internal/dicom":  {},
	"internal/tools":  {"internal", "spool", "uplink", "hub", "dimse"},
	"internal/synth":  {"internal/dicom"},
	"internal":        {"internal"},
	"cmd/edged":       {"agent", "configs", "dimse", "spool", "uplink", "firmware", "internal"},
	"configs":         {},
	"cmd/hubd":        {"hub", "dimse", "uplink/wire", "agent/status", "agent/page", "internal", "spool/vault/recovery"}, // it makes the key pair of the region
	"cmd/modsim":      {"dimse", "internal"},
	"internal/config": {},
	"internal/ports":  {},
	"internal/netlab": {"internal/netlab"}, // tests and tools

	"internal/archivelab": {"dimse", "internal"}, // tests and tools
}

// goroutines is the budget of places that start goroutines, by package, outside
// tests: `go` statements and calls of WaitGroup.Go and the like. Each stands
// beside its wait; raising a number is a topic for review.
var goroutines = map[string]int{
	"cmd/edged":               16, // group.go has the only statement, but for selftest.go: a test that may hang in the kernel, given up after a time; the others hand it a part
	"cmd/hubd":                2,  // hub.go: its parts; check.go: a trial that may hang in the kernel, given up after a time
	"cmd/modsim":              3,
	"dimse":                   1, // one an association, in Serve
	"dimse/commitment":        1, // one a device that is being served, in Run
	"hub/door":                1, // one a connection, in Serve
	"hub/events":              1, // in Run: who makes events, and the workers of each sink
	"hub/forward":             3, // in Run; outcomes of a batch, in atOnce; files of a batch, in writeAll; each waited for there
	"hub/hubtest":             3, // of tests: who enrols, waited for in Enrol; an appliance and who sends for it, waited for in Run
	"hub/objects":             4, // flushes, in Seal; whether a bucket is back, waited for in Close; a large object on its way to a bucket, waited for in Close; its parts, in sendParts
	"hub/receive":             6, // of them session.go: readers, and who comes when there is something to do; commit.go: committers, while there is work; all waited for in Serve or by the session
	"internal/archivelab":     2, // of tests and tools: the server, and a report each; waited for in Close
	"internal/tools/bench":    2, // spoolcell.go: writers; dimsesink.go: senders; each waited for
	"internal/tools/cluster":  3, // sender.go: a modality each; watch.go: who looks at an appliance; receiver.go: the server; each waited for
	"internal/tools/benchhub": 4, // a fleet, twice; senders to a peer; the parts of the hub that it is itself; each waited for
	"internal/tools/e2e":      2, // browser.go: a dialog that should not be is closed, ends with the tab; load.go: who fills the spool, waited for
	"internal/tools/interop":  4, // tap.go: who accepts, and each way of a connection, waited for by close; reportthem.go: a server, by stop
	"internal/tools/sim":      1, // a process each
	"uplink/uplinktest/liar":  7, // of tests: listeners, connections and their readers, waited for when the test ends
	"internal/tools/powercut": 3, // senders, loaders, a file system each
	"uplink":                  5, // lane.go: its parts; team.go: a lane; addresses.go: an attempt at each address, waited for in race; ahead.go: who reads from the disk while the lane sends, waited for in Run; linetest.go: who hears the answers
}

// source is one parsed file of the product.
type source struct {
	name, dir string
	file      *ast.File
	fset      *token.FileSet
}

func sources(t *testing.T) (all []source) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		all = append(all, source{filepath.ToSlash(name), path.Dir(filepath.ToSlash(name)), f, fset})
		return err
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("walked %d files: %v", len(all), err)
	}
	return all
}

// Rooms do not know each other; crossing code lives in cmd.
func TestRoomsDoNotKnowEachOther(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			to, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "edged/")
			if ours && !mayImport(s.dir, to) {
				t.Errorf("%s imports %s: not an arrow of ARCHITECTURE.md", s.name, to)
			}
		}
	}
}

func mayImport(from, to string) bool {
	room := from
	for allowed[room] == nil && room != "." {
		room = path.Dir(room)
	}
	return slices.ContainsFunc(allowed[room], func(prefix string) bool { return within(to, prefix) }) || within(to, from)
}

func within(dir, prefix string) bool { return dir == prefix || strings.HasPrefix(dir, prefix+"/") }

// The number of places that start goroutines tells calm code from tangled code.
func TestGoroutinesStartWhereTheBudgetSays(t *testing.T) {
	found := make(map[string][]string)
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if starts(n) {
				found[s.dir] = append(found[s.dir], s.fset.Position(n.Pos()).String())
			}
			return true
		})
	}
	for dir, places := range found {
		if len(places) != goroutines[dir] {
			t.Errorf("%s: %d places start goroutines, the budget says %d: %s", dir, len(places), goroutines[dir], strings.Join(places, " "))
		}
	}
	for dir, n := range goroutines {
		if n > 0 && len(found[dir]) == 0 {
			t.Errorf("%s: the budget has %d, there is none", dir, n)
		}
	}
}

func starts(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		return ok && f.Sel.Name == "Go"
	}
	return false
}

// Every package says in doc.go what it does (a tool may say it above its main);
// no file grows past 500 lines.
func TestHouseKeeping(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		where := path.Base(s.name) == "doc.go" || within(s.dir, "internal/tools")
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil && where
		if n := s.fset.File(s.file.Pos()).LineCount(); n > 500 {
			t.Errorf("%s has %d lines: split it by what it is about", s.name, n)
		}
		switch s.file.Name.Name {
		case "util", "utils", "common", "helpers", "types", "models":
			t.Errorf("%s: no package is named %s", s.name, s.file.Name.Name)
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no doc.go with a package comment", dir)
		}
	}
}

var update = flag.Bool("update", false, "write the dependency lists anew")

// What each program links is committed, so that a change of it is seen.
func TestDependencyLists(t *testing.T) {
	for _, program := range []string{"edged", "hubd", "modsim"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", "./cmd/"+program)
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64") // as released
		out, err := list.Output()
		if err != nil {
			t.Fatalf("go list %s: %v", program, err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		slices.Sort(lines)
		lines = slices.DeleteFunc(slices.Compact(lines), func(l string) bool { return strings.HasPrefix(l, "edged") })
		got := strings.Join(lines, "\n") + "\n"
		name := fmt.Sprintf("cmd/%s/deps.txt", program)
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(name); got != string(want) {
			t.Errorf("%s is not what the program links; if that is meant, `make deps` writes:\n%s", name, got)
		}
	}
}
