package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"edged/internal/identity"
)

// User is the name in HTTP Basic authentication; the code's secret is the password.
const User = "claim"

// maxRequest is far more than a request for a P-256 key takes.
const maxRequest = 16 << 10

// Config is what a Server needs. Authority and Store are required.
type Config struct {
	Authority *identity.Authority
	Store     Store
	Recovery  []byte           // the recovery public key, PEM; if nil, the hub has none
	Logger    *slog.Logger     // if nil, nothing is logged
	Now       func() time.Time // if nil, time.Now
}

// Server answers EST requests. It is an http.Handler for the paths of doc.go,
// behind identity.Server's Mixed TLS.
type Server struct {
	Config
	guesses *guesses
	mux     *http.ServeMux
}

// New returns a server. It starts nothing.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{Config: c, guesses: newGuesses(), mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /.well-known/est/cacerts", s.caCerts)
	s.mux.HandleFunc("POST /.well-known/est/simpleenroll", s.enrol)
	s.mux.HandleFunc("POST /.well-known/est/simplereenroll", s.reenrol)
	s.mux.HandleFunc("GET /.well-known/edged/recovery-key", s.recovery)
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// NewCode makes a code for one appliance of a facility, valid for ttl, and
// records it in the name of actor. It is shown once and kept nowhere.
func NewCode(ctx context.Context, c Config, facility string, ttl time.Duration, actor string) (identity.ClaimCode, time.Time, error) {
	code := identity.NewClaimCode(c.Authority.Cert())
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	expires := now().Add(ttl)
	return code, expires, c.Store.AddCode(ctx, identity.HashPassword(code.Password()), facility, expires, actor)
}

// caCerts is RFC 7030 §4.1. It is asked without trust: the appliance compares
// the key with its claim code.
func (s *Server) caCerts(w http.ResponseWriter, _ *http.Request) {
	s.certificates(w, s.Authority.Cert(), "application/pkcs7-mime")
}

// recovery gives the key that the key of each appliance's disk is wrapped to.
func (s *Server) recovery(w http.ResponseWriter, _ *http.Request) {
	if s.Recovery == nil {
		http.Error(w, "this hub has no recovery key", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Write(s.Recovery)
}

// enrol is RFC 7030 §4.2.1, authorised by a claim code (§3.2.3).
func (s *Server) enrol(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	if !ok || user != User {
		w.Header().Set("WWW-Authenticate", `Basic realm="edged"`)
		http.Error(w, "a claim code is needed", http.StatusUnauthorized)
		return
	}
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	if !s.guesses.allow(from, s.Now()) {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many attempts, try again in half a minute", http.StatusTooManyRequests)
		return
	}
	csr, key, err := request(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d, err := s.Store.Claim(r.Context(), identity.HashPassword(password), key, newDeviceID(), from)
	if err == nil && !d.Approved {
		err = ErrUsed
	}
	if err != nil {
		s.refuse(w, from, err)
		return
	}
	s.guesses.forgive(from)
	s.Logger.Info("appliance enrolled", "device", d.ID, "facility", d.Facility, "from", from)
	s.issue(w, csr, d)
}

// refuse tells nobody outside what was wrong with a code, the log does.
func (s *Server) refuse(w http.ResponseWriter, from string, err error) {
	if errors.Is(err, ErrNoCode) || errors.Is(err, ErrExpired) || errors.Is(err, ErrUsed) {
		s.Logger.Warn("claim code refused", "from", from, "why", err)
		w.Header().Set("WWW-Authenticate", `Basic realm="edged"`)
		http.Error(w, "the hub does not accept this claim code: it is wrong, was used, or has expired", http.StatusUnauthorized)
		return
	}
	s.Logger.Error("enrolment failed", "from", from, "err", err)
	http.Error(w, "the hub cannot enrol at the moment, try again later", http.StatusServiceUnavailable)
}

// reenrol is RFC 7030 §4.2.2, authorised by the certificate that the appliance
// has, even one that has run out, as long as its device is approved.
func (s *Server) reenrol(w http.ResponseWriter, r *http.Request) {
	who, cert, err := s.Authority.VerifyDevice(r.TLS, s.Now(), true)
	if err != nil {
		http.Error(w, "a certificate of this hub is needed", http.StatusUnauthorized)
		return
	}
	d, err := s.Store.Device(r.Context(), who.ID)
	if err != nil || !d.Approved {
		s.Logger.Warn("renewal refused", "device", who.ID, "err", err)
		http.Error(w, "this appliance is not approved: ask the hub's administrator", http.StatusForbidden)
		return
	}
	csr, key, err := request(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch err := s.renewed(r, d.ID, cert, key); {
	case errors.Is(err, ErrOldKey):
		s.Logger.Warn("renewal refused: either somebody has an old copy of the appliance, or it was restored from one", "device", d.ID, "from", r.RemoteAddr, "err", err)
		http.Error(w, "this certificate was replaced by later ones: enrol the appliance anew with a claim code", http.StatusForbidden)
		return
	case err != nil:
		s.refuse(w, r.RemoteAddr, err)
		return
	}
	s.issue(w, csr, d)
}

// renewed records the new key of who came with cert.
func (s *Server) renewed(r *http.Request, id string, cert *x509.Certificate, key [32]byte) error {
	with, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return ErrOldKey // this hub signs no other
	}
	return s.Store.Renewed(r.Context(), id, keyHash(with), key)
}

func (s *Server) issue(w http.ResponseWriter, csr *x509.CertificateRequest, d Device) {
	cert, err := s.Authority.SignDevice(csr, identity.Device{ID: d.ID, Facility: d.Facility}, s.Now())
	if err != nil {
		s.Logger.Error("certificate not issued", "device", d.ID, "err", err)
		http.Error(w, "the hub cannot sign at the moment, try again later", http.StatusServiceUnavailable)
		return
	}
	s.certificates(w, cert, "application/pkcs7-mime; smime-type=certs-only")
}

// certificates answers with a certs-only PKCS #7 in base64 (RFC 7030 §4.1.3, §4.2.3).
func (s *Server) certificates(w http.ResponseWriter, cert *x509.Certificate, contentType string) {
	der, err := pkcs7.DegenerateCertificate(cert.Raw)
	if err != nil {
		s.Logger.Error("certificate not encoded", "err", err)
		http.Error(w, "the hub cannot answer at the moment", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Transfer-Encoding", "base64")
	io.WriteString(w, base64.StdEncoding.EncodeToString(der)+"\n")
}

// request reads a PKCS #10 request in base64 (RFC 7030 §4.2.1) that its own key
// has signed, and the hash of that key.
func request(r *http.Request) (*x509.CertificateRequest, [32]byte, error) {
	var hash [32]byte
	text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil || len(text) > maxRequest {
		return nil, hash, fmt.Errorf("a certificate request in base64 of at most %d bytes is needed", maxRequest)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		return nil, hash, errors.New("the certificate request is not base64")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, hash, errors.New("the certificate request is not PKCS #10")
	}
	key, err := identity.CheckRequest(csr)
	if err != nil {
		return nil, hash, err
	}
	return csr, keyHash(key), nil
}

func keyHash(key *ecdsa.PublicKey) [32]byte {
	b, err := key.Bytes()
	if err != nil {
		panic(fmt.Sprintf("enrol: CheckRequest passed a key that is none: %v", err))
	}
	return sha256.Sum256(b)
}

// newDeviceID is 80 random bits: it says nothing about the facility.
func newDeviceID() string {
	b := make([]byte, 10)
	rand.Read(b)
	return "edge-" + strings.ToLower(base32.HexEncoding.EncodeToString(b))
}
