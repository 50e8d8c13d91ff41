package account

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"edged/internal/durable"
)

const (
	version     = 1
	maxAccounts = 64
	maxFile     = 128 << 10
	stampLen    = 16
	lockWait    = 10 * time.Second
)

// record is an account in the file; doc.go says what its fields are.
type record struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Password string    `json:"password"`
	Stamp    string    `json:"stamp"`
	Freed    uint32    `json:"freed"`
	Made     time.Time `json:"made"`
	Changed  time.Time `json:"changed"`
}

type file struct {
	Version  int      `json:"version"`
	Accounts []record `json:"accounts"`
}

// parse reads what encode writes.
func parse(data []byte) ([]record, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the end")
	}
	if f.Version != version {
		return nil, fmt.Errorf("version %d, this program reads %d", f.Version, version)
	}
	return f.Accounts, check(f.Accounts)
}

func check(all []record) error {
	if len(all) > maxAccounts {
		return fmt.Errorf("%d accounts, at most %d", len(all), maxAccounts)
	}
	names := make(map[string]bool)
	for i, r := range all {
		stamp, err := base64.RawURLEncoding.DecodeString(r.Stamp)
		_, bad := parsePHC(r.Password)
		if !validName(r.Name) || names[r.Name] || !r.Role.May(Technician) || err != nil || len(stamp) != stampLen || bad != nil {
			return fmt.Errorf("account %d is damaged", i+1)
		}
		names[r.Name] = true
	}
	return nil
}

func encode(all []record) ([]byte, error) {
	if err := check(all); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(file{version, all}, "", "  ")
	return append(data, '\n'), err
}

// read is the file's bytes; nil where there is no file.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s is not a file that only its owner writes: chmod 600 if it was you", path)
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// rewrite changes the file while no other process does.
//
// Order: flock FILE.lock, read, change, durable.WriteFile. The commit point is that of
// WriteFile.
func rewrite(path string, change func([]record) ([]record, error)) error {
	if err := ownDir(filepath.Dir(path)); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := durable.Lock(lock, lockWait); err != nil {
		return fmt.Errorf("somebody else is changing %s: %w", path, err)
	}
	defer lock.Close()
	all, err := load(path)
	if err != nil {
		return err
	}
	if all, err = change(all); err != nil {
		return err
	}
	data, err := encode(all)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}

func load(path string) ([]record, error) {
	data, err := read(path)
	if err != nil || data == nil {
		return nil, err
	}
	all, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// ownDir makes dir where there is none. What root would write in another's folder the
// daemon could not read.
func ownDir(dir string) error {
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d: run this as that user (sudo -u)", dir, st.Uid)
	}
	return nil
}
