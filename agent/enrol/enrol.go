package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"edged/internal/durable"
	"edged/internal/identity"
)

// Names of the files in Config.Dir.
const (
	File    = "identity.pem"  // key, certificate and CA of this appliance
	pending = "enrolling.pem" // the key, while an answer is outstanding
)

// maxAnswer bounds what is read from a hub.
const maxAnswer = 64 << 10

// Errors that a caller may want to tell apart.
var (
	ErrEnrolled = errors.New("this appliance is enrolled already")
	ErrWrongHub = errors.New("the hub at this address is not the one that made the claim code: check --hub, and that the code comes from this hub")
	ErrRevoked  = errors.New("the hub does not approve of this appliance any more: ask the hub's administrator (hubd devices approve)")
	ErrRefused  = errors.New("the hub does not accept the claim code: it is wrong, was used by another appliance, or has expired; ask the hub's administrator for a new one (hubd code new)")
)

// Config says where and with what.
type Config struct {
	Hub  string // HOST:PORT
	Code string // as the person typed it
	Dir  string // where File is written; made if it does not exist
	// Timeout of all of it. If zero, 30 s.
	Timeout time.Duration
	// Dial opens the connection to the hub, through a proxy where only that leads out.
	// If nil, to the hub itself.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (c *Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return 30 * time.Second
	}
	return c.Timeout
}

// Enrol does all five steps of doc.go and returns what it wrote to File.
func Enrol(ctx context.Context, c Config) (*identity.Bundle, error) {
	code, err := identity.ParseClaimCode(c.Code)
	if err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(c.Hub); err != nil {
		return nil, fmt.Errorf("hub address %q: want HOST:PORT, as hub.example.org:8443", c.Hub)
	}
	path := filepath.Join(c.Dir, File)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, enrolled(c.Dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	ca, err := c.pinnedCA(ctx, code.Hub)
	if err != nil {
		return nil, err
	}
	key, err := pendingKey(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	cert, err := c.simpleEnroll(ctx, ca, key, code)
	if err != nil {
		return nil, err
	}
	return finish(c.Dir, &identity.Bundle{Key: key, Cert: cert, CA: ca})
}

// enrolled says how an appliance gets another identity: by hand, because what is
// not archived yet would be sent again, and another hub may not have it at all.
func enrolled(dir string, err error) error {
	if err != nil {
		return fmt.Errorf("%w, but its identity cannot be looked at: %w", ErrEnrolled, err)
	}
	return fmt.Errorf("%w: to give it another identity, make sure that everything is archived (`edged status`), stop edged, and remove the folder %s", ErrEnrolled, dir)
}

// finish writes the identity. The rename below Save is the commit point; the
// pending key is removed after it.
func finish(dir string, b *identity.Bundle) (*identity.Bundle, error) {
	if err := b.Save(filepath.Join(dir, File)); err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	if err := durable.Remove(filepath.Join(dir, pending)); err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	return b, nil
}

// pendingKey is the key of an attempt before this one, or a new one, durable.
func pendingKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, pending)
	key, err := identity.LoadKey(path)
	if err == nil {
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if key, err = identity.NewKey(); err != nil {
		return nil, err
	}
	return key, identity.SaveKey(path, key)
}

// pinnedCA asks without trust and believes the hash alone.
func (c *Config) pinnedCA(ctx context.Context, pin identity.Pin) (*x509.Certificate, error) {
	// Not verified on purpose: nothing is sent on this connection, and its answer
	// is compared with the pin. Steps 3 and 4 verify.
	blind := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{identity.ALPNHTTP}, ServerName: identity.HubName}
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.Hub+"/.well-known/est/cacerts", nil)
	if err != nil {
		return nil, fmt.Errorf("hub address %q: %w", c.Hub, err)
	}
	certs, err := c.ask(blind, rq)
	if err != nil {
		return nil, err
	}
	for _, ca := range certs {
		if ca.IsCA && pin.Matches(ca) {
			return ca, nil
		}
	}
	return nil, ErrWrongHub
}

func (c *Config) simpleEnroll(ctx context.Context, ca *x509.Certificate, key *ecdsa.PrivateKey, code identity.ClaimCode) (*x509.Certificate, error) {
	rq, err := request(ctx, c.Hub, "simpleenroll", key)
	if err != nil {
		return nil, err
	}
	rq.SetBasicAuth("claim", code.Password())
	certs, err := c.ask(identity.HubTLS(ca), rq)
	if err != nil {
		return nil, err
	}
	return own(certs, ca, key)
}

