package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// route is a page as the source of the product has it.
type route struct {
	path   string // "/studies/{key}"
	raw    bool   // a download or a drawing
	closed bool   // not for anybody
}

// pageRoom is where the pages stand in the source; the tool is run at its top.
const pageRoom = "agent/page"

// routesOf reads the pages from the source: the literals of type leaf that have a path,
// so that a page to which no link leads is missed as well.
func routesOf(dir string) (all []route, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.CompositeLit); ok {
				all = append(all, leavesIn(lit)...)
			}
			return true
		})
	}
	if len(all) < 10 {
		return nil, fmt.Errorf("%d pages stand in %s: %w", len(all), dir, fs.ErrNotExist)
	}
	slices.SortFunc(all, func(a, b route) int { return strings.Compare(a.path, b.path) })
	return slices.Compact(all), nil
}

// leavesIn are those of []leaf{{...}} or leaf{...}; what has neither build nor raw is
// drawn by a deed.
func leavesIn(lit *ast.CompositeLit) (all []route) {
	if list, ok := lit.Type.(*ast.ArrayType); ok && named(list.Elt) {
		for _, e := range lit.Elts {
			if inner, ok := e.(*ast.CompositeLit); ok {
				all = append(all, routeIn(inner)...)
			}
		}
	}
	if named(lit.Type) {
		all = append(all, routeIn(lit)...)
	}
	return all
}

func named(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "leaf"
}

func routeIn(lit *ast.CompositeLit) []route {
	var r route
	draws := false
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch fmt.Sprint(kv.Key) {
		case "path":
			if text, ok := kv.Value.(*ast.BasicLit); ok {
				r.path, _ = strconv.Unquote(text.Value) // the parser has seen to it
			}
		case "role":
			r.closed = true
		case "raw":
			r.raw, draws = true, true
		case "build":
			draws = true
		}
	}
	r.path = strings.TrimSuffix(r.path, "{$}")
	if r.path == "" || !draws {
		return nil
	}
	return []route{r}
}

// routeFor is the page that answers a path: of those that fit, the one with the most
// words in it.
func (p *play) routeFor(path string) string {
	path, _, _ = strings.Cut(path, "?")
	best, words := "", -1
	for _, r := range p.routes {
		if n := fits(r.path, path); n > words {
			best, words = r.path, n
		}
	}
	return best
}

// fits is how many parts are the same; -1 where it is another page.
func fits(pattern, path string) (same int) {
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(a) != len(b) {
		return -1
	}
	for i := range a {
		switch {
		case a[i] == b[i]:
			same++
		case !strings.HasPrefix(a[i], "{") || b[i] == "":
			return -1
		}
	}
	return same
}

// seen is a page as somebody has looked at it.
type seen struct {
	route, language string
	in              bool
}

// everyPage compares what axe-core has looked at with what there is: no page was left
// out, for nobody who may see it, in no language; and who may not see one does not.
func everyPage(ctx context.Context, p *play) error {
	for _, r := range p.routes {
		if r.raw && !p.fetched[seen{route: r.path, in: true}] {
			p.wrong("%s was never fetched", r.path)
		}
		for _, language := range []string{"it", "en", "de"} {
			for _, in := range []bool{false, true} {
				if !r.raw && (in || !r.closed) && !p.looked[seen{r.path, language, in}] {
					p.wrong("%s was never looked at in %s, logged in %v", r.path, language, in)
				}
			}
		}
	}
	p.note("%d pages and %d files stand in the source", len(p.routes)-p.files(), p.files())
	return p.closedDoors(ctx)
}

func (p *play) files() (n int) {
	for _, r := range p.routes {
		if r.raw {
			n++
		}
	}
	return n
}

// closedDoors asks without a session for each page that needs one.
func (p *play) closedDoors(ctx context.Context) error {
	for _, r := range p.routes {
		if !r.closed {
			continue
		}
		path := r.path
		for _, f := range p.pages {
			if p.routeFor(f.path) == r.path {
				path = f.path
			}
		}
		code, _, _, err := p.get(ctx, path, "")
		if err != nil {
			return err
		}
		if code != http.StatusSeeOther && code != http.StatusForbidden {
			p.wrong("%s answers %d to anybody", path, code)
		}
	}
	return nil
}
