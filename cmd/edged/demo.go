package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"edged/agent/enrol"
	"edged/internal/identity"
)

// demoCmd shows the whole way on one machine: a hub, an appliance and a
// modality as processes of their own, real TCP and QUIC between them.
type demoCmd struct {
	Dir     string        `help:"Where everything lies. Default: a new folder for temporary files." type:"path"`
	Once    bool          `help:"End when all is archived, with one JSON object as the last line."`
	Seed    uint64        `help:"The studies are made from this number." default:"1"`
	Profile string        `help:"What the modality sends, see modsim." default:"demo"`
	KillHub bool          `help:"Kill the hub (SIGKILL) when a third has arrived there, to see it come back."`
	Within  time.Duration `help:"Give up when not all is archived after this long." default:"5m"`
}

// demo is one run of the command.
type demo struct {
	demoCmd
	hub, appliance     *child
	hubAddress, dicom  string
	page, console      string
	self, hubd, modsim string
	journeys           []*journey
	byID               map[string]*journey
	table              *table
	hubKilled          bool
}

// outcome is the last line of `demo --once`.
type outcome struct {
	Sent      int     `json:"sent"`
	Archived  int     `json:"archived"`
	Identical int     `json:"identical"`
	Seconds   float64 `json:"seconds"`
}

func (o outcome) complete() bool { return o.Sent > 0 && o.Sent == o.Archived && o.Sent == o.Identical }

