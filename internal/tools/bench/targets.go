package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"edged/internal/tools/lab"
)

// target is a Storage SCP that can be started on an empty folder.
type target struct {
	name    string
	program string // that must be installed
	start   func(ctx context.Context, l *lab.Lab, dir string, associations int) (*service, error)
}

// missing says that it cannot be measured on this machine.
func (t target) missing() bool {
	_, err := exec.LookPath(t.program)
	return t.program != "" && err != nil
}

// service is a target that runs.
type service struct {
	*lab.Process
	address, aet string
	count        func(ctx context.Context) (int, error) // objects it has
}

// fast is how DCMTK is asked to set TCP_NODELAY: Debian's build does not by
// itself, and pays 40 ms of delayed acknowledgement for each object.
var (
	fast = []string{"TCP_NODELAY=1"}
	slow = []string{"TCP_NODELAY=0"}
)

var (
	edgedTarget    = target{"edged", "", startEdgedAlone}
	storescpTarget = target{"storescp", "storescp", storescpWith(fast)}
	storescpPlain  = target{"storescp as installed", "storescp", storescpWith(slow)}
	orthancTarget  = target{"Orthanc", "Orthanc", startOrthanc}
)

// storescpWith streams what comes into files and never flushes. It takes several
// associations at once only when it forks.
func storescpWith(env []string) func(context.Context, *lab.Lab, string, int) (*service, error) {
	return func(ctx context.Context, l *lab.Lab, dir string, associations int) (*service, error) {
		address, err := lab.FreeAddress()
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(address)
		args := []string{"--output-directory", dir, "--bit-preserving", "--promiscuous", "--accept-all", "--max-pdu", "131072", port}
		if associations > 1 {
			args = append([]string{"--fork"}, args...)
		}
		p, err := l.Start(ctx, "storescp", env, nil, "storescp", args...)
		if err != nil {
			return nil, err
		}
		s := &service{Process: p, address: address, aet: "STORESCP", count: func(context.Context) (int, error) {
			entries, err := os.ReadDir(dir)
			return len(entries), err
		}}
		return s, s.listens(ctx)
	}
}

// startEdgedAlone is edged with durable answers and no hub.
func startEdgedAlone(ctx context.Context, l *lab.Lab, dir string, _ int) (*service, error) {
	at, err := lab.FreePlace()
	if err != nil {
		return nil, err
	}
	a, err := lab.NewAppliance(dir, at, lab.HubsYAML(""))
	if err != nil {
		return nil, err
	}
	if err := a.Start(ctx, l); err != nil {
		return nil, err
	}
	return &service{Process: a.Process, address: a.Address, aet: "EDGED", count: func(ctx context.Context) (int, error) {
		s, err := a.State(ctx)
		return int(s.Counters.Received), err
	}}, nil
}

// listens waits until the port is open.
func (s *service) listens(ctx context.Context) error {
	err := lab.Await(ctx, 20*time.Second, s.Name+" to listen", func() bool {
		c, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, s.Said())
	}
	return nil
}

// startOrthanc has Orthanc's defaults, which flush files, and the larger PDU.
func startOrthanc(ctx context.Context, l *lab.Lab, dir string, _ int) (*service, error) {
	dicom, err := lab.FreeAddress()
	if err != nil {
		return nil, err
	}
	page, err := lab.FreeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(l.Dir, "orthanc.json")
	if err := os.WriteFile(config, orthancConfig(dir, dicom, page), 0o600); err != nil {
		return nil, err
	}
	p, err := l.Start(ctx, "orthanc", fast, nil, "Orthanc", config)
	if err != nil {
		return nil, err
	}
	s := &service{Process: p, address: dicom, aet: "ORTHANC", count: func(ctx context.Context) (int, error) {
		var stats struct{ CountInstances int }
		err := lab.Fetch(ctx, nil, "http://"+page+"/statistics", &stats)
		return stats.CountInstances, err
	}}
	err = lab.Await(ctx, 20*time.Second, "Orthanc to answer", func() bool { _, err := s.count(ctx); return err == nil })
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, s.Said())
	}
	return s, s.listens(ctx)
}

func orthancConfig(dir, dicom, page string) []byte {
	_, dicomPort, _ := net.SplitHostPort(dicom)
	_, pagePort, _ := net.SplitHostPort(page)
	b, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"StorageDirectory": dir, "IndexDirectory": dir, "Plugins": []string{},
		"DicomPort": json.Number(dicomPort), "HttpPort": json.Number(pagePort),
		"UnknownSopClassAccepted": true, "MaximumPduLength": 131072, "DicomThreadsCount": 8,
	})
	return b
}

// spec is what modsim calls n objects of 512 KiB.
func spec(n int) string { return fmt.Sprintf("bench:%dx512KiB", n) }

const objectBytes = 512 << 10
