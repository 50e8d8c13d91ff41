package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"edged/internal/durable"
	"edged/internal/identity"
)

// HTTPS of the page. With page.tls.auto there is a certificate without anybody's doing:
// that of the enrolment where a browser would take it (it is for servers and carries the
// name of this machine), else one that is signed by itself. A browser then warns once;
// whoever accepts it compares the fingerprint on the set-up sheet or of `edged status`.
//
// There is no HSTS (RFC 6797): it would take the button from that warning, and shut the
// page to whoever goes back to plain HTTP on purpose.

const (
	pageDir  = "page"    // below data_dir
	pageFile = "tls.pem" // key and certificate in one, so that a crash never parts them

	selfSignedLife = 825 * 24 * time.Hour // longer ones Apple's browsers refuse
	selfSignedLeft = 30 * 24 * time.Hour  // made anew with so much left
	lookAgain      = time.Minute
)

// pageKeys are the certificate of page.tls.auto.
type pageKeys struct {
	dir  string
	want func() certNames
	held func() *identity.Bundle // nil: not enrolled
	now  func() time.Time
	log  *slog.Logger

	mu     sync.Mutex // guards what follows
	own    *tls.Certificate
	serve  *tls.Certificate
	looked time.Time
}

// certNames are what browsers may call the page.
type certNames struct {
	dns []string // the first is this machine's
	ips []net.IP
}

func (a *appliance) newPageKeys() *pageKeys {
	return &pageKeys{dir: filepath.Join(a.cfg.DataDir, pageDir), held: a.sender.held, now: time.Now, log: a.log, want: func() certNames { return a.cfg.pageNames(interfaceAddresses) }}
}

// certificate is what a connection is served with now.
func (k *pageKeys) certificate() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.serve != nil && now.Sub(k.looked) < lookAgain && !now.Before(k.looked) {
		return k.serve, nil
	}
	next, err := k.choose(now)
	if err != nil && k.serve == nil {
		return nil, fmt.Errorf("page.tls.auto: %w", err)
	}
	k.looked = now
	if err != nil {
		k.log.Error("a certificate for the page cannot be made, the old one stays", "err", err)
		return k.serve, nil
	}
	if k.serve == nil || fingerprint(next.Leaf.Raw) != fingerprint(k.serve.Leaf.Raw) {
		k.log.Info("HTTPS of the page", "sha256", fingerprint(next.Leaf.Raw), "until", next.Leaf.NotAfter, "issuer", next.Leaf.Issuer.String())
	}
	k.serve = next
	return next, nil
}

func (k *pageKeys) choose(now time.Time) (*tls.Certificate, error) {
	names := k.want()
	if id := k.held(); id != nil && forBrowsers(id.Cert, names.dns[0], now) {
		return &tls.Certificate{Certificate: [][]byte{id.Cert.Raw, id.CA.Raw}, PrivateKey: id.Key, Leaf: id.Cert}, nil
	}
	file := filepath.Join(k.dir, pageFile)
	if k.own == nil { // names are compared at the start only: addresses come and go, and each new certificate is a warning
		c, err := loadPair(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.log.Warn("the certificate of the page is made anew", "err", err)
		}
		if err == nil && names.in(c.Leaf) {
			k.own = c
		}
	}
	if k.own != nil && k.own.Leaf.NotAfter.Sub(now) > selfSignedLeft {
		return k.own, nil
	}
	text, err := selfSigned(names, now)
	if err == nil {
		err = errors.Join(durable.Mkdir(k.dir, 0o700), durable.WriteFile(file, text, 0o600))
	}
	if err != nil {
		return nil, err
	}
	k.own, err = loadPair(file)
	return k.own, err
}

func loadPair(file string) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(file, file)
	return &c, err
}

// forBrowsers is whether a browser that calls the machine by name takes cert.
func forBrowsers(cert *x509.Certificate, name string, now time.Time) bool {
	return slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && cert.VerifyHostname(name) == nil && now.Before(cert.NotAfter)
}

// in is whether cert carries the names. IPv6 addresses may change daily (RFC 8981) and
// do not count.
func (n certNames) in(cert *x509.Certificate) bool {
	for _, name := range n.dns {
		if !carries(cert, name) {
			return false
		}
	}
	for _, ip := range n.ips {
		if ip.To4() != nil && !carries(cert, ip.String()) {
			return false
		}
	}
	return true
}

// selfSigned is a key and its certificate, which may sign no other.
func selfSigned(n certNames, now time.Time) ([]byte, error) {
	key, err := identity.NewKey()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: n.dns[0], Organization: []string{"edged"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife - time.Hour), DNSNames: n.dns, IPAddresses: n.ips,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	return pairInPEM(t, key)
}

func pairInPEM(t *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), nil
}

// pageFingerprint is that of the page's certificate, "" where the page is plain or its
// certificate cannot be read.
func (a *appliance) pageFingerprint() string {
	print, _ := a.pageCertificate()
	return print
}

// pageCertificate is the fingerprint, and the end, of what browsers are shown.
func (a *appliance) pageCertificate() (print string, until time.Time) {
	p := a.cfg.Page
	switch {
	case p.Listen == "":
	case p.TLS.Auto:
		if c, err := a.pageKeys.certificate(); err == nil {
			return fingerprint(c.Leaf.Raw), c.Leaf.NotAfter
		}
	case p.encrypted():
		if c, err := tls.LoadX509KeyPair(p.TLS.Cert, p.TLS.Key); err == nil {
			return fingerprint(c.Leaf.Raw), c.Leaf.NotAfter
		}
	}
	return "", until
}

// pageNames are what the page may be called: in the certificate, and by who changes
// something.
func (c *Config) pageNames(addresses func(only []string) []net.IP) certNames {
	var n certNames
	add := func(name string) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if isName(name) && !slices.Contains(n.dns, name) {
			n.dns = append(n.dns, name)
		}
	}
	host, _ := os.Hostname() // without, it is localhost
	add(host)
	if short, _, _ := strings.Cut(host, "."); short != "" && short != "localhost" {
		add(short)
		add(short + ".local") // RFC 6762
	}
	for _, name := range c.Page.Hosts {
		add(name)
	}
	add("localhost")
	n.ips = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host, _, err := net.SplitHostPort(c.Page.Listen); err == nil {
		if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
			if !ip.IsLoopback() {
				n.ips = append(n.ips, ip)
			}
			return n
		}
	}
	n.ips = append(n.ips, addresses(c.Discovery.Interfaces)...)
	return n
}

// isName is whether a certificate can carry it: a.b-c.d
func isName(s string) bool {
	if s == "" || len(s) > 253 || strings.HasPrefix(s, "-") || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// interfaceAddresses are those of the interfaces named, or of all.
func interfaceAddresses(only []string) (ips []net.IP) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || len(only) > 0 && !slices.Contains(only, i.Name) {
			continue
		}
		addresses, _ := i.Addrs() // one that has just gone has none
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				ips = append(ips, n.IP)
			}
		}
	}
	return ips
}

// pageHosts are the names by which the page may be called by who changes something:
// besides ours, those in the certificate that somebody gave it.
func (c *Config) pageHosts() []string {
	names := c.pageNames(func([]string) []net.IP { return nil }).dns
	if c.Page.TLS.Cert != "" {
		if pair, err := tls.LoadX509KeyPair(c.Page.TLS.Cert, c.Page.TLS.Key); err == nil {
			for _, name := range pair.Leaf.DNSNames {
				names = append(names, strings.ToLower(name))
			}
		}
	}
	return names
}
