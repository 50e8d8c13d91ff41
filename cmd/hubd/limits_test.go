package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Limits that would stop every appliance are refused at the start, by key and line.
func TestLimitsThatStopEverybodyAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"limits: {appliances: 0}":                                               "1: limits.appliances: 0: nobody",
		"limits: {appliance_rate: 1kbit/s}":                                     "1: limits.appliance_rate: 1kbit/s: want at least",
		"limits: {partial_bytes: 1MiB}":                                         "1: limits.partial_bytes: 1MiB: want at least",
		"limits: {appliances: 1, appliance_rate: 1Mbit/s, partial_bytes: 1GiB}": "",
	} {
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut strings.Builder
		code := run(t.Context(), []string{"check", "-c", path}, &out, &errOut)
		if want == "" && strings.Contains(errOut.String(), "limits.") || want != "" && (code != exitUsage || !strings.Contains(errOut.String(), want)) {
			t.Errorf("%q: exit %d, got %q, want %q", text, code, errOut.String(), want)
		}
	}
}
