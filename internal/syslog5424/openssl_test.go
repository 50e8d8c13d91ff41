package syslog5424

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A receiver that is not of Go: what TLS of ours it takes, and that its end is an end.
func TestOpenSSLHearsAMessage(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	ca := newAuthority(t)
	cert := ca.server(t).Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "server.pem")
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})...)
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", file, "-key", file, "-naccept", "1")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.StdinPipe(); err != nil { // at the end of its input it would end, too
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	heard := ""
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			s := sender(t, Config{Address: address, TLS: &tls.Config{RootCAs: ca.pool()}})
			keep(t, s, "<x/>\n")
			run(t, s)
			if st := until(t, s, "empty or failing", func(st Status) bool { return empty(st) || failing(st) }); st.LastError != "" {
				t.Errorf("%+v", st)
			}
		}
		heard += lines.Text() + "\n"
	}
	if err := server.Wait(); err != nil {
		t.Errorf("openssl: %v", err)
	}
	if !strings.Contains(heard, "<85>1 2026-11-22T18:20:14.250000+01:00 edged-7f3a edged - DICOM+RFC3881 - \ufeff<x/>") {
		t.Errorf("heard %q", heard)
	}
}
