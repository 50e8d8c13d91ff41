package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// appliance is an edged with its data below dir.
type appliance struct {
	*process
	dir, config string
	dicom, page string
}

// state is what bench reads of /api/v1/status.
type state struct {
	Counters struct {
		Received int64 `json:"received"`
		AtHub    int64 `json:"at_hub"`
	} `json:"counters"`
	Uplink struct {
		Connected bool `json:"connected"`
	} `json:"uplink"`
	DICOM struct {
		Ready bool `json:"ready"`
	} `json:"dicom"`
}

// newAppliance writes the configuration; hub may be empty.
func newAppliance(dir, hub string) (*appliance, error) {
	a := &appliance{dir: dir, config: filepath.Join(dir, "edged.yaml")}
	var err error
	if a.dicom, err = freeAddress(); err != nil {
		return nil, err
	}
	if a.page, err = freeAddress(); err != nil {
		return nil, err
	}
	hubs := ""
	if hub != "" {
		hubs = quote(hub)
	}
	text := fmt.Sprintf("data_dir: %s\ndicom: {listen: %q, accept_unknown: true}\nspool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}\n"+
		"uplink: {hubs: [%s]}\npage: {listen: %q}\n", quote(filepath.Join(dir, "edge")), a.dicom, hubs, a.page)
	return a, os.WriteFile(a.config, []byte(text), 0o600)
}

func (a *appliance) start(ctx context.Context, l *lab) (err error) {
	if a.process, err = l.start(ctx, "edged", nil, l.program("edged"), "run", "-c", a.config); err != nil {
		return err
	}
	err = await(ctx, 20*time.Second, "edged to be ready", func() bool { s, err := a.state(ctx); return err == nil && s.DICOM.Ready })
	if err != nil {
		return fmt.Errorf("%w: %s", err, a.said())
	}
	return nil
}

func (a *appliance) state(ctx context.Context) (s state, err error) {
	err = fetch(ctx, "http://"+a.page+"/api/v1/status", &s)
	return s, err
}

// startEdgedAlone is edged with durable answers and no hub.
func startEdgedAlone(ctx context.Context, l *lab, dir string, _ int) (*service, error) {
	a, err := newAppliance(dir, "")
	if err != nil {
		return nil, err
	}
	if err := a.start(ctx, l); err != nil {
		return nil, err
	}
	return &service{process: a.process, address: a.dicom, aet: "EDGED", count: func(ctx context.Context) (int, error) {
		s, err := a.state(ctx)
		return int(s.Counters.Received), err
	}}, nil
}

// hub is a hubd that keeps and has no destination: at_hub is the end of the way.
type hub struct {
	*process
	config, address string
}

func newHub(dir string) (*hub, error) {
	h := &hub{config: filepath.Join(dir, "hubd.yaml")}
	var err error
	if h.address, err = freeAddress(); err != nil {
		return nil, err
	}
	console, err := freeAddress()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("data_dir: %s\nlisten: %q\nconsole: {listen: %q}\n", quote(filepath.Join(dir, "hub")), h.address, console)
	return h, os.WriteFile(h.config, []byte(text), 0o600)
}

func (h *hub) start(ctx context.Context, l *lab) (err error) {
	h.process, err = l.start(ctx, "hubd", nil, l.program("hubd"), "run", "-c", h.config)
	return err
}

// enrol gives the appliance its certificate; the hub must be starting or run.
func enrol(ctx context.Context, l *lab, h *hub, a *appliance) error {
	said, err := call(ctx, l.program("hubd"), "code", "new", "--facility", "BENCH", "-c", h.config)
	if err != nil {
		return err
	}
	code := strings.Fields(said)
	if len(code) == 0 {
		return fmt.Errorf("hubd gave no claim code")
	}
	var last error
	err = await(ctx, 30*time.Second, "the hub to enrol", func() bool {
		_, last = call(ctx, l.program("edged"), "enroll", "-c", a.config, "--hub", h.address, "--code", code[0])
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %v: %s", err, last, h.said())
	}
	return nil
}

// pair starts a hub and enrols an appliance that is not started yet.
func pair(ctx context.Context, l *lab, dir string) (*hub, *appliance, error) {
	h, err := newHub(dir)
	if err != nil {
		return nil, nil, err
	}
	a, err := newAppliance(dir, h.address)
	if err != nil {
		return nil, nil, err
	}
	if err := h.start(ctx, l); err != nil {
		return nil, nil, err
	}
	return h, a, enrol(ctx, l, h, a)
}
