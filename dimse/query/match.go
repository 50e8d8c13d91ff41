package query

import (
	"slices"
	"strconv"
	"strings"

	"edged/dimse/dataset"
)

// Matches says whether an entity matches all keys that are supported at the
// level (PS3.4 §C.2.2.2).
func (f Find) Matches(entity dataset.Set) bool {
	have := decoder(entity)
	for _, k := range f.keys {
		if e, _ := entity.Find(k.tag); !k.matches(e, have) {
			return false
		}
	}
	return true
}

// key is one key, read once.
type key struct {
	tag    dataset.Tag
	vr     string
	wanted []string // none: universal
	item   []key    // of a sequence
}

// compile reads those keys that wanted says; universal ones are left out.
func compile(s dataset.Set, wanted func(dataset.Tag) bool, decode decode) (keys []key) {
	for _, e := range s {
		if !wanted(e.Tag) {
			continue // as universal (PS3.4 §C.2.2.1.3)
		}
		k := key{tag: e.Tag, vr: dataset.VR(e.Tag)}
		if k.vr == "SQ" && len(e.Items) > 0 {
			k.item = compile(e.Items[0], func(dataset.Tag) bool { return true }, decode)
		} else if k.vr != "SQ" {
			k.wanted = wantedValues(k.vr, e, decode)
		}
		if len(k.wanted)+len(k.item) > 0 {
			keys = append(keys, k)
		}
	}
	return keys
}

// wantedValues are none if the key is universal: of zero length (PS3.4
// §C.2.2.2.3), or a wild card that means the same (§C.2.2.2.4).
func wantedValues(vr string, e dataset.Element, decode decode) []string {
	e.VR = asText(e.VR, vr)
	v := decode(e.Texts())
	v = v[:min(len(v), maxRequestKeyValues)]
	if !slices.ContainsFunc(v, func(w string) bool { return strings.Trim(w, "*") != "" }) {
		return nil
	}
	return v
}

type decode = func([]string) []string

func (k key) matches(e dataset.Element, decode decode) bool {
	if k.vr == "SQ" {
		return k.matchesItems(e.Items, decode)
	}
	e.VR = asText(e.VR, k.vr)
	have := decode(e.Texts())
	return slices.ContainsFunc(k.wanted, func(w string) bool {
		return slices.ContainsFunc(have, func(h string) bool { return matchesValue(k.vr, w, h) })
	})
}

// matchesItems: the one item of the key has to match an item as a whole (PS3.4
// §C.2.2.2.6).
func (k key) matchesItems(items []dataset.Set, decode decode) bool {
	return slices.ContainsFunc(items, func(item dataset.Set) bool {
		return !slices.ContainsFunc(k.item, func(k key) bool {
			e, _ := item.Find(k.tag)
			return !k.matches(e, decode)
		})
	})
}

// asText reads a value that came as UN by what the dictionary says.
func asText(vr, known string) string {
	if vr == "UN" || vr == "" {
		return known
	}
	return vr
}

// maxPattern is the longest value of a key in which wild cards count.
const maxPattern = 1024

func matchesValue(vr, wanted, have string) bool {
	if len(wanted) > maxPattern {
		return wanted == have
	}
	switch vr {
	case "UI": // a list of UIDs is one after the other (PS3.4 §C.2.2.2.2); no wild cards
		return wanted == have
	case "DA", "TM", "DT":
		return matchesTime(vr, wanted, have)
	case "IS", "DS", "US", "UL", "SS", "SL":
		a, errA := strconv.ParseFloat(wanted, 64)
		b, errB := strconv.ParseFloat(have, 64)
		return wanted == have || errA == nil && errB == nil && a == b
	case "PN":
		return matchesName(wanted, have)
	case "AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT":
		return like(wanted, have)
	}
	return wanted == have // PS3.4 §C.2.2.2.1
}

// matchesName compares group by group without regard to case; see doc.go.
func matchesName(wanted, have string) bool {
	h := strings.Split(fold(have), "=")
	for i, w := range strings.Split(fold(wanted), "=") {
		if w = strings.TrimRight(w, "^ "); w != "" && i < len(h) && like(w, strings.TrimRight(h[i], "^ ")) {
			return true
		}
	}
	return false
}

// fold takes case away; components lose the spaces around them.
func fold(s string) string {
	parts := strings.Split(strings.ToLower(strings.ToUpper(s)), "^")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, "^")
}

// like is wild card matching: * stands for any characters, also none, ? for one
// (PS3.4 §C.2.2.2.4). It goes back to the last * only, so it is never worse than
// the lengths multiplied.
func like(pattern, s string) bool {
	p, v := []rune(pattern), []rune(s)
	star, from := -1, 0
	i, j := 0, 0
	for j < len(v) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == v[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}
