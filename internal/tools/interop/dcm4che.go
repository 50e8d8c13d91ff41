package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// dcm4che has tools for every service, but its makers publish them in a repository
// of their own, not at Maven Central. Each run asks again.
var dcm4che = &peer{name: "dcm4che", title: "DCM4CHE", from: "Maven: org.dcm4che.tool",
	ready: func(ctx context.Context, l *lab) (string, error) {
		if _, err := exec.LookPath("mvn"); err != nil {
			return "", fmt.Errorf("mvn: %w", errNotInstalled)
		}
		if !l.install {
			return "", errNotInstalled
		}
		if _, err := l.call(ctx, "mvn", "-B", "-q", "dependency:get", "-Dtransitive=false", "-Dartifact=org.dcm4che.tool:dcm4che-tool-storescu:5.34.1"); err != nil {
			return "", errors.New("no org.dcm4che.tool:dcm4che-tool-storescu came from Maven Central; its makers have a repository of their own")
		}
		return "", errors.New("it can be had, but there is no driver for it here yet")
	},
	checks: func(context.Context, *lab) ([]check, func(), error) {
		return nil, nil, errors.New("there is no driver for it here yet")
	},
}
