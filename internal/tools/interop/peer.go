package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
)

// peer is a product of others.
type peer struct {
	name, title string // of the page; AE title
	from        string // where it comes from
	required    bool
	// ready fetches it if it may and says which version there is; the error is the
	// reason why it is not run.
	ready func(ctx context.Context, l *lab) (version string, err error)
	// checks starts what the peer needs and says what is to be tried.
	checks func(ctx context.Context, l *lab) (all []check, stop func(), err error)
}

// peers in the order of the page. Each has its file.
var peers []*peer

func init() {
	peers = []*peer{dcmtk, orthanc, pynetdicom, dcm4che, gdcm, dcmjs, dicomrs, odil}
}

// debian installs a package when its program is missing.
func debian(ctx context.Context, l *lab, program, pkg string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	if l.install {
		l.call(ctx, "apt-get", "-qq", "update") // without it the lists may do
		if _, err := l.call(ctx, "apt-get", "-qq", "install", "-y", "--no-install-recommends", pkg); err != nil {
			return fmt.Errorf("apt-get could not install %s", pkg)
		}
		return nil
	}
	return fmt.Errorf("%s (Debian: %s): %w", program, pkg, errNotInstalled)
}

// versionIn runs a program and finds the version in what it says.
func versionIn(ctx context.Context, l *lab, pattern, program string, args ...string) (string, error) {
	said, err := l.call(ctx, program, args...)
	found := regexp.MustCompile(pattern).FindStringSubmatch(said)
	if found == nil {
		return "", fmt.Errorf("%s says no version: %w", program, err)
	}
	return found[1], nil
}
