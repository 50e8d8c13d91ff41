package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run("agent/page"); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}

func run(page string) error {
	dir, err := os.MkdirTemp("", "assets")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	italia, err := bootstrap.fetch(dir)
	if err != nil {
		return err
	}
	hypertext, err := htmx.fetch(dir)
	if err != nil {
		return err
	}
	u, err := usedBy(page)
	if err != nil {
		return err
	}
	sheet, err := styles(string(italia["package/dist/css/bootstrap-italia.min.css"]), u)
	if err != nil {
		return err
	}
	all, err := classes(string(italia["package/dist/css/bootstrap-italia.min.css"]))
	if err != nil {
		return err
	}
	for name, raw := range map[string][]byte{
		"../testdata/bootstrap-italia.classes": []byte(all),

		"bootstrap-italia.css":         []byte(sheet),
		"htmx.js":                      script(hypertext),
		"BOOTSTRAP-ITALIA-LICENSE.txt": italia["package/LICENSE"],
		"HTMX-LICENSE.txt":             hypertext["package/LICENSE"],
	} {
		if len(raw) == 0 {
			return fmt.Errorf("%s would be empty: the packages have another shape", name)
		}
		if err := os.MkdirAll(filepath.Join(page, "testdata"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(page, "assets", name), raw, 0o644); err != nil {
			return err
		}
		fmt.Printf("%-30s %7d bytes\n", name, len(raw))
	}
	return nil
}

const header = `/*!
 * Bootstrap Italia 2.18.3, cut to what the page uses by internal/tools/assets: do not edit.
 * Authors: italia/bootstrap-italia, AUTHORS. BSD-3-Clause: BOOTSTRAP-ITALIA-LICENSE.txt
 * A fork of Bootstrap 5.2.3, (c) 2011-2022 The Bootstrap Authors, MIT: BOOTSTRAP-LICENSE.txt
 */
`

func styles(css string, u used) (string, error) {
	rules, err := parse(css)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(header)
	write(&out, cut(rules, u))
	return out.String(), nil
}

// classes lists all that a sheet has rules for: a test of the page knows by it what was
// cut away too much.
func classes(css string) (string, error) {
	rules, err := parse(css)
	if err != nil {
		return "", err
	}
	names := map[string]bool{}
	each(rules, func(r rule) {
		for _, m := range className.FindAllStringSubmatch(r.prelude, -1) {
			names[strings.ReplaceAll(m[1], `\`, "")] = true
		}
	})
	return strings.Join(slices.Sorted(maps.Keys(names)), "\n") + "\n", nil
}

// script is htmx with its extensions behind it, in one file: an extension that came
// later than htmx has begun would be too late.
func script(files map[string][]byte) []byte {
	var out bytes.Buffer
	out.WriteString("/*! htmx 4.0.1 with hx-csp and hx-sse, as internal/tools/assets put them together: do not edit. 0BSD: HTMX-LICENSE.txt */\n")
	for _, name := range []string{"htmx.min.js", "ext/hx-csp.min.js", "ext/hx-sse.min.js"} {
		raw := files["package/dist/"+name]
		if len(raw) == 0 {
			return nil
		}
		out.Write(mapping.ReplaceAll(bytes.TrimSpace(raw), nil))
		out.WriteString("\n")
	}
	return out.Bytes()
}

// mapping names a file that is not there.
var mapping = regexp.MustCompile(`(?m)^//# sourceMappingURL=.*\n?`)
