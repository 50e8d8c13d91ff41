package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// streetListener has connections come from wherever the test says.
type streetListener struct {
	net.Listener
	come chan net.Conn
}

func (l *streetListener) Accept() (net.Conn, error) {
	c, ok := <-l.come
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l *streetListener) Close() error { close(l.come); return nil }

type cameFrom struct {
	net.Conn
	address net.Addr
}

func (c cameFrom) RemoteAddr() net.Addr { return c.address }

// street is a listener of the page, and who stands before it.
type street struct {
	*sharedListener
	t    *testing.T
	come chan net.Conn
}

func newStreet(t *testing.T) street {
	come := make(chan net.Conn, 1)
	return street{shared(&streetListener{come: come}, slog.New(slog.DiscardHandler)), t, come}
}

// visit is one connection from an address: the two ends of it.
func (s street) visit(address string) (mine, theirs net.Conn) {
	s.t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	ok(s.t, err)
	mine, theirs = net.Pipe()
	s.t.Cleanup(func() { mine.Close(); theirs.Close() })
	return mine, cameFrom{theirs, a}
}

// taken is the end of a connection that is accepted, nil where it is cut. What comes after
// it, from this machine, says that it was looked at.
func (s street) taken(address string) net.Conn {
	s.t.Helper()
	_, theirs := s.visit(address)
	_, after := s.visit("127.0.0.1:9")
	s.come <- theirs
	go func() { s.come <- after }()
	c, err := s.Accept()
	ok(s.t, err)
	if c.RemoteAddr().String() != address {
		c.Close()
		return nil
	}
	last, err := s.Accept()
	ok(s.t, err)
	last.Close()
	return c
}

// One address has a share of the page's connections, eight have all that is for visitors,
// and this machine gets in all the same; what is closed is free again.
func TestOneVisitorKeepsNobodyFromThePage(t *testing.T) {
	s := newStreet(t)
	var first net.Conn
	for i := range addressHTTP {
		if first = s.taken(fmt.Sprintf("10.0.0.1:%d", 1000+i)); first == nil {
			t.Fatalf("connection %d of an address is cut", i+1)
		}
	}
	if s.taken("10.0.0.1:5") != nil || s.taken("[::ffff:10.0.0.1]:5") != nil {
		t.Fatal("an address has more than its share")
	}
	other := s.taken("10.0.0.2:5")
	if other == nil {
		t.Fatal("one address keeps another out")
	}
	other.Close()
	other.Close() // twice is once
	first.Close()
	if s.taken("10.0.0.1:5") == nil {
		t.Error("what was closed is not free")
	}
	if s.taken("10.0.0.1:6") != nil {
		t.Error("what was closed once is free twice")
	}
	all := addressHTTP
	for k := 2; all < maxHTTP-selfHTTP; k++ {
		for i := 0; i < addressHTTP && all < maxHTTP-selfHTTP; i++ {
			if s.taken(fmt.Sprintf("10.0.1.%d:%d", k, 1000+i)) == nil {
				t.Fatalf("connection %d of all is cut", all+1)
			}
			all++
		}
	}
	if s.taken("10.9.9.9:5") != nil {
		t.Error("visitors have what is for this machine")
	}
	for range selfHTTP - 1 { // taken itself comes with one more
		if s.taken("[::1]:7") == nil {
			t.Fatal("visitors keep this machine out")
		}
	}
	if n := s.all; n != maxHTTP-1 {
		t.Errorf("%d are open, want %d", n, maxHTTP-1)
	}
}

// A network of IPv6 is one /64, where each has his share. Who takes many addresses there
// is four at most.
func TestOneVisitorOfIPv6IsNotHisNetwork(t *testing.T) {
	for _, network := range []string{"fe80::", "fd00::", "2001:db8::"} {
		s := newStreet(t)
		for i := range networkHTTP * addressHTTP {
			if s.taken(fmt.Sprintf("[%s%x]:%d", network, 1+i/addressHTTP, 1000+i)) == nil {
				t.Fatalf("%s: connection %d is cut", network, i+1)
			}
			if i == addressHTTP-1 && s.taken("["+network+"1]:5") != nil {
				t.Errorf("%s: an address has more than its share", network)
			}
		}
		if s.taken("["+network+"ffff]:5") != nil {
			t.Errorf("%s: one network of IPv6 has more than four shares", network)
		}
		if s.taken("[2001:db8:0:1::1]:5") == nil {
			t.Errorf("%s: keeps another network out", network)
		}
	}
}

// One address that holds all connections that it gets, streams of events and silent ones,
// is cut beyond them; a page for another one is there at once.
func TestAFloodFromOneAddressLeavesThePage(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	s := newStreet(t)
	server := &http.Server{Handler: h.page}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(s) }()
	defer func() { server.Close(); <-done }()
	cut := 0
	for i := range 3 * addressHTTP {
		mine, theirs := s.visit(fmt.Sprintf("10.0.0.1:%d", 1000+i))
		s.come <- theirs
		mine.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(mine, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("\r\n", i%2)); err != nil {
			cut++
		}
	}
	if cut != 2*addressHTTP {
		t.Errorf("%d of %d were cut", cut, 3*addressHTTP)
	}
	mine, theirs := s.visit("10.0.0.2:1")
	s.come <- theirs
	mine.SetDeadline(time.Now().Add(patience))
	go io.WriteString(mine, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if text, err := io.ReadAll(mine); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200") {
		t.Errorf("another address is answered %.200q, %v", text, err)
	}
}

// The page's port shares, plain and encrypted.
func TestThePageIsShared(t *testing.T) {
	for _, auto := range []bool{false, true} {
		h := newHouse(t, func(c *Config) { c.Page.Listen, c.Page.TLS.Auto = "127.0.0.1:0", auto })
		seen := &lockedBuffer{}
		h.log = slog.New(slog.NewTextHandler(seen, nil))
		l, err := h.listenPage()
		ok(t, err)
		defer l.Close()
		accepted := make(chan net.Conn, maxHTTP+8)
		go func() {
			defer close(accepted)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c
			}
		}()
		for range maxHTTP + 1 {
			c, err := net.Dial("tcp", l.Addr().String())
			ok(t, err)
			defer c.Close()
		}
		awaitFor(t, patience, "the last one to be cut", func() bool { return strings.Contains(seen.String(), "connections to the page are cut") })
		if len(accepted) != maxHTTP {
			t.Errorf("%d are accepted", len(accepted))
		}
	}
}