func (c *demoCmd) Run(p *process) error {
	d := &demo{demoCmd: *c, byID: make(map[string]*journey)}
	if err := d.prepare(p); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	g := newGroup(p.ctx)
	var result outcome
	g.Go(func(ctx context.Context) error {
		err := d.play(ctx, g, &result)
		if err == nil {
			err = errStopped
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("demo: %w; what the programs said is in %s", err, filepath.Join(d.Dir, "*.log"))
	}
	return d.finish(result)
}

// finish prints the last line and makes it the exit code.
func (d *demo) finish(o outcome) error {
	if d.Once {
		b, _ := json.Marshal(o) // numbers always marshal
		fmt.Println(string(b))
	}
	if !o.complete() {
		return fmt.Errorf("demo: of %d sent %d are archived and %d identical; see %s", o.Sent, o.Archived, o.Identical, d.Dir)
	}
	return nil
}

// prepare finds the programs, free ports and writes both configurations.
func (d *demo) prepare(p *process) (err error) {
	for name, path := range map[string]*string{"hubd": &d.hubd, "modsim": &d.modsim} {
		if *path, err = program(name); err != nil {
			return err
		}
	}
	if d.self, err = os.Executable(); err != nil {
		return err
	}
	if d.Dir == "" {
		if d.Dir, err = os.MkdirTemp("", "edged-demo-"); err != nil {
			return err
		}
	}
	if err = os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	d.hubAddress, d.dicom = freeAddress(8443), freeAddress(11112)
	d.page, d.console = freeAddress(8080), freeAddress(8081)
	d.table = &table{out: os.Stdout, terminal: isTerminal(os.Stdout)}
	return d.configure()
}

func (d *demo) configure() error {
	hub := fmt.Sprintf("data_dir: %s\nlisten: %q\nconsole: {listen: %q}\ndestinations:\n  - {name: vna, type: dir, confirm: dir, path: %s, create: true}\nreserve_bytes: 64MiB\n",
		quote(d.path("hub")), d.hubAddress, d.console, quote(d.path("archive")))
	edged := fmt.Sprintf("data_dir: %s\nfacility: {code: DEMO, name: Demonstration}\ndicom: {listen: %q, accept_unknown: true}\n"+
		"spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}\nuplink: {hubs: [%q]}\npage: {listen: %q}\ndiscovery: {enabled: false}\n",
		quote(d.path("edge")), d.dicom, d.hubAddress, d.page)
	if err := os.WriteFile(d.path("hubd.yaml"), []byte(hub), 0o600); err != nil {
		return err
	}
	return os.WriteFile(d.path("edged.yaml"), []byte(edged), 0o600)
}

func (d *demo) path(name string) string { return filepath.Join(d.Dir, name) }

func quote(s string) string { b, _ := json.Marshal(s); return string(b) }

// freeAddress is the usual port on loopback if nobody has it, else another.
// Both TCP and UDP must be free.
func freeAddress(port int) string {
	for _, p := range []int{port, 0, 0, 0} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		defer l.Close()
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			continue
		}
		u.Close()
		return l.Addr().String()
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// play is the demonstration from the first process to the last comparison.
func (d *demo) play(ctx context.Context, g *group, result *outcome) error {
	began := time.Now()
	d.say("hub, appliance, modality and archive on this machine, below %s", d.Dir)
	if err := d.startHub(ctx, g); err != nil {
		return err
	}
	if err := d.startAppliance(ctx, g); err != nil {
		return err
	}
	if err := d.watch(ctx, began); err != nil {
		return err
	}
	o, err := d.compare()
	if err != nil {
		return err
	}
	o.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	*result = o
	d.summary(o)
	if d.Once {
		return nil
	}
	<-ctx.Done()
	return nil
}

func (d *demo) say(format string, args ...any) {
	d.table.erase()
	fmt.Printf(format+"\n", args...)
}

func (d *demo) restarted(name string, err error) {
	fmt.Fprintf(os.Stderr, "%s ended (%v) and is started again\n", name, err)
}

// startHub starts hubd. In a folder of an earlier run the appliance is enrolled
// already; else the hub is asked for a claim code.
func (d *demo) startHub(ctx context.Context, g *group) error {
	known, err := d.enrolled()
	if err != nil {
		return err
	}
	d.hub = &child{path: d.hubd, args: []string{"run", "-c", d.path("hubd.yaml")}, output: d.path("hubd.log"), told: d.restarted}
	g.Go(d.hub.run)
	if known {
		d.say("hub      %s   the appliance is enrolled already", d.hubAddress)
		return nil
	}
	code, err := d.command(ctx, d.hubd, "code", "new", "--facility", "DEMO", "-c", d.path("hubd.yaml"))
	if err != nil {
		return err
	}
	fields := strings.Fields(code)
	if len(fields) == 0 {
		return errors.New("hubd gave no claim code")
	}
	d.say("hub      %s   claim code %s", d.hubAddress, fields[0])
	return d.enroll(ctx, fields[0])
}

// enrolled says whether the appliance has an identity from the hub beside it.
func (d *demo) enrolled() (bool, error) {
	own, err := identity.LoadBundle(filepath.Join(d.path("edge"), identityDir, enrol.File))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	hub, err := identity.LoadBundle(filepath.Join(d.path("hub"), "ca", "ca.pem"))
	if err != nil || !hub.Cert.Equal(own.CA) {
		return false, fmt.Errorf("the appliance in %s is enrolled at another hub than the one beside it: take another --dir", d.Dir)
	}
	return true, nil
}

// enroll waits for the hub: it has just been started.
func (d *demo) enroll(ctx context.Context, code string) (err error) {
	for range 50 {
		if _, err = d.command(ctx, d.self, "enroll", "-c", d.path("edged.yaml"), "--hub", d.hubAddress, "--code", code); err == nil {
			return nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
	return err
}

// command runs a program to its end and gives what it printed.
func (d *demo) command(ctx context.Context, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := tame(exec.CommandContext(ctx, path, args...))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(path), args[0], err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}

func (d *demo) startAppliance(ctx context.Context, g *group) error {
	d.appliance = &child{path: d.self, args: []string{"run", "-c", d.path("edged.yaml")}, output: d.path("edged.log"), told: d.restarted}
	g.Go(d.appliance.run)
	c := d.control()
	for range 100 {
		if s, err := c.status(ctx); err == nil && s.DICOM.Ready {
			d.say("edged    %s   AE title EDGED, page http://%s/", d.dicom, d.page)
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return errors.New("edged did not become ready within 10 s")
}

// control is a new connection to the appliance, which may have been restarted.
func (d *demo) control() *client { return newClient(filepath.Join(d.path("edge"), controlSocket)) }

// pause waits, and says whether the context still lives.
func pause(ctx context.Context, t time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(t):
		return true
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// startModality starts modsim and returns what it prints, a line for each
// instance that was answered.
func (d *demo) startModality(ctx context.Context) (*exec.Cmd, io.Reader, error) {
	log, err := os.OpenFile(d.path("modsim.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd := tame(exec.CommandContext(ctx, d.modsim, "send", "--to", "EDGED@"+d.dicom, "--seed", fmt.Sprint(d.Seed),
		"--profile", d.Profile, "--keep", d.path("sent"), "--json"))
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, out, cmd.Start()
}
