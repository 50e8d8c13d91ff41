package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

type place struct {
	file string
	line int
}

// decoder walks YAML nodes and Go values side by side. It goes on after an
// error, so that one run shows all of them.
type decoder struct {
	file  string
	errs  Errors
	lines map[string]place // where each key was set

	written []string // keys with a value, without those inside lists
}

// maxErrors is where a hopeless file stops being described.
const maxErrors = 50

func (d *decoder) fail(line int, key, format string, args ...any) {
	if len(d.errs) < maxErrors {
		d.errs = append(d.errs, &Error{File: d.file, Line: line, Key: key, Msg: fmt.Sprintf(format, args...)})
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// value decodes n into v. An empty value ("key:") keeps the default.
func (d *decoder) value(n *yaml.Node, key string, v reflect.Value, allowed string) {
	d.lines[key] = place{d.file, n.Line}
	if isNull(n) {
		return
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.fail(n.Line, key, "anchors and aliases (& and *) are not used here: write the value out")
		return
	}
	if (isScalar(v) || v.Kind() == reflect.Slice) && !strings.Contains(key, "[") {
		d.written = append(d.written, key)
	}
	switch {
	case isScalar(v):
		d.scalar(n, key, v, allowed)
	case v.Kind() == reflect.Struct:
		d.mapping(n, key, v)
	case v.Kind() == reflect.Slice:
		d.sequence(n, key, v, allowed)
	default:
		panic(fmt.Sprintf("config: %s: no decoding for %s", key, v.Type()))
	}
}

func (d *decoder) mapping(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, key, "want keys below it (%s), not %s", strings.Join(names(v.Type()), ", "), describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		child := join(key, k.Value)
		if first, ok := seen[k.Value]; ok {
			d.fail(k.Line, child, "given twice, first on line %d: keep one of them", first)
			continue
		}
		seen[k.Value] = k.Line
		f, ok := field(v.Type(), k.Value)
		if !ok {
			d.fail(k.Line, child, "unknown key; %s", suggest(k.Value, names(v.Type())))
			continue
		}
		d.value(val, child, v.FieldByIndex(f.Index), f.Tag.Get("allowed"))
	}
}

func (d *decoder) sequence(n *yaml.Node, key string, v reflect.Value, allowed string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n.Line, key, "want a list, as in [a, b], not %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		e := out.Index(i)
		if def, ok := e.Addr().Interface().(Defaulter); ok {
			def.SetDefaults()
		}
		d.value(c, fmt.Sprintf("%s[%d]", key, i), e, allowed)
	}
	v.Set(out)
}

func (d *decoder) scalar(n *yaml.Node, key string, v reflect.Value, allowed string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n.Line, key, "want %s, not %s", want(v, allowed), describe(n))
		return
	}
	if err := setScalar(v, n.Value, allowed); err != nil {
		d.fail(n.Line, key, "%v", err)
	}
}

var durationType = reflect.TypeFor[time.Duration]()

func isScalar(v reflect.Value) bool {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return true
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Slice:
		return false
	}
	return true
}

// setScalar reads one word into v.
func setScalar(v reflect.Value, s, allowed string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(s))
	}
	bad := fmt.Errorf("%q is not %s", clip(s), want(v, allowed))
	switch {
	case v.Type() == durationType:
		t, err := ParseDuration(s)
		if err != nil {
			return bad
		}
		v.SetInt(int64(t))
	case v.Kind() == reflect.String:
		if allowed != "" && !slices.Contains(strings.Split(allowed, "|"), s) {
			return bad
		}
		v.SetString(s)
	case v.Kind() == reflect.Bool:
		if s != "true" && s != "false" {
			return bad
		}
		v.SetBool(s == "true")
	case v.CanInt():
		i, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return bad
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return bad
		}
		v.SetUint(u)
	case v.CanFloat():
		f, err := strconv.ParseFloat(s, v.Type().Bits())
		if err != nil {
			return bad
		}
		v.SetFloat(f)
	default:
		panic(fmt.Sprintf("config: no decoding for %s", v.Type()))
	}
	return nil
}

// want says in words what a scalar may be.
func want(v reflect.Value, allowed string) string {
	switch {
	case v.Type() == reflect.TypeFor[ByteSize]():
		return "a size with its unit, as 512KiB or 2GiB"
	case v.Type() == reflect.TypeFor[BitRate]():
		return "a rate with its unit, as 800Mbit/s, or 0"
	case v.Type() == durationType:
		return "a time with its unit, as 90s, 72h or 7d"
	case allowed != "":
		return "one of " + strings.ReplaceAll(allowed, "|", ", ")
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.CanInt():
		return "a whole number"
	case v.CanUint():
		return "a whole number from 0"
	case v.CanFloat():
		return "a number"
	}
	return "a word"
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(clip(n.Value))
}

// clip keeps a message in one readable line, whatever is in the file.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
