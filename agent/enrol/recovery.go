package enrol

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"edged/internal/identity"
)

// ErrNoRecovery is what RecoveryKey says when the hub has no such key, or is too
// old to know of it.
var ErrNoRecovery = errors.New("the hub has no recovery key: if this appliance breaks, or its TPM, nobody can read its disk; the hub's administrator makes one with `hubd recovery new`")

var errNotThere = errors.New("answers 404: it does not know what it was asked for; is it a hub, and is its version not older than this one?")

// RecoveryKey asks the hub for the public key (PEM) that the key of the spool is
// wrapped to. The appliance must have enrolled: what comes is believed because the
// connection is verified against the CA in c.Dir. c.Code is not used.
func RecoveryKey(ctx context.Context, c Config) ([]byte, error) {
	id, err := identity.LoadBundle(filepath.Join(c.Dir, File))
	if err != nil {
		return nil, fmt.Errorf("recovery key: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.Hub+"/.well-known/edged/recovery-key", nil)
	if err != nil {
		return nil, fmt.Errorf("hub address %q: %w", c.Hub, err)
	}
	text, err := c.fetch(identity.HubTLS(id.CA), rq)
	if errors.Is(err, errNotThere) {
		return nil, ErrNoRecovery
	}
	return text, err
}
