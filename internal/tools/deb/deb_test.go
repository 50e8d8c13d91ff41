package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// machine is a folder that real dpkg installs into; scripts run with DPKG_ROOT.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	for _, name := range []string{"dpkg", "dpkg-deb", "xz"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root may run dpkg")
	}
	m := &machine{t, t.TempDir()}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"} {
		m.must(os.MkdirAll(m.at(dir), 0o755))
	}
	m.write("var/lib/dpkg/status", "")
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) at(name string) string { return filepath.Join(m.root, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	m.must(os.MkdirAll(filepath.Dir(m.at(name)), 0o755))
	m.must(os.WriteFile(m.at(name), []byte(text), 0o600))
}

func (m *machine) has(name string) bool { _, err := os.Stat(m.at(name)); return err == nil }

func (m *machine) dpkg(args ...string) string {
	m.t.Helper()
	cmd := exec.Command("dpkg", append([]string{"--root=" + m.root, "--force-script-chrootless", "--force-depends", "--force-confold", "--log=/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/sbin:/sbin:"+os.Getenv("PATH"), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("dpkg %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// packed makes a package whose program says its version.
func packed(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "edged")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho "+version+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1800000000")
	p := pack{source: "../../..", version: version, program: program, out: dir}
	name, err := p.make()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// The same tree gives the same bytes, wherever and whenever it is packed.
func TestThePackageIsReproducible(t *testing.T) {
	newMachine(t)
	one, err := os.ReadFile(packed(t, "v1.0"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(packed(t, "v1.0"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, other) {
		t.Error("two packages of one tree differ")
	}
}

// Whoever has only the package finds what its texts send him to: each link leads to a file
// beside it, to a heading that is there, or to the web.
func TestNoLinkInThePackageIsDead(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := pack{source: "../../..", version: "1", arch: "amd64", program: program}
	if err := p.stage(dir, time.Unix(1_800_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	doc := filepath.Join(dir, docFolder)
	for _, name := range []string{"install.md", "security.md", "metrics.md", "uplink.md", "conformance-statement.md", "grafana-edged.json", "alerts.yaml"} {
		if _, err := os.Stat(filepath.Join(doc, name)); err != nil {
			t.Error(err)
		}
	}
	anchor := func(heading string) string {
		s := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#"))), " ", "-")
		return regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(s, "")
	}
	links, seen := regexp.MustCompile(`\]\(([^)\s]+)\)`), 0
	names, _ := filepath.Glob(filepath.Join(doc, "*.md"))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range links.FindAllStringSubmatch(string(text), -1) {
			to, part, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, ":") {
				continue // on the web
			}
			seen++
			if to == "" {
				to = filepath.Base(name)
			}
			there, err := os.ReadFile(filepath.Join(doc, to))
			found := part == "" || strings.Contains(string(there), `id="`+part+`"`)
			for line := range strings.Lines(string(there)) {
				found = found || strings.HasPrefix(line, "#") && anchor(line) == part
			}
			if err != nil || !found {
				t.Errorf("%s: %s: %v", filepath.Base(name), m[1], err)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d links were looked at", seen)
	}
}

// What an administrator wrote and what modalities sent outlives an upgrade and a remove;
// the program and its unit go. The scripts say how to make the first account.
func TestInstallUpgradeRemoveKeepWhatIsNotOurs(t *testing.T) {
	m := newMachine(t)
	said := m.dpkg("-i", packed(t, "v1.0"))
	if !strings.Contains(said, "edged account add NAME --role administrator") {
		t.Errorf("nobody is told how to make an account: %s", said)
	}
	for _, name := range []string{"usr/bin/edged", "lib/systemd/system/edged.service", "etc/edged/edged.yaml", "usr/lib/sysusers.d/edged.conf", "usr/share/doc/edged/install.md"} {
		if !m.has(name) {
			t.Errorf("%s is missing", name)
		}
	}
	m.write("etc/edged/edged.yaml", "facility: {name: Ours}\n")
	m.write("var/lib/edged/spool/objects/0/1.obj", "an image")
	m.dpkg("-i", packed(t, "v1.1"))
	if out, err := exec.Command(m.at("usr/bin/edged")).Output(); err != nil || string(out) != "v1.1\n" {
		t.Errorf("after the upgrade: %s, %v", out, err)
	}
	kept := func(when string) {
		t.Helper()
		if text, err := os.ReadFile(m.at("etc/edged/edged.yaml")); err != nil || !strings.Contains(string(text), "Ours") {
			t.Errorf("after the %s the configuration is %q, %v", when, text, err)
		}
		if !m.has("var/lib/edged/spool/objects/0/1.obj") {
			t.Errorf("after the %s an image is gone", when)
		}
	}
	kept("upgrade")
	m.dpkg("--remove", "edged")
	kept("remove")
	if m.has("usr/bin/edged") || m.has("lib/systemd/system/edged.service") {
		t.Error("after the remove the program or its unit is there")
	}
	m.dpkg("-i", packed(t, "v1.1"))
	kept("second install")
}

// A purge takes the configuration. It takes data only where no image is in them, or where
// they were retired; it asks nothing, and says what stays and why.
func TestAPurgeNeverTakesAnImage(t *testing.T) {
	const object, aside, key, retired, audit = "spool/objects/0/1.obj", "spool/quarantine/1.obj", "keys/file.key", "retired", "audit/log"
	for name, c := range map[string]struct{ there, stay []string }{
		"an image":                   {[]string{object, key, audit}, []string{object, key, audit}},
		"one that was set aside":     {[]string{aside, key}, []string{aside, key}},
		"no image":                   {[]string{key, "spool/journal/1.log"}, nil},
		"no image, an audit log":     {[]string{key, audit, "ledger.json"}, []string{key, audit}},
		"retired":                    {[]string{object, retired}, nil},
		"retired, an audit log":      {[]string{object, retired, audit}, []string{audit}},
		"a retirement that was cut":  {[]string{object, retired, key}, []string{object, retired, key}},
		"nothing, not even a folder": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.dpkg("-i", packed(t, "v1.0"))
			m.write("etc/systemd/system/edged.service.d/edged-yaml.conf", "[Service]\n")
			for _, f := range c.there {
				m.write("var/lib/edged/"+f, "x")
			}
			said := m.dpkg("--purge", "edged")
			for _, f := range []string{"etc/edged", "usr/bin/edged", "etc/systemd/system/edged.service.d"} {
				if m.has(f) {
					t.Errorf("%s is there", f)
				}
			}
			for _, f := range c.there {
				want := false
				for _, s := range c.stay {
					want = want || s == f
				}
				if m.has("var/lib/edged/"+f) != want {
					t.Errorf("%s stays: %v, want %v", f, !want, want)
				}
			}
			if m.has("var/lib/edged") != (len(c.stay) > 0) {
				t.Error("the folder itself is wrong")
			}
			if len(c.stay) > 0 != strings.Contains(said, "edged: ") {
				t.Errorf("it says %s", said)
			}
		})
	}
}

// Releases are newer than what came before them, and what comes after them is newer.
func TestVersionsAreInOrder(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not installed")
	}
	order := []string{"f83c41f-dirty", "v0.1", "v0.1-2-gabcdef0", "v0.1-10-gabcdef0", "v0.1.1", "v1.0"}
	for i := range order[1:] {
		a, b := debianVersion(order[i]), debianVersion(order[i+1])
		if err := exec.Command("dpkg", "--compare-versions", a, "lt", b).Run(); err != nil {
			t.Errorf("%s is not before %s", a, b)
		}
	}
	for _, v := range append(order, "dev", "1234567", "", "v1.0-dirty") {
		if out, err := exec.Command("dpkg", "--validate-version", debianVersion(v)).CombinedOutput(); err != nil {
			t.Errorf("%q: %s", v, out)
		}
	}
}
