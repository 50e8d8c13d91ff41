package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"edged/internal/config"
)

// Events says who is told about studies, and when.
type Events struct {
	When  string `yaml:"when" allowed:"archived|received"`
	Sinks []Sink `yaml:"sinks"`
}

// Sink is one receiver of study events.
type Sink struct {
	Name       string        `yaml:"name"`
	Type       string        `yaml:"type" allowed:"file|http"`
	Path       string        `yaml:"path"`
	URL        string        `yaml:"url"`
	SecretFile string        `yaml:"secret_file"`
	CA         string        `yaml:"ca"`
	Timeout    time.Duration `yaml:"timeout"`
}

func defaultEvents() Events { return Events{When: "archived"} }

// SetDefaults is where each element of sinks starts.
func (s *Sink) SetDefaults() { *s = Sink{Timeout: 30 * time.Second} }

// minSecret is the least that signs: as long as the digest (RFC 2104 §3).
const minSecret = 32

func (e *Events) check() (bad config.Errors) {
	seen := map[string]bool{}
	for i := range e.Sinks {
		s, key := &e.Sinks[i], fmt.Sprintf("events.sinks[%d]", i)
		if seen[s.Name] {
			bad = append(bad, config.Bad(key+".name", "%q is used twice: events are kept by this name", s.Name))
		}
		seen[s.Name] = true
		bad = append(bad, s.check(key)...)
	}
	return bad
}

func (s *Sink) check(key string) (bad config.Errors) {
	add := func(sub, format string, args ...any) { bad = append(bad, config.Bad(key+sub, format, args...)) }
	if !destinationName.MatchString(s.Name) {
		add(".name", "%q: want 1 to 32 small letters, digits, - and _; never change it, events are kept by this name", s.Name)
	}
	switch s.Type {
	case "file":
		s.checkFile(add)
	case "http":
		s.checkHTTP(add)
	default:
		add(".type", "is missing: want file or http")
	}
	if s.Timeout < time.Second || s.Timeout > 5*time.Minute {
		add(".timeout", "%v: want 1s to 5m", s.Timeout)
	}
	return bad
}

func (s *Sink) checkFile(add func(sub, format string, args ...any)) {
	if s.Path == "" {
		add(".path", "is missing: name a directory that exists")
	}
	if s.URL != "" || s.SecretFile != "" || s.CA != "" {
		add(".url", "url, secret_file and ca are for http: leave them out")
	}
}

func (s *Sink) checkHTTP(add func(sub, format string, args ...any)) {
	if s.Path != "" {
		add(".path", "is for a file: leave it out")
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		add(".url", "want https://HOST/PATH, without a password: the secret is in secret_file")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		add(".url", "events name persons: want https; http is for the loopback address alone")
	}
	if _, err := s.secret(); err != nil {
		add(".secret_file", "%v", err)
	}
	if _, err := s.cas(); err != nil {
		add(".ca", "%v", err)
	} else if s.CA != "" && u != nil && u.Scheme == "http" {
		add(".ca", "is for https: leave it out")
	}
}

// cas are those of the file, nil when the system's are meant.
func (s *Sink) cas() (*x509.CertPool, error) {
	if s.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", s.CA)
	}
	return pool, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// secret is what is in the file, less one line end.
func (s *Sink) secret() ([]byte, error) {
	if s.SecretFile == "" {
		return nil, fmt.Errorf("is missing: name a file with at least %d bytes, of which the receiver has the same", minSecret)
	}
	b, err := os.ReadFile(s.SecretFile)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) < minSecret || len(b) > 4096 {
		return nil, fmt.Errorf("%d bytes: want %d to 4096", len(b), minSecret)
	}
	return b, nil
}

// warnings are for the administrator.
func (e *Events) warnings(required bool) (out []string) {
	if len(e.Sinks) > 0 && e.When == "archived" && !required {
		out = append(out, "events.when is archived, and no destination is required: nothing is ever archived, so studies are told when they are received")
	}
	seen := map[string]string{}
	for _, s := range e.Sinks {
		secret, err := s.secret()
		if err != nil { // of a file, or said by check
			continue
		}
		if other, ok := seen[string(secret)]; ok {
			out = append(out, fmt.Sprintf("events.sinks: %s and %s have the same secret: each can pass on to the other what it got, as if the hub had sent it", other, s.Name))
		}
		seen[string(secret)] = s.Name
	}
	return out
}
