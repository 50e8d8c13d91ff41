package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// dcm4che has tools for every service, but its makers publish them in a repository
// of their own, https://www.dcm4che.org/maven2, not at Maven Central.
var dcm4che = &peer{name: "dcm4che", title: "DCM4CHE", from: "Maven: org.dcm4che.tool",
	ready: func(ctx context.Context, l *lab) (string, error) {
		if _, err := exec.LookPath("mvn"); err != nil {
			return "", fmt.Errorf("mvn: %w", errNotInstalled)
		}
		return "", errors.New("Maven Central has no artifact org.dcm4che.tool:dcm4che-tool-storescu; its makers' own repository is not one that this run asks")
	},
	checks: func(context.Context, *lab) ([]check, func(), error) {
		return nil, nil, errors.New("no driver")
	},
}
