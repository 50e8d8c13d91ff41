//go:build linux

package spool

import (
	"errors"
	"os"
	"path"
	"slices"
)

// NeedsKey reports whether anything in the spool below dir is encrypted: then no
// new key may be made for it. A spool that ran with a key last answers by its
// journal; one that ran without costs a look at the beginning of every file. It
// changes nothing and takes no lock.
func NeedsKey(dir string) (bool, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	fs, err := openOSFS(dir)
	if err != nil {
		return false, err
	}
	defer fs.close()
	return needsKey(fs)
}

func needsKey(fs FS) (bool, error) {
	if errors.Is(checkJournalKey(fs, nil), ErrKey) {
		return true, nil
	}
	names, err := objectFiles(fs)
	errs := []error{err}
	for _, name := range names {
		sealed, err := fileIsEncrypted(fs, name)
		if sealed {
			return true, nil
		}
		errs = append(errs, err)
	}
	return false, errors.Join(errs...)
}

// objectFiles lists the files of objects, newest first, also those set aside.
func objectFiles(fs FS) (names []string, err error) {
	seqs, err := listObjects(fs, nil)
	for _, seq := range slices.Backward(seqs) {
		names = append(names, objectName(seq))
	}
	aside, err2 := fs.ReadDir(quarantineDir)
	for _, name := range aside {
		names = append(names, path.Join(quarantineDir, name))
	}
	return names, errors.Join(unlessMissing(err), unlessMissing(err2))
}

func unlessMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// fileIsEncrypted looks at the first bytes only: a damaged header counts, too.
func fileIsEncrypted(fs FS, name string) (bool, error) {
	f, err := fs.Open(name)
	if err != nil {
		return false, unlessMissing(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size < cipherHeader {
		return false, err
	}
	magic := make([]byte, len(cipherMagic))
	err = readFull(f, magic, 0)
	return err == nil && isEncrypted(magic), err
}

// checkJournalKey says ErrKey when a segment is there that keys do not open. What
// else is wrong with the journal is for those who read it.
func checkJournalKey(fs FS, keys *keyring) error {
	gens, err := segments(fs)
	if err != nil {
		return nil
	}
	for _, gen := range slices.Backward(gens) {
		if err := checkSegmentKey(fs, keys, gen); notOurs(err) {
			return err
		}
	}
	return nil
}

func checkSegmentKey(fs FS, keys *keyring, gen uint64) error {
	f, err := fs.Open(segmentName(gen))
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, sealedHeader)
	n, _ := f.ReadAt(b, 0)
	_, err = readSegmentHeader(b[:n], keys)
	return err
}
