package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// secretFiles are those of the configuration that open something, by key; that of
// objects_credentials is looked at with its bucket.
func (c *Config) secretFiles() [][2]string {
	files := [][2]string{{"console.tls.key", c.Console.TLS.Key}, {"ca_dir", filepath.Join(caDir(*c), "ca.pem")}}
	for i, s := range c.Events.Sinks {
		files = append(files, [2]string{fmt.Sprintf("events.sinks[%d].secret_file", i), s.SecretFile})
	}
	for i, d := range c.Destinations {
		key := fmt.Sprintf("destinations[%d].", i)
		files = append(files, [2]string{key + "auth.password_file", d.Auth.PasswordFile}, [2]string{key + "auth.secret_file", d.Auth.SecretFile},
			[2]string{key + "auth.key", d.Auth.Key}, [2]string{key + "tls.key", d.TLS.Key})
	}
	return files
}

// secretWarnings are about those that anybody on this machine can read. The group may:
// it is how a key comes to several services.
func (c *Config) secretWarnings() (out []string) {
	for _, f := range c.secretFiles() {
		if f[1] == "" {
			continue
		}
		if info, err := os.Stat(f[1]); err == nil && info.Mode().Perm()&0o007 != 0 {
			out = append(out, fmt.Sprintf("%s: %s can be read by everybody on this machine: chmod o= %[2]s", f[0], f[1]))
		}
	}
	return append(out, c.passwordWarnings()...)
}

// passwordWarnings are about the password of the database in the configuration, where more
// than its owner and group can read that. One that comes from the environment is not in it.
func (c *Config) passwordWarnings() []string {
	if !hasPassword(c.Database) {
		return nil
	}
	info, err := os.Stat(c.file)
	if err != nil || info.Mode().Perm()&0o007 == 0 {
		return nil
	}
	text, err := os.ReadFile(c.file)
	if err != nil || !bytes.Contains(text, []byte(c.Database)) {
		return nil
	}
	return []string{fmt.Sprintf("database: the password stands in %s, which has mode %04o: everybody on this machine can read it. Do chmod o= %[1]s, or better leave the password out here and put it into .pgpass in the home of the user that hubd runs as (mode 0600)",
		c.file, info.Mode().Perm())}
}

// hasPassword reports whether a URL of PostgreSQL has one, in either place. It may name
// several hosts, which is no URL for net/url.
func hasPassword(database string) bool {
	_, rest, _ := strings.Cut(database, "://")
	rest, query, _ := strings.Cut(rest, "?")
	authority, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 && strings.Contains(authority[:at], ":") {
		return true
	}
	more, _ := url.ParseQuery(query) // what cannot be read has none
	return more.Has("password") || more.Has("sslpassword")
}
