package unitlab

import (
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// Mask runs a test with the UMask that the unit gives the hub. Packages two folders below
// the module's may call it.
func Mask(t testing.TB) {
	t.Helper()
	unit, err := os.ReadFile("../../configs/hubd.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^UMask=([0-7]+)$`).FindSubmatch(unit)
	if m == nil {
		t.Fatal("the unit has no UMask")
	}
	mask, err := strconv.ParseInt(string(m[1]), 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(int(mask))
	t.Cleanup(func() { syscall.Umask(old) })
}
