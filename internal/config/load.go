package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxFile is more than any honest configuration has.
const maxFile = 1 << 20

// Load lays the file at path over the defaults in into, a pointer to a struct,
// and the environment variables that begin with envPrefix and "_" over both.
// An empty path means no file, an empty envPrefix no environment. Variables in
// ignoreEnv (full names) are somebody else's. A Validator is asked last.
// The error is nil, an error of reading the file, or an Errors.
func Load(path string, into any, envPrefix string, ignoreEnv ...string) error {
	_, err := LoadWritten(path, into, envPrefix, ignoreEnv...)
	return err
}

// LoadWritten is Load, and lists the keys that the file gives a value, in its order: for
// who wants to know whether one that was there is gone. A list is one key.
func LoadWritten(path string, into any, envPrefix string, ignoreEnv ...string) (written []string, err error) {
	var data []byte
	if path != "" {
		if data, err = readFile(path); err != nil {
			return nil, err
		}
	}
	var env []string
	if envPrefix != "" {
		env = os.Environ()
	}
	return decodeWritten(path, data, into, envPrefix, env, ignoreEnv)
}

// Decode is Load for bytes that are in memory already; name stands for the file
// in errors. The environment is left alone.
func Decode(name string, data []byte, into any) error {
	return decodeAll(name, data, into, "", nil, nil)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err) // not an Error: a caller may do without the file
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, &Error{File: path, Msg: "larger than 1 MiB: this is not a configuration file"}
	}
	return data, nil
}

func decodeAll(name string, data []byte, into any, envPrefix string, env, ignoreEnv []string) error {
	_, err := decodeWritten(name, data, into, envPrefix, env, ignoreEnv)
	return err
}

func decodeWritten(name string, data []byte, into any, envPrefix string, env, ignoreEnv []string) (written []string, err error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic("config: into must be a pointer to a struct")
	}
	d := &decoder{file: name, lines: map[string]place{}}
	d.document(data, v.Elem())
	written = d.written
	if envPrefix != "" {
		d.environment(envPrefix, env, ignoreEnv, v.Elem())
	}
	if len(d.errs) > 0 {
		return written, d.errs
	}
	return written, d.validate(into)
}

// document decodes the one YAML document in data, if there is one.
func (d *decoder) document(data []byte, into reflect.Value) {
	loader, err := yaml.NewLoader(strings.NewReader(string(data)))
	if err != nil {
		d.fail(0, "", "%v", err)
		return
	}
	var doc yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return // nothing but comments
	case err != nil:
		d.fail(0, "", "not YAML: %s", oneLine(err))
		return
	}
	root := &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	if !isNull(root) {
		d.value(root, "", into, "")
	}
	var second yaml.Node
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		d.fail(second.Line, "", "a second YAML document: one file is one configuration, without ---")
	}
}

// validate asks a Validator and gives its complaints a place.
func (d *decoder) validate(into any) error {
	val, ok := into.(Validator)
	if !ok {
		return nil
	}
	err := val.Validate()
	if err == nil {
		return nil
	}
	var many Errors
	var one *Error
	switch {
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = Errors{one}
	default:
		many = Errors{{Msg: err.Error()}}
	}
	for _, e := range many {
		at := d.locate(e.Key)
		e.File, e.Line = at.file, at.line
	}
	slices.SortStableFunc(many, func(a, b *Error) int { return a.Line - b.Line })
	return many
}

// locate finds where a key was set: itself, or the nearest key above it.
func (d *decoder) locate(key string) place {
	for key != "" {
		if at, ok := d.lines[key]; ok {
			return at
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			break
		}
		key = key[:cut]
	}
	return place{file: d.file}
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}
