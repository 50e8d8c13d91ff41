package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// allowed are classes of Bootstrap Italia that pages may have though no template names
// them whole: Go code or a template's action puts them together.
var allowed = regexp.MustCompile(`^(` + strings.Join([]string{
	`btn(-(primary|secondary|success|danger|warning|link|outline-(primary|secondary|success|danger|warning)|sm|xs|lg|close|group))?`,
	`table(-(sm|striped|hover|borderless|bordered|responsive|light|group-divider))?`,
	`card(-(body|title|text|header|footer|subtitle))?`,
	`badge`, `rounded-pill`, `bg-(primary|secondary|success|danger|warning|info|light|white)`, `text-(primary|secondary|success|danger|warning|muted|center|end|start|nowrap|break|bg-\w+|uppercase|dark|white|body)`,
	`alert(-(primary|info|success|danger|warning|heading|link))?`,
	`form-(control|label|select|text|check|check-input|check-label|check-inline)`, `form-(control|select)-sm`, `invalid-feedback`, `is-invalid`, `input-group(-text|-sm)?`,
	`container(-fluid)?`, `row`, `col(-(sm|md|lg))?(-(auto|[1-9]|1[0-2]))?`, `row-cols(-(sm|md|lg))?-[1-6]`, `g[xy]?-[0-5]`,
	`visually-hidden(-focusable)?`, `list-(group|group-item|group-flush|unstyled|inline|inline-item)`, `d-(print-none|print-block|none|block|flex|grid|inline|inline-block|inline-flex|(sm|md|lg)-(none|block|flex|inline))`,
	`flex-(wrap|column|row|fill|grow-[01]|shrink-[01])`, `justify-content-(between|end|center|start)`, `align-items-(center|start|end|baseline)`, `gap-[0-5]`,
	`[mp][tbsexy]?-([0-5]|auto)`, `fw-(bold|semibold|normal|light)`, `font-monospace`, `fs-[1-6]`, `h[1-6]`, `lead`, `small`, `w-(25|50|75|100|auto)`, `border(-(top|bottom|0|start|end))?`, `rounded`,
	`breadcrumb(-item)?`, `pagination`, `page-item`, `page-link`, `progress(-bar)?`, `active`, `disabled`,
}, "|") + `)$`)

// elements that pages have.
const elements = `html body header nav main footer section article aside div p span a abbr address b bdi br code dd details dl dt em fieldset form h1 h2 h3 h4 h5 h6 hr img input
	kbd label legend li ol optgroup option output pre progress q s samp select small strong sub summary sup svg table caption tbody td textarea tfoot th thead tr time u ul button blockquote`

// usedBy reads the templates and the page's own style sheets.
func usedBy(page string) (used, error) {
	u := used{classes: map[string]bool{}, patterns: allowed, elements: map[string]bool{}, variables: map[string]bool{}}
	for _, e := range strings.Fields(elements) {
		u.elements[e] = true
	}
	templates, err := read(filepath.Join(page, "templates", "*.html"))
	if err != nil {
		return u, err
	}
	for _, name := range classesOf(templates) {
		u.classes[name] = true
	}
	for _, name := range []string{"style.css", "areas.css"} {
		css, err := read(filepath.Join(page, "assets", name))
		if err != nil {
			return u, err
		}
		for _, m := range variable.FindAllStringSubmatch(css, -1) {
			u.variables[m[1]] = true
		}
	}
	return u, nil
}

func read(pattern string) (string, error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		all.Write(raw)
		all.WriteString("\n")
	}
	return all.String(), nil
}

var (
	class = regexp.MustCompile(`\bclass="((?:[^"{]|\{[^{]|\{\{[^}]*\}\})*)"`)
	word  = regexp.MustCompile(`[a-zA-Z][\w-]*`)
)

// classesOf are the words in class attributes of templates; what stands in an action there may be one too.
func classesOf(templates string) (names []string) {
	for _, m := range class.FindAllStringSubmatch(templates, -1) {
		names = append(names, word.FindAllString(m[1], -1)...)
	}
	return names
}
