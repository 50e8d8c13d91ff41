package edged_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const pointsDocument = "docs/dicom-points.md"

var (
	pointRow    = regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \| ([^|]+) \|$`)
	disasterRow = regexp.MustCompile("(?m)^\\| (\\d+) \\| [^|]+ \\| [^|]+ \\| `(TestDisaster\\d\\d)` \\|$")
	citation    = regexp.MustCompile("^(Gap: )?`([^`]+)` (.+)$")
)

// Every point of the protocol that implementations get wrong is obeyed in a file
// that cites the paragraph, or is a Gap that the file admits.
func TestEveryPointIsCitedWhereItIsObeyed(t *testing.T) {
	doc, err := os.ReadFile(pointsDocument)
	if err != nil {
		t.Fatal(err)
	}
	rows := pointRow.FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 48 {
		t.Errorf("%d points in %s, there are 48", len(rows), pointsDocument)
	}
	for i, row := range rows {
		if row[1] != fmt.Sprint(i+1) {
			t.Errorf("row %d is point %s", i+1, row[1])
		}
		for _, place := range strings.Split(row[2], " · ") {
			if err := cites(strings.TrimSpace(place)); err != nil {
				t.Errorf("point %s: %v", row[1], err)
			}
		}
	}
}

// cites checks "`file` what stands there", in a comment or not, on one line or
// broken between two.
func cites(place string) error {
	m := citation.FindStringSubmatch(place)
	if m == nil {
		return fmt.Errorf("%q is no place", place)
	}
	source, err := os.ReadFile(m[2])
	if err != nil {
		return err
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(string(source), "//", " ")), " ")
	if !strings.Contains(text, m[3]) {
		return fmt.Errorf("%s does not say %q", m[2], m[3])
	}
	if m[1] != "" && !strings.Contains(text, "Gap:") {
		return fmt.Errorf("%s admits no gap", m[2])
	}
	return nil
}

// Everything that went wrong elsewhere has a test here that bears its number.
func TestEveryDisasterHasItsTest(t *testing.T) {
	doc, err := os.ReadFile(pointsDocument)
	if err != nil {
		t.Fatal(err)
	}
	rows := disasterRow.FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 25 {
		t.Errorf("%d disasters in %s, there are 25", len(rows), pointsDocument)
	}
	tests := testNames(t)
	for i, row := range rows {
		if row[2] != fmt.Sprintf("TestDisaster%02d", i+1) {
			t.Errorf("row %d names %s", i+1, row[2])
		}
		if !tests[row[2]] {
			t.Errorf("no test is called %s...", row[2])
		}
	}
}

// testNames are the beginnings "TestDisasterNN" of all tests of the module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "TestDisaster") && len(f.Name.Name) > 14 {
				found[f.Name.Name[:14]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
