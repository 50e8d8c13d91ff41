package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ALPN names (RFC 7301).
const (
	ALPN     = "edged/1"
	ALPNHTTP = "http/1.1"
)

// ClientTLS is how an appliance calls its hub over edged/1: it shows its
// certificate and believes only the CA of its bundle and the name HubName.
func (b *Bundle) ClientTLS() *tls.Config {
	c := HubTLS(b.CA)
	c.Certificates = []tls.Certificate{b.tls()}
	c.NextProtos = []string{ALPN}
	return c
}

// FollowTLS is ClientTLS of an appliance that renews: each handshake shows the
// certificate of what current gives at that moment. The CA stays the same.
func FollowTLS(current func() *Bundle) *tls.Config {
	c := HubTLS(current().CA)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert := current().tls()
		return &cert, nil
	}
	c.NextProtos = []string{ALPN}
	return c
}

// RenewTLS is how an appliance calls its hub over HTTPS to renew its certificate.
// The hub takes one there that has run out, so it is shown whatever its dates say.
func (b *Bundle) RenewTLS() *tls.Config {
	c := HubTLS(b.CA)
	c.Certificates = []tls.Certificate{b.tls()}
	return c
}

// HubTLS is how anybody calls a hub over HTTPS who trusts ca and has no
// certificate yet.
func HubTLS(ca *x509.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &tls.Config{
		RootCAs:                roots,
		ServerName:             HubName,
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{ALPNHTTP},
		SessionTicketsDisabled: true,
	}
}

// Server holds the hub's own certificate and makes it anew when two thirds of
// its life are gone. Use one for all listeners.
type Server struct {
	authority *Authority
	now       func() time.Time

	mu      sync.Mutex // guards current
	current *Bundle
}

// NewServer returns the hub's side of TLS. If now is nil, time.Now.
func NewServer(a *Authority, now func() time.Time) *Server {
	if now == nil {
		now = time.Now
	}
	return &Server{authority: a, now: now}
}

// Uplink is the TLS of edged/1: a client certificate of this CA, valid now, or
// no connection. admit sees who it is inside the handshake; its error ends it.
func (s *Server) Uplink(admit func(Device) error) *tls.Config {
	c := s.base()
	c.NextProtos = []string{ALPN}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = s.authority.pool()
	c.Time = s.now
	c.VerifyConnection = func(st tls.ConnectionState) error {
		if st.NegotiatedProtocol != ALPN {
			return errors.New("the peer does not speak " + ALPN)
		}
		d, err := DeviceOf(st)
		if err == nil && admit != nil {
			err = admit(d)
		}
		return err
	}
	return c
}

// Mixed is the TLS of the TCP port: who offers edged/1 gets Uplink, everybody
// else HTTP/1.1, where a certificate is asked for and each path verifies it
// with VerifyDevice.
func (s *Server) Mixed(admit func(Device) error) *tls.Config {
	uplink, http := s.Uplink(admit), s.HTTP()
	outer := s.base()
	outer.NextProtos = []string{ALPN, ALPNHTTP}
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, ALPN) {
			return uplink, nil
		}
		return http, nil
	}
	return outer
}

// HTTP is the TLS of HTTP/1.1 alone: a certificate is asked for, and each path
// verifies it with VerifyDevice if it wants one. HTTP/2 is not offered.
func (s *Server) HTTP() *tls.Config {
	c := s.base()
	c.NextProtos = []string{ALPNHTTP}
	c.ClientAuth = tls.RequestClientCert
	return c
}

func (s *Server) base() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() },
	}
}

// certificate is the current one, or a new one when it is old.
func (s *Server) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.current == nil || now.Before(s.current.Cert.NotBefore) || s.current.Cert.NotAfter.Sub(now) < serverLife/3 {
		b, err := s.authority.server(now)
		if err != nil {
			return nil, fmt.Errorf("server certificate: %w", err)
		}
		s.current = b
	}
	c := s.current.tls()
	return &c, nil
}

func (a *Authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.bundle.Cert)
	return p
}

// DeviceOf is who the peer of a verified edged/1 connection is.
func DeviceOf(st tls.ConnectionState) (Device, error) {
	if len(st.VerifiedChains) == 0 || len(st.VerifiedChains[0]) == 0 {
		return Device{}, errors.New("no verified client certificate")
	}
	d := deviceOf(st.VerifiedChains[0][0])
	if d.ID == "" {
		return d, errors.New("the client certificate names no device")
	}
	return d, nil
}

// VerifyDevice checks the certificate that an HTTP client showed, if it showed
// one. With expiredToo, one that has run out is as good: re-enrolment alone may
// ask for that, because an appliance that was off for a year must come back.
func (a *Authority) VerifyDevice(st *tls.ConnectionState, now time.Time, expiredToo bool) (Device, *x509.Certificate, error) {
	if st == nil || len(st.PeerCertificates) == 0 {
		return Device{}, nil, errors.New("no client certificate")
	}
	cert := st.PeerCertificates[0]
	if expiredToo && now.After(cert.NotAfter) {
		now = cert.NotAfter
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: a.pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return Device{}, nil, fmt.Errorf("client certificate: %w", err)
	}
	d := deviceOf(cert)
	if d.ID == "" {
		return d, nil, errors.New("the client certificate names no device")
	}
	return d, cert, nil
}

func deviceOf(cert *x509.Certificate) Device {
	d := Device{ID: cert.Subject.CommonName}
	if len(cert.Subject.Organization) > 0 {
		d.Facility = cert.Subject.Organization[0]
	}
	return d
}
