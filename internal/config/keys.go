package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Keys lists every key that into, a struct or pointer to one, can have: dotted,
// in the order of the fields, elements of a list as "name[].key".
func Keys(into any) []string {
	t := reflect.TypeOf(into)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return appendKeys(nil, "", t)
}

func appendKeys(out []string, prefix string, t reflect.Type) []string {
	for _, name := range names(t) {
		f, _ := field(t, name)
		key := join(prefix, name)
		ft := f.Type
		switch {
		case isScalar(reflect.New(ft).Elem()):
			out = append(out, key)
		case ft.Kind() == reflect.Struct:
			out = appendKeys(out, key, ft)
		default:
			out = append(out, key)
			if e := ft.Elem(); !isScalar(reflect.New(e).Elem()) && e.Kind() == reflect.Struct {
				out = appendKeys(out, key+"[]", e)
			}
		}
	}
	return out
}

// names are the keys of a struct in the order of its fields.
func names(t reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(t) {
		if n := keyOf(f); n != "" {
			out = append(out, n)
		}
	}
	return out
}

func field(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if n := keyOf(f); n != "" && n == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// keyOf is the YAML name of a field, "" when it is not a key.
func keyOf(f reflect.StructField) string {
	tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if !f.IsExported() || f.Anonymous || tag == "-" {
		return ""
	}
	if tag == "" {
		return strings.ToLower(f.Name)
	}
	return tag
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// suggest names the nearest allowed key when there is one, and else all of them.
func suggest(got string, allowed []string) string {
	for _, a := range allowed {
		if distance(got, a) <= min(2, len(got)/3) {
			return fmt.Sprintf("did you mean %s?", a)
		}
	}
	return "allowed here: " + strings.Join(allowed, ", ")
}

// distance counts single-letter edits (Levenshtein); words longer than 40
// letters are never near anything.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(diag+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