// request is a certificate request for key (RFC 7030 §4.2.1).
func request(ctx context.Context, hub, operation string, key *ecdsa.PrivateKey) (*http.Request, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	body := strings.NewReader(base64.StdEncoding.EncodeToString(der))
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+hub+"/.well-known/est/"+operation, body)
	if err != nil {
		return nil, fmt.Errorf("hub address %q: %w", hub, err)
	}
	rq.Header.Set("Content-Type", "application/pkcs10")
	rq.Header.Set("Content-Transfer-Encoding", "base64")
	return rq, nil
}

// own picks the certificate for key and checks that it is one.
func own(certs []*x509.Certificate, ca *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	for _, c := range certs {
		if !key.PublicKey.Equal(c.PublicKey) {
			continue
		}
		if err := c.CheckSignatureFrom(ca); err != nil {
			return nil, fmt.Errorf("the hub's answer: %w", err)
		}
		if c.Subject.CommonName == "" {
			return nil, errors.New("the hub's answer: the certificate names no device")
		}
		return c, nil
	}
	return nil, errors.New("the hub's answer holds no certificate for this appliance's key")
}

// ask sends one request and reads a certs-only PKCS #7 in base64.
func (c *Config) ask(t *tls.Config, rq *http.Request) ([]*x509.Certificate, error) {
	text, err := c.fetch(t, rq)
	if err != nil {
		return nil, err
	}
	return certificates(rq.URL.Host, text)
}

// fetch sends one request on a connection of its own and reads a bounded answer.
// Redirects are not followed: they could lead to a stranger.
func (c *Config) fetch(t *tls.Config, rq *http.Request) ([]byte, error) {
	// Config.Dial alone knows of a proxy: what the environment says of one is not asked.
	transport := &http.Transport{TLSClientConfig: t, DisableKeepAlives: true, ForceAttemptHTTP2: false, Proxy: nil, DialContext: c.dial()}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	rs, err := client.Do(rq)
	if err != nil {
		return nil, explain(rq.URL.Host, err)
	}
	defer rs.Body.Close()
	text, err := io.ReadAll(io.LimitReader(rs.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("hub %s: %w", rq.URL.Host, err)
	}
	if rs.StatusCode != http.StatusOK {
		return nil, refusal(rq.URL.Host, rs, text)
	}
	return text, nil
}

// undialed is what Config.Dial says, on one line: where the way leads, it knows better.
type undialed struct{ error }

func (e undialed) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }
func (e undialed) Unwrap() error { return e.error }

// dial is nil as long as nobody says otherwise.
func (c *Config) dial() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.Dial == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := c.Dial(ctx, network, addr)
		if err != nil {
			return nil, undialed{err}
		}
		return conn, nil
	}
}

func certificates(hub string, text []byte) ([]*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
	if err != nil {
		return nil, fmt.Errorf("hub %s does not answer as a hub: is the port right? (%w)", hub, err)
	}
	p, err := parsePKCS7(der)
	if err != nil {
		return nil, fmt.Errorf("hub %s does not answer as a hub: is the port right? (%w)", hub, err)
	}
	return p.Certificates, nil
}

// parsePKCS7 does not let a panic in the decoder of a stranger's bytes end the
// program.
func parsePKCS7(der []byte) (p *pkcs7.PKCS7, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("PKCS #7: %v", r)
		}
	}()
	return pkcs7.Parse(der)
}

func refusal(hub string, rs *http.Response, text []byte) error {
	words := strings.Join(strings.Fields(string(text[:min(len(text), 200)])), " ")
	switch rs.StatusCode {
	case http.StatusUnauthorized:
		return ErrRefused
	case http.StatusForbidden:
		return ErrRevoked
	case http.StatusNotFound:
		return fmt.Errorf("hub %s %w", hub, errNotThere)
	case http.StatusTooManyRequests:
		return fmt.Errorf("hub %s: too many attempts from this address, try again in half a minute", hub)
	}
	return fmt.Errorf("hub %s answers %d: %q; try again later or look into the hub's log", hub, rs.StatusCode, words)
}

// explain turns what net and crypto/tls say into what to do.
func explain(hub string, err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var way undialed
	switch {
	case errors.As(err, &way):
		return fmt.Errorf("hub %s cannot be reached: %w", hub, way)
	case errors.As(err, &unknown), errors.As(err, &name):
		return fmt.Errorf("%w (%w)", ErrWrongHub, err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("hub %s does not speak TLS: is the port right?", hub)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("hub %s does not answer in time: check address, port and firewall (TCP)", hub)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("hub %s cannot be reached: %w; check address, port and firewall (TCP)", hub, op)
	}
	return fmt.Errorf("hub %s: %w", hub, err)
}
