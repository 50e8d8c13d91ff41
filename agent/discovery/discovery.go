package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/grandcat/zeroconf"
)

// The types of services that there are.
const (
	DICOM    = "_dicom._tcp"     // PS3.15 §H.2
	DICOMTLS = "_dicom-tls._tcp" // the same
	HTTP     = "_http._tcp"
	HTTPS    = "_https._tcp"
)

// Service is one port that is announced.
type Service struct {
	Type    string
	Address netip.Addr // on which it listens; unspecified, or not valid: on all
	Port    int
	Text    []string // as AET=EDGED
}

// Config is what an Announcer needs to know.
type Config struct {
	// ID is a name of this appliance among hosts, see ID. Required.
	ID string
	// Instance is how people see it, see Instance. If empty, ID.
	Instance string
	// Services are announced; those on loopback are left out.
	Services []Service
	// Interfaces are the names of those to announce on. If empty, all that are up, take
	// multicast and are not loopback.
	Interfaces []string
	// Look is how often interfaces and addresses are looked at. If zero, 10 s.
	Look time.Duration
	// Logger; if nil, nothing is logged.
	Logger *slog.Logger
}

// Announcer announces. It is made by New.
type Announcer struct {
	cfg   Config
	label string

	// owned by Run
	on   string // where it is announced: interfaces and their addresses
	told string // what was logged last
	up   []*zeroconf.Server
}

// New starts nothing.
func New(cfg Config) (*Announcer, error) {
	if cfg.ID == "" || strings.ContainsAny(cfg.ID, ". ") {
		return nil, errors.New("discovery: ID must be one label of a host's name")
	}
	if cfg.Instance == "" {
		cfg.Instance = cfg.ID
	}
	if cfg.Look == 0 {
		cfg.Look = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Instance) > maxLabel {
		return nil, fmt.Errorf("discovery: Instance has %d bytes, a label at most %d", len(cfg.Instance), maxLabel)
	}
	name, err := label(cfg.Instance)
	if err != nil {
		return nil, fmt.Errorf("discovery: Instance: %w", err)
	}
	cfg.Services = slices.DeleteFunc(slices.Clone(cfg.Services), func(s Service) bool { return s.Address.IsLoopback() })
	return &Announcer{cfg: cfg, label: name}, nil
}

// Run announces until ctx ends, then withdraws. It returns nil: that nobody finds the
// appliance by itself is no reason for it to take no images.
func (a *Announcer) Run(ctx context.Context) error {
	defer a.withdraw()
	tick := time.NewTicker(a.cfg.Look)
	defer tick.Stop()
	for {
		a.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look announces anew where interfaces or addresses are others than before.
func (a *Announcer) look() {
	links, err := a.links()
	if err != nil {
		a.tell(fmt.Sprintf("interfaces cannot be listed: %v", err))
		return
	}
	now := fingerprint(links)
	if now == a.on && (len(a.up) > 0 || len(links) == 0) {
		return
	}
	a.withdraw()
	a.on = now
	if err := a.announce(links); err != nil {
		a.withdraw()
		a.tell(err.Error())
		return
	}
	if len(a.up) > 0 {
		a.told = ""
		a.cfg.Logger.Info("announced by DNS-SD", "name", a.cfg.Instance, "on", names(links), "services", len(a.up))
	}
}

// tell logs what is wrong, once for as long as it stays so.
func (a *Announcer) tell(what string) {
	if what != a.told {
		a.cfg.Logger.Warn("not announced by DNS-SD, trying again", "why", what)
	}
	a.told = what
}

func (a *Announcer) announce(links []link) error {
	for _, s := range a.cfg.Services {
		on := s.on(links)
		if len(on) == 0 {
			continue
		}
		// Without an address, each answer has those of the interface by which it goes out.
		server, err := zeroconf.RegisterProxy(a.label, s.Type, "local.", s.Port, a.cfg.ID, s.only(), s.Text, on)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Type, err)
		}
		a.up = append(a.up, server)
	}
	return nil
}

// withdraw says goodbye, and returns when the sockets are closed.
func (a *Announcer) withdraw() {
	for _, s := range a.up {
		s.Shutdown()
	}
	a.up = nil
}

// link is an interface and its addresses.
type link struct {
	net.Interface
	addresses []netip.Addr
}

// links are the interfaces that are to be announced on and have an address.
func (a *Announcer) links() (out []link, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if !a.chosen(i) {
			continue
		}
		l := link{Interface: i}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, n := range addresses {
			if p, err := netip.ParsePrefix(n.String()); err == nil {
				l.addresses = append(l.addresses, p.Addr().WithZone(""))
			}
		}
		if len(l.addresses) > 0 {
			out = append(out, l)
		}
	}
	return out, nil
}

func (a *Announcer) chosen(i net.Interface) bool {
	const usable = net.FlagUp | net.FlagMulticast
	if i.Flags&usable != usable || i.Flags&net.FlagLoopback != 0 {
		return false
	}
	return len(a.cfg.Interfaces) == 0 || slices.Contains(a.cfg.Interfaces, i.Name)
}

// on are the interfaces on which s listens.
func (s Service) on(links []link) (out []net.Interface) {
	for _, l := range links {
		if s.everywhere() || slices.Contains(l.addresses, s.Address.WithZone("")) {
			out = append(out, l.Interface)
		}
	}
	return out
}

// only is the one address on which s listens.
func (s Service) only() []string {
	if s.everywhere() {
		return nil
	}
	return []string{s.Address.WithZone("").String()}
}

func (s Service) everywhere() bool { return !s.Address.IsValid() || s.Address.IsUnspecified() }

func fingerprint(links []link) string {
	var b strings.Builder
	for _, l := range links {
		fmt.Fprint(&b, l.Index, " ", l.Name, " ", l.addresses, "\n")
	}
	return b.String()
}

func names(links []link) (out []string) {
	for _, l := range links {
		out = append(out, l.Name)
	}
	return out
}
