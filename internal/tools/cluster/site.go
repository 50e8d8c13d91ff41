package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edged/internal/archivelab"
	"edged/internal/pglab"
	"edged/internal/s3lab"
	"edged/internal/tools/lab"
)

// site is everything that runs.
type site struct {
	o       options
	lab     *lab.Lab
	rows    *pglab.Server
	bytes   *s3lab.Bucket
	url     string // of the database
	archive *archivelab.SCP
	vault   *archivelab.SCP     // commits itself to what it has
	orthanc *archivelab.Orthanc // nil: not installed, or not wanted
	dir     string              // the archive that is a directory
	told    *receiver           // of study events
	nodes   []*node
	sites   []*appliance
	random  *rand.Rand // of who is killed when

	sending sync.WaitGroup
	sent    *ledger
}

const nodes = 3

func newSite(ctx context.Context, o options) (s *site, err error) {
	s = &site{o: o, random: rand.New(rand.NewPCG(o.seed, 1)), sent: newLedger()}
	fmt.Printf("seed %d\n", o.seed)
	if s.lab, err = lab.New(o.dir, o.bin); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{s.startStorage, s.placeNodes, s.startArchives, s.startNodes, s.startAppliances} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%w\n%s", err, s.lastWords()), s.close())
		}
	}
	return s, nil
}

func (s *site) startStorage(context.Context) (err error) {
	if s.rows, err = pglab.Run(""); err != nil {
		return err
	}
	if s.url, err = s.rows.Create("hub"); err != nil {
		return err
	}
	dir := filepath.Join(s.lab.Dir, "s3")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if s.bytes, err = s3lab.Run(dir); err != nil {
		return err
	}
	keys := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s.bytes.AccessKey, s.bytes.SecretKey)
	return os.WriteFile(s.keys(), []byte(keys), 0o600)
}

func (s *site) keys() string { return filepath.Join(s.lab.Dir, "keys") }

// vaultTitle is what nodes call the archive that commits itself, and what it calls itself.
const vaultTitle = "VAULT"

