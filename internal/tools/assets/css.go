package main

import (
	"errors"
	"strings"
)

// rule is one of a style sheet: a prelude with declarations or with rules inside, or a
// statement without a block, as @charset is.
type rule struct {
	prelude string
	body    string // of declarations; "" where there are rules
	rules   []rule
	nested  bool // rules inside
}

var errUnfinished = errors.New("css: the sheet ends inside a block, a string or a comment")

// parse reads a style sheet: preludes, blocks, and comments and strings as what may
// hide a brace (CSS Syntax Level 3 §5).
func parse(css string) ([]rule, error) {
	css, err := withoutComments(strings.TrimPrefix(css, "\ufeff"))
	if err != nil {
		return nil, err
	}
	var out []rule
	for css = strings.TrimSpace(css); css != ""; css = strings.TrimSpace(css) {
		end, err := until(css, "{;")
		if err != nil {
			return nil, err
		}
		r := rule{prelude: strings.TrimSpace(css[:end])}
		if css[end] == ';' {
			out, css = append(out, r), css[end+1:]
			continue
		}
		css = css[end+1:]
		if end, err = until(css, "}"); err != nil {
			return nil, err
		}
		if r.nested = holdsRules(r.prelude); r.nested {
			if r.rules, err = parse(css[:end]); err != nil {
				return nil, err
			}
		} else {
			r.body = css[:end]
		}
		out, css = append(out, r), css[end+1:]
	}
	return out, nil
}

func holdsRules(prelude string) bool {
	for _, at := range []string{"@media", "@supports", "@container", "@layer"} {
		if strings.HasPrefix(prelude, at) {
			return true
		}
	}
	return false
}

// until is where the first of ends stands outside of strings, parentheses and blocks.
func until(css, ends string) (int, error) {
	depth := 0
	for i := 0; i < len(css); i++ {
		c := css[i]
		if depth == 0 && strings.IndexByte(ends, c) >= 0 {
			return i, nil
		}
		switch c {
		case '\\':
			i++
		case '"', '\'':
			n, err := stringEnd(css[i:])
			if err != nil {
				return 0, err
			}
			i += n
		case '(', '{', '[':
			depth++
		case ')', '}', ']':
			depth--
		}
	}
	return 0, errUnfinished
}

// stringEnd is where the quote that css begins with has its other one.
func stringEnd(css string) (int, error) {
	for i := 1; i < len(css); i++ {
		switch css[i] {
		case '\\':
			i++
		case css[0]:
			return i, nil
		}
	}
	return 0, errUnfinished
}

func withoutComments(css string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(css); i++ {
		switch {
		case strings.HasPrefix(css[i:], "/*"):
			n := strings.Index(css[i+2:], "*/")
			if n < 0 {
				return "", errUnfinished
			}
			i += n + 3
			continue
		case css[i] == '"' || css[i] == '\'':
			n, err := stringEnd(css[i:])
			if err != nil {
				return "", err
			}
			out.WriteString(css[i : i+n])
			i += n
		case css[i] == '\\' && i+1 < len(css):
			out.WriteByte(css[i])
			i++
		}
		out.WriteByte(css[i])
	}
	return out.String(), nil
}

// split cuts at each sep that stands outside of strings and parentheses.
func split(text string, sep byte) (parts []string) {
	for {
		n, err := until(text, string(sep))
		if err != nil {
			return append(parts, text)
		}
		parts, text = append(parts, text[:n]), text[n+1:]
	}
}

// write puts a rule a line.
func write(out *strings.Builder, rules []rule) {
	for _, r := range rules {
		switch {
		case r.nested:
			out.WriteString(r.prelude + "{\n")
			write(out, r.rules)
			out.WriteString("}\n")
		case r.body == "":
			out.WriteString(r.prelude + ";\n")
		default:
			out.WriteString(r.prelude + "{" + r.body + "}\n")
		}
	}
}
