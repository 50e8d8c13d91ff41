package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// environment lays the variables that begin with prefix and "_" over v.
func (d *decoder) environment(prefix string, env, ignore []string, v reflect.Value) {
	keys := map[string]string{}
	for _, k := range Keys(v.Addr().Interface()) {
		if !strings.Contains(k, "[]") {
			keys[EnvName(prefix, k)] = k
		}
	}
	d.file = "environment"
	for _, kv := range slices.Sorted(slices.Values(env)) {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, prefix+"_") || slices.Contains(ignore, name) {
			continue
		}
		key, ok := keys[name]
		if !ok {
			d.fail(0, name, "names no key of the configuration: unset it, or %s", suggestEnv(name, keys))
			continue
		}
		target, allowed := lookup(v, key)
		d.variable(name, key, value, target, allowed)
	}
}

// EnvName is the variable for a key: EnvName("HUBD", "console.listen") is
// HUBD_CONSOLE_LISTEN.
func EnvName(prefix, key string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// variable decodes one value; errors name the variable instead of the key.
func (d *decoder) variable(name, key, value string, v reflect.Value, allowed string) {
	before := len(d.errs)
	if v.Kind() == reflect.Slice && !isScalar(v) {
		d.listVariable(key, value, v)
	} else {
		d.scalar(&yaml.Node{Kind: yaml.ScalarNode, Value: value}, key, v, allowed)
	}
	d.lines[key] = place{"environment " + name, 0}
	for _, e := range d.errs[before:] {
		e.Key, e.Line = name, 0
	}
}

// listVariable takes a YAML list, or words separated by commas.
func (d *decoder) listVariable(key, value string, v reflect.Value) {
	text := strings.TrimSpace(value)
	if !strings.HasPrefix(text, "[") {
		if v.Type().Elem().Kind() == reflect.String {
			words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
			v.Set(reflect.ValueOf(words).Convert(v.Type()))
			return
		}
	}
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil || len(n.Content) != 1 {
		d.fail(0, key, "%q is not a YAML list, as in [{name: a}]", clip(value))
		return
	}
	d.value(n.Content[0], key, v, "")
}

// lookup finds the value of a dotted key and the words that it may be.
func lookup(v reflect.Value, key string) (reflect.Value, string) {
	var allowed string
	for name := range strings.SplitSeq(key, ".") {
		f, ok := field(v.Type(), name)
		if !ok {
			panic(fmt.Sprintf("config: no key %s", key))
		}
		v, allowed = v.FieldByIndex(f.Index), f.Tag.Get("allowed")
	}
	return v, allowed
}

func suggestEnv(name string, keys map[string]string) string {
	for known := range keys {
		if distance(name, known) <= 2 {
			return "did you mean " + known + "?"
		}
	}
	return "see the example configuration for the keys"
}
