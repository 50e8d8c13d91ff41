package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"edged/agent/discovery"
)

// maxInterface is the longest name of a network interface (IFNAMSIZ).
const maxInterface = 15

func (d *Discovery) check(bad complain) {
	for i, name := range d.Interfaces {
		if name == "" || len(name) > maxInterface || strings.ContainsFunc(name, func(r rune) bool { return r == '/' || unicode.IsSpace(r) }) {
			bad(fmt.Sprintf("discovery.interfaces[%d]", i), "%q is not the name of a network interface, as eth0", name)
		}
	}
}

// services are what is announced of these listeners: not the control socket, and
// nothing that only this machine reaches.
func (c *Config) services(all []listener) (out []discovery.Service) {
	kinds := map[string]string{"dicom": discovery.DICOM, "dicom-tls": discovery.DICOMTLS, "page": discovery.HTTP}
	if c.Page.encrypted() {
		kinds["page"] = discovery.HTTPS
	}
	for _, l := range all {
		tcp, ok := l.Addr().(*net.TCPAddr)
		if kinds[l.name] == "" || !ok || tcp.IP.IsLoopback() {
			continue
		}
		address, _ := netip.AddrFromSlice(tcp.IP) // none: on all
		s := discovery.Service{Type: kinds[l.name], Port: tcp.Port, Address: address.Unmap(), Text: []string{"AET=" + c.Dicom.AETitle}}
		if l.name == "page" {
			s.Text = []string{"path=/"} // RFC 6763 §6.4; TXT of _http._tcp
		}
		out = append(out, s)
	}
	return out
}

// encrypted says whether the page is served by TLS.
func (p *Page) encrypted() bool { return p.TLS.Auto || p.TLS.Cert != "" }

// discover announces from the moment in which images can be taken until ctx ends.
func (a *appliance) discover(ctx context.Context, all []listener) error {
	defer close(a.withdrawn)
	services := a.cfg.services(all)
	if !a.cfg.Discovery.Enabled || len(services) == 0 {
		return nil
	}
	if _, err := a.keeper.await(ctx); err != nil {
		return nil
	}
	id := discovery.ID(a.view.secret)
	announcer, err := discovery.New(discovery.Config{ID: id, Instance: discovery.Instance(id, a.cfg.Facility.Name),
		Services: services, Interfaces: a.cfg.Discovery.Interfaces, Logger: a.log})
	if err != nil {
		a.log.Warn("not announced by DNS-SD", "err", err) // no reason to take no images
		return nil
	}
	return announcer.Run(ctx)
}

// farewell bounds how long the ports wait for the goodbye.
const farewell = 2 * time.Second

// sayGoodbye returns when nobody is told any more to come here, or soon.
func (a *appliance) sayGoodbye() {
	select {
	case <-a.withdrawn:
	case <-time.After(farewell):
		a.log.Warn("the ports close before the goodbye is said")
	}
}
