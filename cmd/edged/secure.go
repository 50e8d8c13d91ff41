package main

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// secure is the BCP 195 RFC 8996, RFC 9325 secure transport connection profile of
// PS3.15 §B.12: nothing below TLS 1.2, and of that only what has forward secrecy
// and authenticated encryption. The suites of TLS 1.3 are all of that kind.
func secure() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // RFC 8996 §4 and §5, RFC 9325 §3.1.1
		MaxVersion: tls.VersionTLS13,
		CipherSuites: []uint16{ // RFC 9325 §4.2
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}, // RFC 9325 §4.2.1
		Renegotiation:          tls.RenegotiateNever,                                                        // RFC 9325 §3.5; as a server crypto/tls never does
		SessionTicketsDisabled: true,                                                                        // RFC 9325 §3.4: each association proves itself anew, also after client_ca has changed
		VerifyConnection:       strongKeys,
	}
}

// shortestRSA is in bits, RFC 9325 §4.5.
const shortestRSA = 2048

func strongKeys(c tls.ConnectionState) error {
	for _, cert := range c.PeerCertificates {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < shortestRSA {
			return fmt.Errorf("tls: the peer's certificate has an RSA key of %d bits, less than %d", key.N.BitLen(), shortestRSA)
		}
	}
	return nil
}

// certificates are those of a port. Their files are looked at with each
// connection, and read again when one has changed, so that a certificate is
// renewed without a restart. What cannot be read then is told, and what was read
// before stays in use.
type certificates struct {
	key   string // of the configuration, for words
	files DicomTLS
	log   *slog.Logger

	mu     sync.Mutex // guards what follows
	stamps [3]stamp
	serve  *tls.Config
}

// stamp tells a file from the one that was there before.
type stamp struct {
	size    int64
	changed time.Time
	file    os.FileInfo
}

func stampOf(name string) (s stamp) {
	if info, err := os.Stat(name); name != "" && err == nil {
		s = stamp{info.Size(), info.ModTime(), info}
	}
	return s
}

func (s stamp) same(o stamp) bool {
	return s.size == o.size && s.changed.Equal(o.changed) && (s.file == nil) == (o.file == nil) && (s.file == nil || os.SameFile(s.file, o.file))
}

// listenTLS speaks TLS over what open listens on, if there is a certificate.
func listenTLS(key string, c DicomTLS, log *slog.Logger, open func(key, address string) (net.Listener, error)) (net.Listener, error) {
	if c.Cert == "" {
		return open(key, c.Listen)
	}
	certs := &certificates{key: key, files: c, log: log}
	if _, err := certs.current(); err != nil {
		return nil, err
	}
	l, err := open(key, c.Listen)
	if err != nil {
		return nil, err
	}
	outer := secure()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return certs.current() }
	return tls.NewListener(l, outer), nil
}

// current is what a connection is served with now.
func (c *certificates) current() (*tls.Config, error) {
	stamps := [3]stamp{stampOf(c.files.Cert), stampOf(c.files.Key), stampOf(c.files.ClientCA)} // before they are read: what changes in between is read again
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serve != nil && stamps[0].same(c.stamps[0]) && stamps[1].same(c.stamps[1]) && stamps[2].same(c.stamps[2]) {
		return c.serve, nil
	}
	again := c.serve != nil
	next, err := c.read()
	c.stamps = stamps
	switch {
	case err == nil && again:
		c.log.Info("certificates were read again", "of", c.key)
	case err != nil && again:
		c.log.Error("new certificates cannot be used, the old ones stay", "err", err)
		return c.serve, nil
	case err != nil:
		return nil, err
	}
	c.serve = next
	return next, nil
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return nil, fmt.Errorf("%s.cert: %w", c.key, err)
	}
	out := secure()
	out.Certificates = []tls.Certificate{pair}
	if c.files.ClientCA != "" {
		// Who comes without one is turned away by admit, which knows the
		// device: some need none, and of the others the page tells who came.
		out.ClientAuth = tls.VerifyClientCertIfGiven
		out.ClientCAs, err = readPool(c.files.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("%s.client_ca: %w", c.key, err)
		}
	}
	return out, nil
}

func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return pool, nil
}

// tlsFlags are those of the commands that call a DICOM node.
type tlsFlags struct {
	TLS     bool   `name:"tls" help:"Speak TLS 1.2 or 1.3 (PS3.15 B.12)."`
	TLSCA   string `name:"tls-ca" placeholder:"FILE" help:"Certificates that the node's must come from. Default: those of the system."`
	TLSName string `name:"tls-name" placeholder:"NAME" help:"The name in the node's certificate. Default: HOST."`
	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Our certificate, where the node asks for one."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"Its key."`
}

// config is nil without --tls.
func (f *tlsFlags) config(host string) (*tls.Config, error) {
	if !f.TLS {
		if f.TLSCA+f.TLSName+f.TLSCert+f.TLSKey != "" {
			return nil, usagef("the flags --tls-... need --tls")
		}
		return nil, nil
	}
	c := secure()
	c.ServerName = host
	if f.TLSName != "" {
		c.ServerName = f.TLSName
	}
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return nil, usagef("--tls-cert and --tls-key are needed together")
	}
	if f.TLSCA != "" {
		pool, err := readPool(f.TLSCA)
		if err != nil {
			return nil, usagef("--tls-ca: %w", err)
		}
		c.RootCAs = pool
	}
	if f.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
		if err != nil {
			return nil, usagef("--tls-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// errNoClientCA: the authorities of the system give certificates to everybody.
var errNoClientCA = errors.New("dicom.tls.client_ca is empty, and without it any certificate would serve")

// callback is how a device is called that has to come by TLS: it proves itself by
// a certificate of client_ca that carries its address or its tls_name.
func (c DicomTLS) callback(d Device, log *slog.Logger) (*tls.Config, error) {
	if c.ClientCA == "" {
		return nil, errNoClientCA
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("dicom.tls.cert: %w", err)
	}
	roots, err := readPool(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("dicom.tls.client_ca: %w", err)
	}
	out := secure()
	out.Certificates = []tls.Certificate{pair}
	out.InsecureSkipVerify = true // crypto/tls knows one name, a device has two: all is checked below
	out.VerifyConnection = func(s tls.ConnectionState) error {
		err := errors.Join(chain(s, roots), strongKeys(s), d.called(s.PeerCertificates[0]))
		if err != nil {
			log.Error("the certificate of a device that was called is refused", "device", d.AETitle, "address", d.Address, "err", err)
		}
		return err
	}
	return out, nil
}

func chain(s tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
