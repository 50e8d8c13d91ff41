// Package config reads a program's configuration: one strict YAML file laid
// over the program's defaults, and the environment laid over the file.
//
//	cfg := Default()                                  // the defaults are values, not tags
//	err := config.Load("/etc/edged.yaml", &cfg, "EDGED")
//
// It promises:
//   - An unknown key, a key given twice, a value of the wrong kind, a number
//     without its unit: each is an error that names file, line, key, what is
//     wrong and what is allowed. All problems of a file are found in one go.
//   - What is not written keeps its default. A list that is written replaces the
//     default list; each element starts from SetDefaults when it has one.
//   - A variable of the environment names a key in capitals, dots as underscores:
//     EDGED_PAGE_LISTEN is page.listen. Its value is YAML, a plain comma-separated
//     list will do for a list of words. A variable with the prefix that names no
//     key is an error, so that a typing mistake does not pass in silence.
//   - Nothing is read that is larger than a megabyte.
//
// It deliberately has no includes, no merge keys, no anchors, no reloading and
// no notion of what the keys mean: a configuration that implements Validator
// judges its own values, and its complaints get file and line here.
//
// Field tags: `yaml:"name"` names the key ("-" hides the field), and
// `allowed:"a|b"` closes the set of words of a string.
package config