// placeNodes finds where nodes listen, which an archive that reports has to know.
func (s *site) placeNodes(context.Context) (err error) {
	for i := range nodes {
		n := &node{name: fmt.Sprintf("node%d", i+1)}
		if n.Place, err = lab.FreePlace(); err != nil {
			return err
		}
		if n.door, err = lab.FreeAddress(); err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	return nil
}

func (s *site) startArchives(ctx context.Context) (err error) {
	s.dir = filepath.Join(s.lab.Dir, "archive")
	if s.archive, err = archivelab.RunSCP(archivelab.Config{}); err != nil {
		return err
	}
	s.lab.OnClose(s.archive.Close)
	c := archivelab.Config{Commitment: true, Title: vaultTitle}
	for _, n := range s.nodes {
		c.Doors = append(c.Doors, n.door)
	}
	if s.vault, err = archivelab.RunSCP(c); err != nil {
		return err
	}
	s.lab.OnClose(s.vault.Close)
	if s.told, err = newReceiver(s.vault.Said); err != nil {
		return err
	}
	s.lab.OnClose(s.told.close)
	if err := os.WriteFile(s.secret(), append(s.told.secret, '\n'), 0o600); err != nil {
		return err
	}
	if _, missing := exec.LookPath("Orthanc"); missing != nil || !s.o.orthanc {
		return nil
	}
	dir, err := s.lab.Folder(s.lab.Dir, "orthanc")
	if err != nil {
		return err
	}
	more := archivelab.Options{"DicomCheckModalityHost": false, "TranscodeDicomProtocol": false}
	if s.orthanc, err = archivelab.RunOrthanc(ctx, dir, "ORTHANC", nil, more); err != nil {
		return err
	}
	s.lab.OnClose(s.orthanc.Close)
	return nil
}

// secret is the file with what signs study events.
func (s *site) secret() string { return filepath.Join(s.lab.Dir, "secret") }

// destinations of every node, all required, and who is told of studies.
func (s *site) destinations() string {
	text := fmt.Sprintf("events: {when: archived, sinks: [{name: told, type: http, url: %q, secret_file: %s}]}\n", s.told.url, lab.Quote(s.secret()))
	text += fmt.Sprintf("destinations:\n- {name: scp, type: cstore, address: %q, ae_title: SCP, confirm: success, associations: 2}\n- {name: dir, type: dir, path: %s, create: true}\n",
		s.archive.Address, lab.Quote(s.dir))
	text += fmt.Sprintf("- {name: vault, type: cstore, address: %q, ae_title: %s, confirm: commitment, associations: 2}\n", s.vault.Address, vaultTitle)
	if s.orthanc != nil {
		text += fmt.Sprintf("- {name: orthanc, type: cstore, address: %q, ae_title: ORTHANC, confirm: success, associations: 2}\n", s.orthanc.Address)
	}
	return text
}

// node is one hubd, on the same ports each time.
type node struct {
	*lab.Process
	lab.Place
	name, config string
	door         string // for an archive that reports
}

func (s *site) startNodes(ctx context.Context) error {
	for _, n := range s.nodes {
		n.config = filepath.Join(s.lab.Dir, n.name+".yaml")
		text := fmt.Sprintf("node: %s\ndata_dir: %s\nca_dir: %s\nlisten: %q\nconsole: {listen: %q}\ndatabase: %s\nobjects: %s\nobjects_credentials: %s\nreserve_bytes: 64MiB\ndicom: {listen: %q}\n", n.name,
			lab.Quote(filepath.Join(s.lab.Dir, n.name)), lab.Quote(filepath.Join(s.lab.Dir, "ca")), n.Address, n.Page, lab.Quote(s.url), lab.Quote(s.bytes.URL()), lab.Quote(s.keys()), n.door)
		if err := os.WriteFile(n.config, []byte(text+s.destinations()), 0o600); err != nil {
			return err
		}
		if err := s.start(ctx, n); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if err := s.ready(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) start(ctx context.Context, n *node) (err error) {
	n.Process, err = s.lab.Start(ctx, n.name, nil, nil, s.lab.Program("hubd"), "run", "-c", n.config)
	return err
}

// ready waits until a node says so, and starts it again where it has ended: without its
// database it does, and a service manager does what is done here.
func (s *site) ready(ctx context.Context, n *node) error {
	for try := 0; ; try++ {
		err := lab.Await(ctx, 45*time.Second, n.name+" to be ready", func() bool { return n.isReady(ctx) || lab.Ended(n.Cmd) })
		if err != nil || !lab.Ended(n.Cmd) {
			return err
		}
		said := n.Said()
		n.Stop()
		if try == 20 {
			return fmt.Errorf("%s ends again and again: %s", n.name, said)
		}
		time.Sleep(500 * time.Millisecond)
		if err := s.start(ctx, n); err != nil {
			return err
		}
	}
}

// kill is the end of a machine.
func (n *node) kill() {
	n.Cmd.Process.Kill()
	n.Stop()
}

// appliance is an edged that knows all nodes.
type appliance struct {
	*lab.Appliance
	number int
}

func (s *site) startAppliances(ctx context.Context) error {
	var hubs []string
	for _, n := range s.nodes {
		hubs = append(hubs, lab.Quote(n.Address))
	}
	for i := range s.o.appliances {
		at, err := lab.FreePlace()
		if err != nil {
			return err
		}
		dir := filepath.Join(s.lab.Dir, fmt.Sprintf("appliance%d", i+1))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		// Each has another node first; who enrols it is a third.
		order := append(append([]string{}, hubs[i%nodes:]...), hubs[:i%nodes]...)
		uplink := "{hubs: [" + strings.Join(order, ", ") + "]}"
		a, err := lab.NewAppliance(dir, at, uplink)
		if err != nil {
			return err
		}
		a.Devices = "[{ae_title: " + modalityTitle + ", quiet: 2s}]" // its studies are soon complete
		if err := a.Configure(uplink); err != nil {
			return err
		}
		by := s.nodes[(i+1)%nodes]
		if err := lab.Enrol(ctx, s.lab, &lab.Hub{Process: by.Process, Place: by.Place, Config: by.config}, a); err != nil {
			return err
		}
		if err := a.Start(ctx, s.lab); err != nil {
			return err
		}
		s.sites = append(s.sites, &appliance{a, i})
	}
	return nil
}

// lastWords are for somebody who looks for what went wrong.
func (s *site) lastWords() string {
	var b strings.Builder
	for _, n := range s.nodes {
		if n.Process != nil {
			fmt.Fprintf(&b, "--- %s said last:\n%s\n", n.name, n.Said())
		}
	}
	for _, a := range s.sites {
		fmt.Fprintf(&b, "--- appliance %d said last:\n%s\n", a.number+1, a.Said())
	}
	return b.String()
}

func (s *site) close() error {
	if s.bytes != nil {
		s.lab.OnClose(s.bytes.Close)
	}
	if s.rows != nil {
		s.lab.OnClose(s.rows.Close)
	}
	return s.lab.Close()
}
