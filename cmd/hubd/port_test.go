package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"edged/agent/enrol"
	"edged/internal/identity"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// TestOnePortServesImagesAndEnrolment: while an appliance uploads over TCP, others
// enrol on the same port, and what holds connections there without a word, or in
// the middle of a handshake, stands in nobody's way. The console says what carries.
func TestOnePortServesImagesAndEnrolment(t *testing.T) {
	s := newSite(t)
	s.transport = "tcp"
	p := s.start()
	b := s.enrol()
	for i := range 300 { // more than one address may have
		conn, err := net.Dial("tcp", s.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01")) // the beginning of a ClientHello (RFC 8446 §4.1.2)
		}
	}
	source := uplinktest.NewSource()
	const objects = 60
	for n := range objects {
		source.Add(uint64(n), 100_000+n*1000, uint8(n%3))
	}
	var seen []ConnectedDevice
	enrolled := 0
	s.uplink(b, source, func(u *uplink.Uplink) bool {
		if u.Status().Connected && enrolled < 3 {
			s.enrol()
			enrolled++
		}
		if len(seen) == 0 { // it is at most a second old
			seen = s.status(p).Devices.Connected
		}
		return enrolled == 3 && source.Count(uplinktest.Archived) == objects && len(seen) > 0
	})
	for _, c := range seen {
		if c.Carrier != "tcp" || c.Device != b.Device().ID {
			t.Errorf("connection %+v", c)
		}
	}
	var st Status
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if st = s.status(p); st.Counters.Archived == objects && st.Devices.Enrolled == 4 {
			break
		}
	}
	if st.Counters.Archived != objects || st.Devices.Enrolled != 4 || st.Strangers > 150 {
		t.Errorf("status %+v, %+v, %d strangers", st.Counters, st.Devices, st.Strangers)
	}
	if code, text := get(t, "http://"+p.console+"/metrics"); code != http.StatusOK || !strings.Contains(text, `hubd_carrier_connections{carrier="tcp"}`) {
		t.Errorf("metrics: %d", code)
	}
	began := time.Now()
	if code := p.stop(t); code != exitDone || time.Since(began) > 40*time.Second {
		t.Errorf("exit %d after %s", code, time.Since(began))
	}
}

// TestThePortAsksForCertificatesByProtocol (P11): edged/1 has none without one of
// this hub; HTTP serves without, and who offers no protocol gets HTTP.
func TestThePortAsksForCertificatesByProtocol(t *testing.T) {
	s, other := newSite(t), newSite(t)
	s.start()
	other.start()
	b, foreign := s.enrol(), other.enrol()
	ca := func(alpn ...string) *tls.Config {
		c := identity.HubTLS(b.CA)
		c.NextProtos = alpn
		return c
	}
	with := func(c *tls.Config, b *identity.Bundle) *tls.Config {
		c.Certificates = b.ClientTLS().Certificates
		return c
	}
	for name, c := range map[string]struct {
		tls *tls.Config
		ok  bool
	}{
		"an appliance":                    {with(ca("edged/1"), b), true},
		"an appliance that offers both":   {with(ca("http/1.1", "edged/1"), b), true},
		"nobody":                          {ca("edged/1"), false},
		"an appliance of another hub":     {with(ca("edged/1"), foreign), false},
		"HTTP without a certificate":      {ca("http/1.1"), true},
		"no protocol":                     {ca(), true},
		"HTTP with a foreign certificate": {with(ca("http/1.1"), foreign), true},
		"HTTP/2 alone":                    {ca("h2"), false},
	} {
		err := speak(s.listen, c.tls)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := enrol.Enrol(t.Context(), enrol.Config{Hub: s.listen, Code: strings.TrimSpace(s.do("code", "new", "--facility", "F1")), Dir: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

// speak sends what the negotiated protocol expects to be answered, and hears that it
// is.
func speak(addr string, c *tls.Config) error {
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if conn.ConnectionState().NegotiatedProtocol != wire.ALPN {
		return asked(conn)
	}
	hello, err := wire.Append(nil, &wire.Hello{Versions: []uint16{wire.Version}, Boot: []byte("b"), DataDir: []byte("d")})
	if err != nil {
		return err
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	f, err := wire.NewReader(conn).Next()
	if err == nil && f.Type() != wire.TypeWelcome {
		err = fmt.Errorf("instead of Welcome: %+v", f)
	}
	return err
}

func asked(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: hub\r\n\r\n"); err != nil {
		return err
	}
	rs, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil && rs.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", rs.StatusCode)
	}
	return err
}
