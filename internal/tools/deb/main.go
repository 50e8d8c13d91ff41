// Deb makes the Debian package of the appliance, `make deb`. It needs dpkg-deb. The same
// tree gives the same bytes: times are SOURCE_DATE_EPOCH, or else that of the last commit,
// owners are root, names are sorted.
//
// It promises that the package never takes an image away: what its scripts do at a purge
// stands in debian/postrm. It deliberately signs nothing and puts nothing anywhere.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	p := pack{source: "."}
	flag.StringVar(&p.version, "version", "", "what edged calls itself; it becomes the package's version")
	flag.StringVar(&p.program, "program", "bin/edged", "the program")
	flag.StringVar(&p.arch, "arch", "", "Debian's name of the architecture; empty: this one")
	flag.StringVar(&p.out, "out", "bin", "folder for the package")
	flag.Parse()
	name, err := p.make()
	if err != nil {
		fmt.Fprintln(os.Stderr, "deb:", err)
		os.Exit(1)
	}
	fmt.Println(name)
}

// pack is one package.
type pack struct {
	source  string // the repository
	version string
	program string
	arch    string
	out     string
}

func (p *pack) make() (string, error) {
	if err := p.complete(); err != nil {
		return "", err
	}
	when, err := p.time()
	if err != nil {
		return "", err
	}
	stage, err := os.MkdirTemp("", "edged-deb-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(stage)
	if err := p.stage(stage, when); err != nil {
		return "", err
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(p.out, fmt.Sprintf("edged_%s_%s.deb", p.version, p.arch))
	cmd := exec.Command("dpkg-deb", "--root-owner-group", "-Zxz", "--build", stage, name)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(when.Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("dpkg-deb: %w: %s", err, out)
	}
	return name, nil
}

func (p *pack) complete() error {
	if p.arch == "" {
		out, err := exec.Command("dpkg", "--print-architecture").Output()
		if err != nil {
			return fmt.Errorf("dpkg: %w", err)
		}
		p.arch = strings.TrimSpace(string(out))
	}
	p.version = debianVersion(p.version)
	return nil
}

var described = regexp.MustCompile(`^v?([0-9][0-9.]*)(?:-([0-9]+)-g([0-9a-f]+))?(-dirty)?$`)

// debianVersion makes one (deb-version(7)) of what git describe says: v1.2.3 is 1.2.3,
// what comes 4 commits later is 1.2.3+4.abc, and what has no release before it is older
// than every release.
func debianVersion(v string) string {
	dirty := ""
	m := described.FindStringSubmatch(v)
	if m == nil || !strings.Contains(m[1], ".") {
		if cut, was := strings.CutSuffix(v, "-dirty"); was {
			v, dirty = cut, "+dirty"
		}
		return "0~" + regexp.MustCompile(`[^A-Za-z0-9.+~]+`).ReplaceAllString("git."+v, ".") + dirty
	}
	if m[4] != "" {
		dirty = "+dirty"
	}
	if m[2] == "" {
		return m[1] + dirty
	}
	return m[1] + "+" + m[2] + "." + m[3] + dirty
}

// time is what every file of the package has.
func (p *pack) time() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.Command("git", "-C", p.source, "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("set SOURCE_DATE_EPOCH, git does not know the time: %w", err)
		}
		text = strings.TrimSpace(string(out))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(n, 0).UTC(), nil
}
