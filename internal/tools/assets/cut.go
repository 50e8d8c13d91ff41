package main

import (
	"regexp"
	"slices"
	"strings"
)

// used is what a page may use of a style sheet.
type used struct {
	classes   map[string]bool
	patterns  *regexp.Regexp // further classes; nil: none
	elements  map[string]bool
	variables map[string]bool // that other style sheets refer to
}

// cut keeps the rules that u can use, and of these what they need.
func cut(rules []rule, u used) []rule {
	rules = u.keep(rules)
	rules = u.withoutVariables(rules)
	return withoutAnimations(rules)
}

func (u used) keep(rules []rule) (out []rule) {
	for _, r := range rules {
		switch {
		case r.nested:
			r.rules = u.keep(r.rules)
			if len(r.rules) == 0 {
				continue
			}
		case strings.HasPrefix(r.prelude, "@keyframes"):
		case strings.HasPrefix(r.prelude, "@"):
			continue // @font-face and @charset are in style.css
		default:
			r.prelude, r.body = u.selectors(r.prelude), declarations(r.body, local)
			if r.prelude == "" || r.body == "" {
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

func (u used) selectors(prelude string) string {
	return strings.Join(slices.DeleteFunc(split(prelude, ','), func(s string) bool { return !u.selector(s) }), ",")
}

var (
	className = regexp.MustCompile(`\.((?:[\w-]|\\.)+)`)
	element   = regexp.MustCompile(`(?:^|[\s>+~(,])([a-zA-Z][\w-]*)`)
	identity  = regexp.MustCompile(`#[\w-]+`)
	negation  = regexp.MustCompile(`:not\([^()]*(?:\([^()]*\)[^()]*)*\)`)
	attribute = regexp.MustCompile(`\[[^\]]*\]`)
	pseudo    = regexp.MustCompile(`::?[a-zA-Z-]+`)
)

// selector is whether all that it names can be on the page. What a negation names need not.
func (u used) selector(s string) bool {
	s = negation.ReplaceAllString(s, "")
	if identity.MatchString(attribute.ReplaceAllString(s, "")) || strings.Contains(s, "[data-") {
		return false
	}
	s = attribute.ReplaceAllString(s, "")
	for _, m := range className.FindAllStringSubmatch(s, -1) {
		if !u.class(m[1]) {
			return false
		}
	}
	s = pseudo.ReplaceAllString(className.ReplaceAllString(s, ""), "")
	for _, m := range element.FindAllStringSubmatch(s, -1) {
		if !u.elements[m[1]] {
			return false
		}
	}
	return true
}

func (u used) class(name string) bool {
	return u.classes[name] || u.patterns != nil && u.patterns.MatchString(name)
}

// declarations keeps those that good likes.
func declarations(body string, good func(name, value string) bool) string {
	var out []string
	for _, d := range split(body, ';') {
		name, value, ok := strings.Cut(d, ":")
		if ok && good(strings.TrimSpace(name), value) {
			out = append(out, strings.TrimSpace(d))
		}
	}
	return strings.Join(out, ";")
}

// local is false for what a browser would have to load.
func local(_, value string) bool { return !strings.Contains(value, "url(") }

var variable = regexp.MustCompile(`var\(\s*(--[\w-]+)`)

// withoutVariables takes away definitions that nothing refers to, until nothing more goes.
func (u used) withoutVariables(rules []rule) []rule {
	for {
		wanted := map[string]bool{}
		for name := range u.variables {
			wanted[name] = true
		}
		each(rules, func(r rule) {
			for _, m := range variable.FindAllStringSubmatch(r.body, -1) {
				wanted[m[1]] = true
			}
		})
		before := size(rules)
		rules = filter(rules, func(r rule) (rule, bool) {
			r.body = declarations(r.body, func(name, _ string) bool { return !strings.HasPrefix(name, "--") || wanted[name] })
			return r, r.body != ""
		})
		if size(rules) == before {
			return rules
		}
	}
}

func withoutAnimations(rules []rule) []rule {
	var all strings.Builder
	each(rules, func(r rule) { all.WriteString(r.body + "\n") })
	return filter(rules, func(r rule) (rule, bool) {
		name, is := strings.CutPrefix(r.prelude, "@keyframes ")
		return r, !is || regexp.MustCompile(`animation[^;]*\b`+regexp.QuoteMeta(strings.TrimSpace(name))+`\b`).MatchString(all.String())
	})
}

func each(rules []rule, do func(rule)) {
	for _, r := range rules {
		if r.nested {
			each(r.rules, do)
		} else {
			do(r)
		}
	}
}

func filter(rules []rule, keep func(rule) (rule, bool)) (out []rule) {
	for _, r := range rules {
		ok := true
		if r.nested {
			r.rules = filter(r.rules, keep)
			ok = len(r.rules) > 0
		} else {
			r, ok = keep(r)
		}
		if ok {
			out = append(out, r)
		}
	}
	return out
}

func size(rules []rule) int {
	var out strings.Builder
	write(&out, rules)
	return out.Len()
}
