package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"edged/internal/tools/lab"
)

// stage is a hub with a folder as its archive, and an appliance.
type stage struct {
	lab            *lab.Lab
	keep           bool
	hub            *lab.Hub
	edged          *lab.Appliance
	uplink         string          // address of the hub; "": there is none
	device, nobody string          // ports: one of a device that listens sometimes, one of nobody
	anonymous      string          // page.anonymous
	life           context.Context // of the processes: a scene's ends before
}

// The people of the page. Passwords are of this run only.
const (
	administrator, adminPassword = "ada.prova", "corretto-cavallo-batteria"
	technician, techPassword     = "tea.prova", "graffetta-lampada-viola"
	unlucky, unluckyPassword     = "ugo.prova", "tavolo-nuvola-marrone"
)

func newStage(ctx context.Context, o options) (*stage, error) {
	l, err := lab.New(os.TempDir(), o.bin)
	if err != nil {
		return nil, err
	}
	s := &stage{lab: l, keep: o.keep, anonymous: "state", life: ctx}
	there, err := lab.FreePlace()
	if err != nil {
		return nil, err
	}
	here, err := lab.FreePlace()
	if err != nil {
		return nil, err
	}
	s.hub = &lab.Hub{Place: there, Config: s.path("hubd.yaml"), Facility: "PROVA"}
	s.edged = &lab.Appliance{Place: here, Dir: l.Dir, Config: s.path("edged.yaml")}
	s.uplink = there.Address
	for _, port := range []*string{&s.device, &s.nobody} {
		if *port, err = freePort(); err != nil {
			return nil, err
		}
	}
	hub := fmt.Sprintf("data_dir: %s\nlisten: %q\nconsole: {listen: %q}\ndestinations: [{name: vna, type: dir, confirm: dir, path: %s, create: true}]\nreserve_bytes: 64MiB\n",
		lab.Quote(s.path("hub")), there.Address, there.Page, lab.Quote(s.path("archive")))
	return s, os.WriteFile(s.hub.Config, []byte(hub), 0o600)
}

func (s *stage) path(name string) string { return filepath.Join(s.lab.Dir, name) }

func (s *stage) base() string { return "http://" + s.edged.Page }

// configure writes edged.yaml. The devices are those of modsim; whoever else comes is
// a stranger. What is odd about made-up patients is no finding here.
func (s *stage) configure() error {
	text := fmt.Sprintf("data_dir: %s\nfacility: {code: PROVA, name: \"Radiologia – Ospedale di Prova\"}\ndicom:\n  listen: %q\n  devices:\n"+
		"    - {ae_title: SIMCT, name: \"TC 1\", address: 127.0.0.1, port: %s, quiet: 2s}\n    - {ae_title: SIMMR, name: \"RM 1\", address: 127.0.0.1, port: %s, quiet: 2s}\n"+
		"    - {ae_title: SIMUS, name: \"Ecografo 2\", quiet: 2s}\n    - {ae_title: SIMMG, name: Mammografo, quiet: 2s}\n    - {ae_title: SIMOT, quiet: 2s}\n    - {ae_title: SIMSR, quiet: 2s}\n"+
		"quality: {facility_names: [OSPEDALE DI PROVA], actions: [{finding: patient.test, level: \"off\"}, {finding: date.far, level: \"off\"}, {finding: clock.drift, level: \"off\"}]}\n"+
		"spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}\nuplink: %s\npage: {listen: %q, anonymous: %s}\n",
		lab.Quote(s.path("edge")), s.edged.Address, s.device, s.nobody, lab.HubsYAML(s.uplink), s.edged.Page, s.anonymous)
	return os.WriteFile(s.edged.Config, []byte(text), 0o600)
}

// up starts both, enrolled.
func (s *stage) up(ctx context.Context) error {
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.startHub(); err != nil {
		return err
	}
	if err := lab.Enrol(ctx, s.lab, s.hub, s.edged); err != nil {
		return err
	}
	if err := s.people(ctx); err != nil {
		return err
	}
	return s.startEdged()
}

// people makes the accounts, as whoever installs the appliance does.
func (s *stage) people(ctx context.Context) error {
	if err := os.MkdirAll(s.path("edge"), 0o700); err != nil {
		return err
	}
	for _, a := range [][3]string{{administrator, adminPassword, "administrator"}, {technician, techPassword, "technician"}, {unlucky, unluckyPassword, "technician"}} {
		cmd := lab.Command(ctx, nil, nil, s.lab.Program("edged"), "account", "add", a[0], "--role", a[2], "--password-stdin", "-c", s.edged.Config)
		cmd.Stdin = strings.NewReader(a[1] + "\n")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("account %s: %w: %s", a[0], err, said)
		}
	}
	return nil
}

func (s *stage) startHub() error   { return s.hub.Start(s.life, s.lab) }
func (s *stage) startEdged() error { return s.edged.Start(s.life, s.lab) }

// restart starts edged anew, with the configuration as it is now.
func (s *stage) restart() error {
	s.edged.Stop()
	if err := s.configure(); err != nil {
		return err
	}
	return s.startEdged()
}

// command is one of edged, to its end.
func (s *stage) command(ctx context.Context, words ...string) (string, error) {
	return lab.Call(ctx, nil, s.lab.Program("edged"), append(slices.Clone(words), "-c", s.edged.Config)...)
}

// send has modsim send a profile, as the devices that are configured.
func (s *stage) send(ctx context.Context, seed int, profile string, more ...string) error {
	_, err := lab.Call(ctx, nil, s.lab.Program("modsim"), append([]string{"send", "--to", "EDGED@" + s.edged.Address, "--seed", fmt.Sprint(seed), "--profile", profile}, more...)...)
	return err
}

// freeze and thaw stop and continue the process of edged, which is alive then but
// says nothing.
func (s *stage) freeze() error { return s.edged.Cmd.Process.Signal(syscall.SIGSTOP) }
func (s *stage) thaw() error   { return s.edged.Cmd.Process.Signal(syscall.SIGCONT) }

func (s *stage) close() error {
	if s.keep {
		fmt.Println("what the programs said is in", s.lab.Dir)
		for _, p := range []*lab.Process{s.edged.Process, s.hub.Process} {
			if p != nil {
				p.Stop()
			}
		}
		return nil
	}
	if s.edged.Process != nil {
		s.thaw() // one that is stopped does not hear that it is to end; one that has ended does not care
	}
	return s.lab.Close()
}
