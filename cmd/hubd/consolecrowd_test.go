package main

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// silent makes so many connections to addr that say nothing, from an address.
func silent(t *testing.T, addr, from string, n int) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for range n {
		c, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

// Who is not authenticated and says nothing does not take every connection of the
// console: the health check of a load balancer, metrics and people come there too, some
// of them from the same address.
func TestSilentConnectionsDoNotCloseTheConsole(t *testing.T) {
	s := newSite(t)
	p := s.start()
	silent(t, p.console, "127.0.0.1", maxHTTP+50)
	for range 3 {
		rs, err := (&http.Client{Timeout: 3 * time.Second}).Get("http://" + p.console + "/healthz")
		if err != nil {
			t.Fatalf("one address with silent connections: %v", err)
		}
		rs.Body.Close()
	}
}

// Who talks stays, however many silent ones come from his address, or from many: they
// are never more than is allowed.
func TestWhoTalksToTheConsoleStays(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newCrowds(l)
	accept := func() net.Conn {
		conn, err := c.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	talker, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer talker.Close()
	talks, word := accept(), make([]byte, 1)
	for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.1"} {
		for range maxHTTPAddress {
			silent(t, l.Addr().String(), from, 1)
			accept()
			if _, err := talker.Write(word); err != nil {
				t.Fatal(err)
			}
			if _, err := talks.Read(word); err != nil {
				t.Fatalf("who talks was sent away for who came from %s: %v", from, err)
			}
		}
		for who, crowd := range c.by {
			if len(crowd) > maxHTTPAddress {
				t.Errorf("%d from %s", len(crowd), who)
			}
		}
		if c.total > maxHTTP {
			t.Errorf("%d in all", c.total)
		}
	}
}
