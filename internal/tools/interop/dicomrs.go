package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var dicomrs = &peer{name: "dicom-rs", title: "DICOMRS", from: "crates.io: dicom-echoscu, -storescu, -storescp, -findscu, -movescu",
	ready: func(ctx context.Context, l *lab) (string, error) {
		for _, name := range []string{"echoscu", "storescu", "storescp", "findscu", "movescu"} {
			if err := cargo(ctx, l, "dicom-"+name); err != nil {
				return "", err
			}
		}
		return versionsOf(ctx, l)
	},
	checks: dicomrsChecks,
}

func rust(l *lab, name string) string {
	return filepath.Join(l.cache, "dicom-rs", "bin", "dicom-"+name)
}

// cargo compiles a crate once, at low priority: it takes minutes.
func cargo(ctx context.Context, l *lab, crate string) error {
	if _, err := os.Stat(filepath.Join(l.cache, "dicom-rs", "bin", crate)); err == nil {
		return nil
	}
	if !l.install {
		return errNotInstalled
	}
	if _, err := exec.LookPath("cargo"); err != nil {
		return fmt.Errorf("cargo: %w", errNotInstalled)
	}
	if _, err := l.call(ctx, "nice", "-n", "15", "cargo", "install", "-q", "--root", filepath.Join(l.cache, "dicom-rs"), crate); err != nil {
		return fmt.Errorf("cargo could not install %s", crate)
	}
	return nil
}

func versionsOf(ctx context.Context, l *lab) (string, error) {
	said, err := l.call(ctx, "cargo", "install", "--list", "--root", filepath.Join(l.cache, "dicom-rs"))
	if err != nil {
		return "", err
	}
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^dicom-(\S+) v(\S+):`).FindAllStringSubmatch(said, -1) {
		all = append(all, m[1]+" "+m[2])
	}
	return strings.Join(all, ", "), nil
}

func dicomrsChecks(ctx context.Context, l *lab) (all []check, stop func(), err error) {
	call := func(ctx context.Context, name string, args ...string) error {
		_, err := l.call(ctx, rust(l, name), append(args, "--calling-ae-title", "DICOMRS", "--called-ae-title", ourTitle)...)
		return err
	}
	served, err := l.rustStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	all = []check{{echoIn, rowEcho, "dicom-rs", func(ctx context.Context) (string, error) { return "", call(ctx, "echoscu", l.edged.address()) }}}
	all = append(all, l.storeChecks(sender{"dicom-rs", func(ctx context.Context, port string, o object) error {
		return call(ctx, "storescu", "127.0.0.1:"+port, o.path, "--fail-first", "--never-transcode")
	}})...)
	all = append(all, l.queryChecks(l.rustQuerier(call))...)
	all = append(all, l.echoOut("dicom-rs", served.title, served.port))
	all = append(all, l.receiveChecks(served.receiver)...)
	return all, served.stop, nil
}

func (l *lab) rustStore(ctx context.Context) (*archive, error) {
	dir, err := l.folder("dicom-rs")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	run, err := l.start(ctx, "dicom-rs", rust(l, "storescp"), "-p", port, "-o", dir, "--promiscuous", "--calling-ae-title", "RUSTSCP")
	if err != nil {
		return nil, err
	}
	return &archive{receiver{"dicom-rs", "RUSTSCP", port, fileIn(dir), false}, run.stop}, run.listens(ctx, port)
}

func (l *lab) rustQuerier(call func(ctx context.Context, name string, args ...string) error) querier {
	keys := func(q question) (args []string) {
		args = []string{"--study"}
		if q.patientRoot {
			args = []string{"--patient"}
		}
		return append(args, keyed("-q", q.keys)...)
	}
	return querier{name: "dicom-rs", title: "DICOMRS", own: true,
		find: func(ctx context.Context, port string, q question) error {
			return call(ctx, "findscu", append([]string{"127.0.0.1:" + port}, keys(q)...)...)
		},
		move: func(ctx context.Context, port string, q question) error {
			return call(ctx, "movescu", append([]string{"127.0.0.1:" + port, "-p", q.listen, "-o", l.dir, "--move-destination", q.destination}, keys(q)...)...)
		},
	}
}
