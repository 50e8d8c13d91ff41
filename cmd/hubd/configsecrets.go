package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	return out
}
