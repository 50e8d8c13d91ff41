package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"edged/agent/page"
)

// listenPage opens the page's port: plain, with the certificate of files, or with one of
// its own.
func (a *appliance) listenPage() (net.Listener, error) {
	p := a.cfg.Page
	open := func(key, address string) (net.Listener, error) {
		l, err := listenTCP(key, address)
		if err != nil {
			return nil, err
		}
		if l = shared(l, a.log); p.encrypted() {
			l = strayListener{l}
		}
		return l, nil
	}
	if !p.TLS.Auto {
		return listenTLS("page", DicomTLS{Listen: p.Listen, Cert: p.TLS.Cert, Key: p.TLS.Key}, a.log, open)
	}
	if _, err := a.pageKeys.certificate(); err != nil {
		return nil, err
	}
	l, err := open("page", p.Listen)
	if err != nil {
		return nil, err
	}
	c := secure()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.pageKeys.certificate() }
	return tls.NewListener(l, c), nil
}

// strayListener leads who comes by http:// to https://.
type strayListener struct{ net.Listener }

func (l strayListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &strayConn{Conn: c}, nil
}

// strayConn looks at the first bytes, in the goroutine that reads.
type strayConn struct {
	net.Conn
	looked bool
	first  []byte // read and not given yet
}

const handshake = 0x16 // the type of a TLS record that begins one, RFC 8446 §5.1

func (c *strayConn) Read(p []byte) (int, error) {
	if !c.looked {
		c.looked = true
		first := make([]byte, 4<<10)
		n, err := c.Conn.Read(first)
		if err != nil {
			return copy(p, first[:n]), err
		}
		if c.first = first[:n]; n > 0 && first[0] != handshake && c.lead() {
			return 0, io.EOF
		}
	}
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// lead answers one who asks for a page, for this once: nothing is remembered (307).
func (c *strayConn) lead() bool {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.first)))
	if err != nil || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Host == "" || r.URL.Host != "" {
		return false // net/http has words for it
	}
	fmt.Fprintf(c.Conn, "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://%s%s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", r.Host, r.URL.RequestURI())
	return true
}

// pageDoor is what `edged status` says of the page.
func (a *appliance) pageDoor() page.Door {
	p := a.cfg.Page
	return page.Door{Listen: p.Listen, HTTPS: p.Listen != "" && p.encrypted(), Fingerprint: a.pageFingerprint()}
}

func (c *control) pageDoor(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(c.door()) // the peer is gone when this fails
}

// inTheOpen is whether others on the network see the page in plain.
func (p Page) inTheOpen() bool {
	host, _, err := net.SplitHostPort(p.Listen)
	if err != nil || p.encrypted() || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}
