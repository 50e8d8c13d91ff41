package main

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

//go:embed debian
var debian embed.FS

// files are where those of the repository lie in the package.
var files = []struct {
	from, to string
	mode     os.FileMode
}{
	{"configs/edged.yaml", "etc/edged/edged.yaml", 0o644},
	{"configs/edged.service", "lib/systemd/system/edged.service", 0o644},
	{"configs/edged.sysusers.conf", "usr/lib/sysusers.d/edged.conf", 0o644},
	{"configs/edged.modules-load.conf", "usr/lib/modules-load.d/edged.conf", 0o644},
	{"configs/grafana-edged.json", docFolder + "grafana-edged.json", 0o644},
	{"configs/alerts.yaml", docFolder + "alerts.yaml", 0o644},
}

const docFolder = "usr/share/doc/edged/"

// texts lie in one folder of the package, beside the dashboard and the alert rules.
var texts = []string{"docs/install.md", "docs/security.md", "docs/metrics.md", "docs/uplink.md", "docs/conformance-statement.md", "SECURITY.md"}

// stage lays everything out as dpkg-deb wants it.
func (p *pack) stage(dir string, when time.Time) error {
	if err := copyFile(p.program, filepath.Join(dir, "usr/bin/edged"), 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := copyFile(filepath.Join(p.source, f.from), filepath.Join(dir, f.to), f.mode); err != nil {
			return err
		}
	}
	for _, from := range texts {
		text, err := os.ReadFile(filepath.Join(p.source, from))
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, docFolder, filepath.Base(from)), []byte(packaged(string(text))), 0o644); err != nil {
			return err
		}
	}
	if err := p.documents(dir, when); err != nil {
		return err
	}
	if err := p.control(dir); err != nil {
		return err
	}
	return sameTimes(dir, when)
}

// link is one of Markdown, to something that is not on the web.
var link = regexp.MustCompile(`\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)`)

// packaged is a text as it stands in the package: what it links to lies beside it, and
// what the package has not is named and no link.
func packaged(text string) string {
	text = link.ReplaceAllStringFunc(text, func(whole string) string {
		m := link.FindStringSubmatch(whole)
		name := path.Base(m[2])
		if slices.ContainsFunc(texts, func(from string) bool { return path.Base(from) == name }) {
			return "[" + m[1] + "](" + name + m[3] + ")"
		}
		return m[1]
	})
	return strings.NewReplacer("`configs/edged.yaml`", "`/etc/edged/edged.yaml`", "`configs/alerts.yaml`", "`alerts.yaml`",
		"`configs/grafana-edged.json`", "`grafana-edged.json`").Replace(text)
}

func copyFile(from, to string, mode os.FileMode) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return write(to, b, mode)
}

func write(name string, b []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, b, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode) // whatever the umask
}

// documents are what Debian wants of every package.
func (p *pack) documents(dir string, when time.Time) error {
	doc := filepath.Join(dir, "usr/share/doc/edged")
	text, err := debian.ReadFile("debian/copyright")
	if err != nil {
		return err
	}
	if err := write(filepath.Join(doc, "copyright"), text, 0o644); err != nil {
		return err
	}
	log := fmt.Sprintf("edged (%s) unstable; urgency=medium\n\n  * See /usr/share/doc/edged/install.md.\n\n -- %s  %s\n",
		p.version, maintainer, when.Format(time.RFC1123Z))
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write([]byte(log)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return write(filepath.Join(doc, "changelog.gz"), b.Bytes(), 0o644)
}

const maintainer = "The edged maintainers <maintainers@edged.example>"

// control writes DEBIAN/: who this is, what is a configuration file, sums, scripts.
func (p *pack) control(dir string) error {
	sums, size, err := summed(dir)
	if err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(dir, "DEBIAN", name) }
	text, err := debian.ReadFile("debian/control")
	if err != nil {
		return err
	}
	control := strings.NewReplacer("@VERSION@", p.version, "@ARCH@", p.arch, "@SIZE@", fmt.Sprint((size+1023)/1024), "@MAINTAINER@", maintainer).Replace(string(text))
	if err := write(at("control"), []byte(control), 0o644); err != nil {
		return err
	}
	if err := write(at("md5sums"), []byte(sums), 0o644); err != nil {
		return err
	}
	if err := write(at("conffiles"), []byte("/etc/edged/edged.yaml\n"), 0o644); err != nil {
		return err
	}
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		text, err := debian.ReadFile("debian/" + script)
		if err != nil {
			return err
		}
		if err := write(at(script), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// summed are the sums of all files but the configuration, and how many bytes all have.
func summed(dir string) (sums string, size int64, err error) {
	var lines []string
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		size += int64(len(b))
		rel, err := filepath.Rel(dir, name)
		if err == nil && !strings.HasPrefix(rel, "etc/") {
			lines = append(lines, fmt.Sprintf("%x  %s\n", md5.Sum(b), rel)) // dpkg(1) wants MD5; it finds damage, not malice
		}
		return err
	})
	sort.Strings(lines)
	return strings.Join(lines, ""), size, err
}

func sameTimes(dir string, when time.Time) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if err := os.Chmod(name, 0o755); err != nil {
				return err
			}
		}
		return os.Chtimes(name, when, when)
	})
}
