//go:build linux

package spool

import (
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// maxLeft is how many databases may be left alone; then there is no index until
// the next start, and lists read the objects' files.
const maxLeft = 8

// guarded turns a fault in the mapped file, such as a disk that cannot be read,
// into an error where Go allows it.
//
// A fault in the middle of a transaction can leave bbolt with its locks taken:
// its rollback reads the freelist from the pages that just faulted. Close would
// then wait for ever, and with it Run and every list.
func (x *index) guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			x.faults.Add(1)
			err = fmt.Errorf("index: %v", p)
		}
	}()
	return f()
}

// letGo closes a database, or leaves it alone after a fault: what that costs is
// the mapping, until the end of the process.
func (x *index) letGo(db *bolt.DB) {
	switch {
	case db == nil:
	case x.faults.Load() > 0:
		x.left++
	default:
		db.Close()
	}
}
