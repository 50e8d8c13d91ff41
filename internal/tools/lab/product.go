package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Place is where a program of the product runs, and where it listens.
type Place struct {
	Prefix  []string     // put before the command line, as for another network namespace
	Client  *http.Client // that reaches the page; nil: the default one
	Address string       // of the program's first port: DICOM of edged, the uplink of hubd
	Page    string       // of the page or the console
}

// FreePlace is one on loopback.
func FreePlace() (p Place, err error) {
	if p.Address, err = FreeAddress(); err == nil {
		p.Page, err = FreeAddress()
	}
	return p, err
}

// Appliance is an edged with its data below a folder.
type Appliance struct {
	*Process
	Place
	Dir, Config string
	Devices     string // YAML of dicom.devices, for Configure. If empty, none.
}

// State is what tools read of /api/v1/status.
type State struct {
	Counters struct {
		Received int64 `json:"received"`
		AtHub    int64 `json:"at_hub"`
	} `json:"counters"`
	Uplink struct {
		Connected bool   `json:"connected"`
		Transport string `json:"transport"`
		Lanes     int    `json:"lanes"`
	} `json:"uplink"`
	DICOM struct {
		Ready bool `json:"ready"`
	} `json:"dicom"`
}

// NewAppliance writes the configuration below dir. Uplink is the YAML of that key.
func NewAppliance(dir string, at Place, uplink string) (*Appliance, error) {
	a := &Appliance{Place: at, Dir: dir, Config: filepath.Join(dir, "edged.yaml")}
	return a, a.Configure(uplink)
}

// Configure writes the configuration anew, for the next start.
func (a *Appliance) Configure(uplink string) error {
	text := fmt.Sprintf("data_dir: %s\ndicom: {listen: %q, accept_unknown: true, ae_titles: [{title: URGENT, priority: urgent}], devices: %s}\n"+
		"spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}\nuplink: %s\npage: {listen: %q}\n", Quote(filepath.Join(a.Dir, "edge")), a.Address, cmp.Or(a.Devices, "[]"), uplink, a.Page)
	return os.WriteFile(a.Config, []byte(text), 0o600)
}

// HubsYAML is the least that the key uplink needs; hub may be empty.
func HubsYAML(hub string) string {
	if hub == "" {
		return "{hubs: []}"
	}
	return "{hubs: [" + Quote(hub) + "]}"
}

// Start runs it, until it takes images.
func (a *Appliance) Start(ctx context.Context, l *Lab) (err error) {
	if a.Process, err = l.Start(ctx, "edged", nil, a.Prefix, l.Program("edged"), "run", "-c", a.Config); err != nil {
		return err
	}
	err = Await(ctx, time.Minute, "edged to be ready", func() bool {
		s, err := a.State(ctx)
		return err == nil && s.DICOM.Ready || Ended(a.Cmd)
	})
	if err == nil && Ended(a.Cmd) {
		err = errors.New("edged ended")
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, a.Said())
		a.Stop()
	}
	return err
}

// State asks the page.
func (a *Appliance) State(ctx context.Context) (s State, err error) {
	err = Fetch(ctx, a.Client, "http://"+a.Page+"/api/v1/status", &s)
	return s, err
}

// Hub is a hubd that keeps and has no destination: at_hub is the end of the way.
type Hub struct {
	*Process
	Place
	Config   string
	Facility string // of its claim codes. If empty, BENCH.
}

// NewHub writes the configuration below dir.
func NewHub(dir string, at Place) (*Hub, error) {
	h := &Hub{Place: at, Config: filepath.Join(dir, "hubd.yaml")}
	text := fmt.Sprintf("data_dir: %s\nlisten: %q\nconsole: {listen: %q}\n", Quote(filepath.Join(dir, "hub")), at.Address, at.Page)
	return h, os.WriteFile(h.Config, []byte(text), 0o600)
}

// Start runs it; it may not listen yet on return.
func (h *Hub) Start(ctx context.Context, l *Lab) (err error) {
	h.Process, err = l.Start(ctx, "hubd", nil, h.Prefix, l.Program("hubd"), "run", "-c", h.Config)
	return err
}

// Enrol gives the appliance its certificate; the hub must be starting or run.
func Enrol(ctx context.Context, l *Lab, h *Hub, a *Appliance) error {
	said, err := Call(ctx, h.Prefix, l.Program("hubd"), "code", "new", "--facility", cmp.Or(h.Facility, "BENCH"), "-c", h.Config)
	if err != nil {
		return err
	}
	code := strings.Fields(said)
	if len(code) == 0 {
		return fmt.Errorf("hubd gave no claim code")
	}
	var last error
	err = Await(ctx, time.Minute, "the hub to enrol", func() bool {
		_, last = Call(ctx, a.Prefix, l.Program("edged"), "enroll", "-c", a.Config, "--hub", h.Address, "--code", code[0])
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %v: %s", err, last, h.Said())
	}
	return nil
}

// NewPair starts a hub on loopback and enrols an appliance that is not started yet.
func NewPair(ctx context.Context, l *Lab, dir string) (*Hub, *Appliance, error) {
	there, err := FreePlace()
	if err != nil {
		return nil, nil, err
	}
	h, err := NewHub(dir, there)
	if err != nil {
		return nil, nil, err
	}
	here, err := FreePlace()
	if err != nil {
		return nil, nil, err
	}
	a, err := NewAppliance(dir, here, HubsYAML(h.Address))
	if err != nil {
		return nil, nil, err
	}
	if err := h.Start(ctx, l); err != nil {
		return nil, nil, err
	}
	return h, a, Enrol(ctx, l, h, a)
}

// Fetch reads a JSON answer; a nil client is the default one.
func Fetch(ctx context.Context, client *http.Client, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// Quote makes a string one of YAML.
func Quote(s string) string { b, _ := json.Marshal(s); return string(b) }
