package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
)

// CheckExample proves that the commented example file at path is true: it loads,
// says the same as defaults (a pointer to a struct), and shows every key that
// the code knows. Keys of list elements may stand in comments. It is called by
// tests only.
func CheckExample(path string, defaults any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	loaded := reflect.New(reflect.TypeOf(defaults).Elem()) // zero: what the file leaves out must not look like a default
	d := &decoder{file: path, lines: map[string]place{}}
	d.document(text, loaded.Elem())
	if len(d.errs) > 0 {
		return d.errs
	}
	for _, key := range Keys(defaults) {
		if err := d.shown(key, string(text)); err != nil {
			return err
		}
		if strings.Contains(key, "[]") {
			continue
		}
		has, _ := lookup(loaded.Elem(), key)
		def, _ := lookup(reflect.ValueOf(defaults).Elem(), key)
		if got, want := fmt.Sprint(has), fmt.Sprint(def); got != want {
			return &Error{File: path, Line: d.lines[key].line, Key: key, Msg: fmt.Sprintf("the example says %q, the code's default is %q", got, want)}
		}
	}
	return nil
}

func (d *decoder) shown(key, text string) error {
	if !strings.Contains(key, "[]") {
		if _, ok := d.lines[key]; !ok {
			return &Error{File: d.file, Key: key, Msg: "missing from the example"}
		}
		return nil
	}
	last := key[strings.LastIndex(key, ".")+1:]
	if !regexp.MustCompile(`(?m)[#{, ]` + regexp.QuoteMeta(last) + `:`).MatchString(text) {
		return &Error{File: d.file, Key: key, Msg: "missing from the example's comments"}
	}
	return nil
}
