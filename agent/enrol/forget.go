package enrol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"edged/internal/durable"
)

// Forget takes this appliance's private key away, with its certificate, and what a
// cut may have left of writing them; durable on return. It is unlinked, not
// overwritten: flash keeps the old page whatever is written. Who takes the key from
// there is stopped at the hub, by revoking the appliance.
func Forget(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget the identity: %w", err)
	}
	for _, e := range entries {
		if !strings.Contains(e.Name(), File) && !strings.Contains(e.Name(), pending) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("forget the identity: %w", err)
		}
	}
	return durable.SyncDir(dir)
}
