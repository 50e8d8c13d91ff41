package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Console is where the hub's pages and API listen.
type Console struct {
	Listen string     `yaml:"listen"`
	TLS    ConsoleTLS `yaml:"tls"`
}

// ConsoleTLS are PEM files; both or none.
type ConsoleTLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

func (c *Console) check(add func(key, format string, args ...any)) {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		add("console.tls", "has one of cert and key: name both files, or none")
		return
	}
	if c.TLS.Cert == "" {
		return
	}
	if _, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key); err != nil {
		add("console.tls", "%v", err)
	}
}

// loopback reports whether only this machine reaches it.
func (c *Console) loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func (c *Console) warnings() []string {
	if c.TLS.Cert != "" || c.loopback() {
		return nil
	}
	return []string{fmt.Sprintf("console.listen %s is not a loopback address and console.tls is empty: tokens go over the network unencrypted, and whoever reads one can do what it may; name a certificate, or listen on 127.0.0.1 and go there by SSH", c.Listen)}
}

// secure is l, or TLS over it where there is a certificate. The files are read
// again when they have changed, so that a renewed certificate needs no restart.
func (c *Console) secure(l net.Listener) net.Listener {
	if c.TLS.Cert == "" {
		return l
	}
	p := &pair{files: c.TLS}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: p.certificate})
}

// pair is a certificate from files.
type pair struct {
	files ConsoleTLS

	mu      sync.Mutex // guards what follows
	cert    *tls.Certificate
	written [2]time.Time
	looked  time.Time
}

// lookEvery bounds how often handshakes look at the files.
const lookEvery = 10 * time.Second

// certificate keeps the one it has while the files cannot be read or do not fit
// together, as in the middle of a renewal.
func (p *pair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cert != nil && time.Since(p.looked) < lookEvery {
		return p.cert, nil
	}
	p.looked = time.Now()
	var written [2]time.Time
	for i, name := range []string{p.files.Cert, p.files.Key} {
		if st, err := os.Stat(name); err == nil {
			written[i] = st.ModTime()
		}
	}
	if p.cert != nil && written == p.written {
		return p.cert, nil
	}
	cert, err := tls.LoadX509KeyPair(p.files.Cert, p.files.Key)
	if err != nil {
		if p.cert == nil {
			return nil, fmt.Errorf("console.tls: %w", err)
		}
		return p.cert, nil
	}
	p.cert, p.written = &cert, written
	return p.cert, nil
}
