package main

import (
	"context"
	"fmt"
	"net"
	"testing"
)

// somewhere is a listener that is nowhere but says an address.
type somewhere struct {
	net.Listener
	at net.Addr
}

func (s somewhere) Addr() net.Addr { return s.at }

func at(name, address string) listener {
	a, _ := net.ResolveTCPAddr("tcp", address)
	return listener{Listener: somewhere{at: a}, name: name}
}

// What others on the network can use is announced, and nothing else: no control socket,
// nothing on loopback. A port on one address is announced with that.
func TestWhatIsAnnouncedIsWhatOthersCanUse(t *testing.T) {
	c := defaultConfig()
	if !c.Discovery.Enabled {
		t.Error("nobody finds the appliance by itself")
	}
	socket := listener{Listener: somewhere{at: &net.UnixAddr{Name: "x", Net: "unix"}}, name: "control"}
	all := []listener{at("dicom", "[::]:11112"), at("dicom-tls", "10.0.0.5:2762"), at("page", "127.0.0.1:8080"), socket}
	const dicom = "[{_dicom._tcp :: 11112 [AET=EDGED]} {_dicom-tls._tcp 10.0.0.5 2762 [AET=EDGED]}"
	if got := fmt.Sprint(c.services(all)); got != dicom+"]" {
		t.Error(got)
	}
	all[2] = at("page", "0.0.0.0:443")
	if got := fmt.Sprint(c.services(all)); got != dicom+" {_http._tcp 0.0.0.0 443 [path=/]}]" {
		t.Error(got)
	}
	c.Page.TLS = PageTLS{Cert: "c", Key: "k"}
	if got := fmt.Sprint(c.services(all)); got != dicom+" {_https._tcp 0.0.0.0 443 [path=/]}]" {
		t.Error(got)
	}
	if got := c.services([]listener{at("dicom", "[::1]:1"), socket}); got != nil {
		t.Error(got)
	}
}

// The ports close after the goodbye, and not later than a moment without one.
func TestThePortsCloseAfterTheGoodbye(t *testing.T) {
	a := &appliance{withdrawn: make(chan struct{}), cfg: defaultConfig()}
	said, done := make(chan struct{}), make(chan struct{})
	go func() { a.sayGoodbye(); close(done) }()
	go func() { close(said); close(a.withdrawn) }()
	<-done
	select {
	case <-said:
	default:
		t.Error("they closed first")
	}
	b := &appliance{withdrawn: make(chan struct{}), cfg: defaultConfig()}
	b.cfg.Discovery.Enabled = false
	if err := b.discover(context.Background(), []listener{at("dicom", ":1")}); err != nil {
		t.Error(err)
	}
	b.sayGoodbye() // nothing to withdraw: at once
}
