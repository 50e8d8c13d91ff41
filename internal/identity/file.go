package identity

import (
	"errors"
	"os"
	"path/filepath"

	"edged/internal/durable"
)

// maxPEM bounds what is read as key or certificate.
const maxPEM = 1 << 20

// writeFile makes data the content of path, readable by the owner alone, and
// durable on return.
func writeFile(path string, data []byte) error { return durable.WriteFile(path, data, 0o600) }

func readFile(path string) ([]byte, error) { return durable.ReadFile(path, maxPEM) }

// settle makes durable a file that an earlier process wrote and perhaps did not
// live to sync: what is read from it may be only in the page cache.
func settle(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
