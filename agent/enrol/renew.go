package enrol

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"edged/internal/identity"
)

// Renew asks the hub for a certificate for a fresh key, authorised by the
// present one (RFC 7030 §4.2.2), which may have run out, and replaces the
// identity in c.Dir. c.Code is not used.
//
// The commit point is the rename below Save. The key exists only in memory
// before: the hub admits the present certificate until it ends, so there is
// nothing to be lost with an answer.
func Renew(ctx context.Context, c Config) (*identity.Bundle, error) {
	path := filepath.Join(c.Dir, File)
	old, err := identity.LoadBundle(path)
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	key, err := identity.NewKey()
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	rq, err := request(ctx, c.Hub, "simplereenroll", key)
	if err != nil {
		return nil, err
	}
	certs, err := c.ask(old.RenewTLS(), rq)
	if errors.Is(err, ErrRefused) {
		err = errNotKnown // there was no claim code that could be wrong
	}
	if err != nil {
		return nil, err
	}
	cert, err := own(certs, old.CA, key)
	if err != nil {
		return nil, err
	}
	b := &identity.Bundle{Key: key, Cert: cert, CA: old.CA}
	if err := successor(old, b); err != nil {
		return nil, err
	}
	if err := b.Save(path); err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	return b, nil
}

var errNotKnown = errors.New("the hub does not take this appliance's certificate as one of its own: was it set up anew? Then this appliance must enrol there again")

// successor refuses what would make the appliance another one, or live no
// longer than it does already.
func successor(old, b *identity.Bundle) error {
	if is, was := b.Device().ID, old.Device().ID; is != was {
		return fmt.Errorf("the hub's answer: the certificate is for %s, this is %s", is, was)
	}
	if !b.Cert.NotAfter.After(old.Cert.NotAfter) {
		return fmt.Errorf("the hub's answer: the certificate ends on %s, not later than the present one: is the hub's clock right?", b.Cert.NotAfter)
	}
	return nil
}
