package hubtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"edged/hub/enrol"
	"edged/internal/identity"
)

// CA makes certificates of a hub's own authority. All devices that it makes share
// one key: what a handshake costs is the same, and thousands are made in a second.
type CA struct {
	authority *identity.Authority
	key       *ecdsa.PrivateKey
	request   *x509.CertificateRequest
	base      *tls.Config
}

// OpenCA opens the authority in the hub's ca_dir, or makes it there.
func OpenCA(dir string) (*CA, error) {
	authority, err := identity.OpenAuthority(dir, time.Now())
	if err != nil {
		return nil, err
	}
	key, err := identity.NewKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	base := identity.HubTLS(authority.Cert())
	base.NextProtos = []string{identity.ALPN}
	base.DynamicRecordSizingDisabled = true
	return &CA{authority: authority, key: key, request: request, base: base}, nil
}

// Client is how the device calls its hub.
func (ca *CA) Client(id, facility string) (*tls.Config, error) {
	cert, err := ca.authority.SignDevice(ca.request, identity.Device{ID: id, Facility: facility}, time.Now())
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", id, err)
	}
	c := ca.base.Clone()
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: ca.key}}
	return c, nil
}

// Rows is where devices are entered: *ledger.Ledger, also one of another process.
type Rows interface {
	AddCode(ctx context.Context, hash [32]byte, facility string, expires time.Time, actor string) error
	Claim(ctx context.Context, hash, key [32]byte, newID, from string) (enrol.Device, error)
}

// enrollers enter devices side by side, so that they share transactions.
const enrollers = 128

// Enrol enters devices in the hub's rows, approved, as claim codes would have done.
// Who is there already is left as it is.
func Enrol(ctx context.Context, rows Rows, facility string, ids ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan string)
	var wg sync.WaitGroup
	for range min(enrollers, len(ids)) {
		wg.Go(func() {
			for id := range todo {
				if err := enrolOne(ctx, rows, facility, id); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, id := range ids {
		todo <- id
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

func enrolOne(ctx context.Context, rows Rows, facility, id string) error {
	hash, key := sha256.Sum256([]byte("code "+id)), sha256.Sum256([]byte("key "+id))
	if _, err := rows.Claim(ctx, hash, key, id, ""); err == nil {
		return nil // of an earlier run
	}
	if err := rows.AddCode(ctx, hash, facility, time.Now().Add(time.Hour), "hubtest"); err != nil {
		return err
	}
	_, err := rows.Claim(ctx, hash, key, id, "")
	return err
}
