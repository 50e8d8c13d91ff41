package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// A device that we call proves that it is the one: by a certificate of client_ca with
// its address or its tls_name. Without client_ca, when any public authority would
// do, nobody is called (PS3.15 §B.12).
func TestWhoIsCalledProvesThatItIsTheDevice(t *testing.T) {
	a, public := newAuthority(t, "hospital"), newAuthority(t, "public")
	a.issue("edged", 2, nil)
	t.Setenv("SSL_CERT_FILE", public.file("ca.pem")) // what the system trusts
	ours := DicomTLS{Cert: a.file("edged.pem"), Key: a.file("edged.key")}
	if _, err := ours.callback(Device{Address: "10.0.0.7"}, slog.Default()); err == nil {
		t.Error("a device is called, and any certificate serves")
	}
	ours.ClientCA = a.file("ca.pem")
	ws, ct := net.IPv4(10, 0, 0, 7), net.IPv4(10, 0, 0, 8)
	for what, c := range map[string]struct {
		shown tls.Certificate
		ok    bool
	}{
		"by its address":          {a.issueFor("a", 3, nil, nil, ws), true},
		"by its name":             {a.issueFor("b", 4, nil, []string{"other", "WS.hospital.example"}, ct), true},
		"another device":          {a.issueFor("c", 5, nil, []string{"ct.hospital.example"}, ct), false},
		"a common name only":      {a.issueFor("ws.hospital.example", 6, nil, nil), false},
		"a wildcard":              {a.issueFor("d", 7, nil, []string{"*.hospital.example"}), false},
		"another authority":       {public.issueFor("e", 8, nil, []string{"ws.hospital.example"}, ws), false},
		"somebody on the Net":     {public.issueFor("f", 9, nil, []string{"www.evil.example"}), false},
		"a key that is too short": {a.issueFor("g", 10, shortRSA(t), nil, ws), false},
	} {
		var said bytes.Buffer
		cfg, err := ours.callback(Device{AETitle: "WS", Address: "10.0.0.7", TLSName: "ws.hospital.example"}, slog.New(slog.NewTextHandler(&said, nil)))
		ok(t, err)
		if err := shake(cfg, c.shown); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
		if c.ok == strings.Contains(said.String(), "is refused") {
			t.Errorf("%s: the log says %q", what, said.String())
		}
	}
}

// shake calls a server that shows a certificate. By TCP: who writes to a pipe waits
// for its reader, and here both may write at once.
func shake(client *tls.Config, shown tls.Certificate) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if b, err := l.Accept(); err == nil {
			defer b.Close()
			tls.Server(b, &tls.Config{Certificates: []tls.Certificate{shown}}).Handshake()
		}
	}()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", l.Addr().String(), client)
	if err == nil {
		c.Close()
	}
	<-done
	return err
}

// The certificate of one device does not serve another whose name is known, be it an
// alternative name or the common name (and its AE title is easily forged).
func TestAnotherDevicesCertificateDoesNotServe(t *testing.T) {
	a := newAuthority(t, "hospital")
	of := func(c tls.Certificate) *x509.Certificate {
		cert, err := x509.ParseCertificate(c.Certificate[0])
		ok(t, err)
		return cert
	}
	ws := of(a.issueFor("a", 3, nil, []string{"ws.hospital.example"}))
	common := of(a.issueFor("WS.hospital.example", 4, nil, nil))
	ct := of(a.issueFor("ct", 5, nil, []string{"ct.hospital.example", "*.hospital.example"}))
	for _, want := range []string{tlsAny, tlsMutual} {
		d := Dicom{AETitle: "EDGED", TLS: DicomTLS{ClientCA: "ca.pem"}, Devices: []Device{{AETitle: "WS", TLS: want, TLSName: "ws.hospital.example"}, {AETitle: "CT", TLS: want}}}
		r := newRoster(d, time.Now, func() {})
		for _, c := range []struct {
			title string
			proof *x509.Certificate
			code  status.RefusalCode
		}{
			{"WS", ws, ""}, {"WS", common, ""}, {"WS", ct, status.NoCertificate}, {"WS", nil, status.NoCertificate},
			{"CT", ws, ""}, // its name is not known: any certificate of the authority
		} {
			if code := r.judge(caller{calling: c.title, called: "EDGED", address: "10.0.0.7", secure: true, proof: c.proof}); code != c.code {
				t.Errorf("%s, tls: %s: %q, want %q", c.title, want, code, c.code)
			}
		}
	}
}
