package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"edged/hub/forward"
)

// Auth is who the hub is for a stow destination: by password, by OAuth2 client
// credentials (RFC 6749 §4.4), or by a client certificate. Secrets are in files.
type Auth struct {
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	TokenURL     string   `yaml:"token_url"`
	ClientID     string   `yaml:"client_id"`
	SecretFile   string   `yaml:"secret_file"`
	Scopes       []string `yaml:"scopes"`
	Cert         string   `yaml:"cert"`
	Key          string   `yaml:"key"`
	CA           string   `yaml:"ca"`
}

func (a Auth) basic() bool  { return a.User+a.PasswordFile != "" }
func (a Auth) token() bool  { return a.TokenURL+a.ClientID+a.SecretFile != "" || len(a.Scopes) > 0 }
func (a Auth) mutual() bool { return a.Cert+a.Key != "" }
func (a Auth) none() bool   { return !a.basic() && !a.token() && !a.mutual() && a.CA == "" }

func (d *Destination) checkStow(add func(sub, format string, args ...any)) {
	for sub, given := range map[string]bool{".path": d.Path != "", ".create": d.Create, ".address": d.Address != "", ".ae_title": d.AETitle != ""} {
		if given {
			add(sub, "is not for a stow: leave it out")
		}
	}
	if _, err := forward.NewStow(forward.StowConfig{Name: d.Name, URL: d.URL}); err != nil {
		add(".url", "want https://HOST/PATH of the DICOMweb service, without /studies, user, query and fragment")
	}
	if d.Associations < 1 || d.Associations > 64 {
		add(".associations", "%d: want 1 to 64", d.Associations)
	}
	if d.RequestObjects < 1 || d.RequestObjects > forward.MaxStowObjects {
		add(".request_objects", "%d: want 1 to %d", d.RequestObjects, forward.MaxStowObjects)
	}
	if d.RequestBytes < leastRequestBytes || d.RequestBytes > mostRequestBytes {
		add(".request_bytes", "%s: want 1MiB to 4GiB", d.RequestBytes)
	}
	if d.Confirm == "" {
		d.Confirm = "stow"
	}
	if d.Confirm != "stow" {
		add(".confirm", "a stow confirms by what its answer lists: leave it out or write stow")
	}
	d.checkAuth(add)
}

func (d *Destination) checkAuth(add func(sub, format string, args ...any)) {
	a, kinds := d.Auth, 0
	for _, one := range []bool{a.basic(), a.token(), a.mutual()} {
		if one {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		add(".auth", "want one of: user with password_file, token_url with client_id and secret_file, cert with key")
	case a.basic() && (a.User == "" || a.PasswordFile == "" || strings.Contains(a.User, ":")):
		add(".auth", "a password wants user, without a colon, and password_file")
	case a.token() && (a.TokenURL == "" || a.ClientID == "" || a.SecretFile == ""):
		add(".auth", "OAuth2 client credentials want token_url, client_id and secret_file")
	case a.mutual() && (a.Cert == "" || a.Key == ""):
		add(".auth", "a client certificate wants cert and key")
	}
	if kinds > 0 && !safe(d.URL) {
		add(".url", "with auth it must be https: over http whoever listens learns the secret")
	}
	if a.TokenURL != "" && !safe(a.TokenURL) {
		add(".auth.token_url", "want https://HOST/PATH")
	}
}

// safe reports whether what is sent there is encrypted, or stays on this machine.
func safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback())
}

// maxSecret bounds a file with a password.
const maxSecret = 4096

// secret reads a password from its file, each time that it is needed.
func secret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" || len(b) > maxSecret {
		return "", fmt.Errorf("%s: want one line with the password", path)
	}
	return s, nil
}

// makeStow reads each file of the configuration once, so that a hub with a wrong one
// does not start.
func (d Destination) makeStow() (*forward.Stow, error) {
	c := forward.StowConfig{Name: d.Name, URL: d.URL, Requests: d.Associations, Objects: d.RequestObjects, Bytes: int64(d.RequestBytes)}
	a := d.Auth
	own, err := a.tls()
	if err == nil && a.basic() {
		_, err = secret(a.PasswordFile)
		c.Auth = forward.Basic{User: a.User, Password: func() (string, error) { return secret(a.PasswordFile) }}
	}
	if err == nil && a.token() {
		_, err = secret(a.SecretFile)
		c.Auth = &forward.Token{URL: a.TokenURL, ClientID: a.ClientID, Scopes: a.Scopes, TLS: own.Clone(), Secret: func() (string, error) { return secret(a.SecretFile) }}
	}
	if err != nil {
		return nil, fmt.Errorf("destination %s: auth: %w", d.Name, err)
	}
	c.TLS = own
	return forward.NewStow(c)
}

// tls knows who signed the archive's certificate, and shows ours. It is read again for
// each connection, so that a renewed one is used without a restart.
func (a Auth) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		pem, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, err
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca: " + a.CA + " has no certificate in PEM")
		}
	}
	if !a.mutual() {
		return c, nil
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
		return &pair, err
	}
	_, err := tls.LoadX509KeyPair(a.Cert, a.Key)
	return c, err
}
