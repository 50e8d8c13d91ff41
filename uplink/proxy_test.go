package uplink

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// uplink.proxy is a URL or a host and port. What is wrong is said without its
// password.
func TestProxyForms(t *testing.T) {
	for s, want := range map[string]string{
		"proxy.example:3128":                   "proxy.example:3128",
		"http://proxy.example:3128":            "proxy.example:3128",
		"http://proxy.example:3128/":           "proxy.example:3128",
		"http://u:p%40ss@[2001:db8::1]:8080":   "[2001:db8::1]:8080",
		"u:p@proxy.example:8080":               "proxy.example:8080",
		"":                                     "",
		"proxy.example":                        "!HOST:PORT",
		"http://proxy.example":                 "!HOST:PORT",
		"http://:3128":                         "!HOST:PORT",
		"https://u:secret@proxy.example:3128":  "!not spoken",
		"socks5://proxy.example:1080":          "!not spoken",
		"http://u:secret@proxy.example:3128/x": "!HOST:PORT",
		"http://u:secret@proxy.example:port":   "!HOST:PORT",
		"http://u%3Av:secret@p.example:3128":   "!colon",
		"http://u:secret@p.example:3128?a":     "!HOST:PORT",
	} {
		p, err := parseProxy(s)
		if words, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %v", s, err)
			}
		} else if err != nil || p.addr != want {
			t.Errorf("%q: %q, %v", s, p.addr, err)
		}
	}
}

// answered has a proxy answer with a text and returns what connect makes of it.
func answered(t *testing.T, proxyURL, text string) (request string, err error) {
	t.Helper()
	p, err := parseProxy(proxyURL)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	got := make(chan string, 1)
	go func() {
		defer far.Close()
		r, err := http.ReadRequest(bufio.NewReader(far))
		if err != nil {
			got <- err.Error()
			return
		}
		got <- r.Method + " " + r.RequestURI + " " + r.Host + " " + r.Header.Get("Proxy-Authorization")
		io.WriteString(far, text)
	}()
	err = p.connect(near, "hub.example:8443")
	near.Close()
	return <-got, err
}

// A proxy is asked for host and port of the hub and told the credentials that
// were given, nothing more.
func TestTheProxyIsAskedForATunnel(t *testing.T) {
	for url, want := range map[string]string{
		"proxy.example:3128":               "CONNECT hub.example:8443 hub.example:8443 ",
		"http://Aladdin:open%20sesame@p:1": "CONNECT hub.example:8443 hub.example:8443 Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", // RFC 7617 §2
	} {
		if got, err := answered(t, url, "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n"); err != nil || got != want {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// Whatever a proxy answers, the operator hears what to do, and the header is bounded.
func TestAProxysRefusalSaysWhatToDo(t *testing.T) {
	const open, named = "proxy.example:3128", "http://u:secret@proxy.example:3128"
	for name, c := range map[string]struct{ url, answer, want string }{
		"an old one, fine":       {open, "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n", ""},
		"no content, fine":       {open, "HTTP/1.1 204 No Content\r\n\r\n", ""},
		"continue first":         {open, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ""},
		"wants a name":           {open, "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", "http://USER:PASSWORD@HOST:PORT"},
		"wants another name":     {named, "HTTP/1.1 407 Who\r\nProxy-Authenticate: basic realm=\"x\"\r\n\r\n", "does not accept"},
		"wants Windows":          {named, "HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n", `"NTLM", "Negotiate"`},
		"forbids":                {open, "HTTP/1.1 403 No\r\n\r\n", "allow CONNECT"},
		"cannot":                 {open, "HTTP/1.1 502 No\r\n\r\n", "cannot reach hub.example:8443"},
		"is too slow":            {open, "HTTP/1.1 504 No\r\n\r\n", "cannot reach hub.example:8443"},
		"is a web server":        {open, "HTTP/1.1 405 No\r\n\r\n", "is it an HTTP proxy"},
		"redirects":              {open, "HTTP/1.1 302 Log in\r\nLocation: http://portal\r\n\r\n", "refuses hub.example:8443 (302)"},
		"switches":               {open, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "(101)"},
		"is SSH":                 {open, "SSH-2.0-OpenSSH_9\r\n\r\n", "no answer of an HTTP proxy"},
		"hangs up":               {open, "", "no answer of an HTTP proxy"},
		"hangs up in mid-header": {open, "HTTP/1.1 200 OK\r\nX-", "no answer of an HTTP proxy"},
		"talks on":               {open, "HTTP/1.1 200 OK\r\n\r\nwelcome to the tunnel", "before the hub may"},
		"says much":              {open, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Long: "+strings.Repeat("x", 100)+"\r\n", 10_000), "more than 16384 bytes"},
		"one long line":          {open, "HTTP/1.1 200 " + strings.Repeat("x", 1<<20), "more than 16384 bytes"},
		"continues for ever":     {open, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100_000), "more than 16384 bytes"},
		"words of its own":       {named, "HTTP/1.1 599 \x1b[31m\r\n\r\n", "(599)"},
		"schemes without end":    {named, "HTTP/1.1 407 Who\r\n" + strings.Repeat("Proxy-Authenticate: "+strings.Repeat("N", 200)+"\r\n", 50) + "\r\n", "Basic alone"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answered(t, c.url, c.answer)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q in it", err, c.want)
			case err != nil && (strings.Contains(err.Error(), "secret") || len(err.Error()) > 500 || strings.Contains(err.Error(), "\x1b")):
				t.Errorf("says %q", err)
			}
		})
	}
}

// A proxy that says nothing, or a byte a second, costs openWait.
func TestASilentProxyCostsABoundedTime(t *testing.T) {
	for name, script := range map[string]func(net.Conn){
		"silent": func(c net.Conn) { io.Copy(io.Discard, c) },
		"dribbling": func(c net.Conn) {
			go io.Copy(io.Discard, c)
			for range 100 {
				<-time.After(time.Second)
				if _, err := io.WriteString(c, "H"); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &Uplink{c: Config{Proxy: "proxy.example:3128", Idle: time.Second}}
				u.c.Dial = func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go func() { defer far.Close(); script(far) }()
					return near, nil
				}
				began := time.Now()
				_, err := u.dialTCP(t.Context(), "hub.example:8443")
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != openWait || !strings.Contains(err.Error(), "proxy.example:3128") {
					t.Errorf("after %s: %v", took, err)
				}
				<-time.After(time.Hour) // for the script
			})
		})
	}
}

// fakeNet connects, refuses or says nothing, by address.
type fakeNet struct {
	after map[string]time.Duration // an answer; negative: refused after so long; missing: none

	mu    sync.Mutex // guards what follows
	tried []string
	open  []*fakeConn
}

type fakeConn struct {
	net.Conn
	to     string
	closed bool
}

func (c *fakeConn) Close() error { c.closed = true; return nil }

func (n *fakeNet) addresses(list ...string) addresses {
	var ips []netip.Addr
	for _, s := range list {
		ips = append(ips, netip.MustParseAddr(s))
	}
	return addresses{
		lookup: func(context.Context, string, string) ([]netip.Addr, error) { return ips, nil },
		dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
			ip := netip.MustParseAddrPort(addr).Addr().String()
			n.mu.Lock()
			n.tried = append(n.tried, ip)
			n.mu.Unlock()
			d, answers := n.after[ip]
			if !answers {
				d = time.Hour
			}
			select {
			case <-time.After(max(d, -d)):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if d < 0 {
				return nil, errors.New(ip + " refuses")
			}
			c := &fakeConn{to: ip}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.open = append(n.open, c)
			return c, nil
		},
	}
}

// A dead address of a hub costs a quarter of a second; one that refuses costs
// nothing; families alternate (RFC 8305 §4, §5).
func TestADeadAddressCostsAQuarterOfASecond(t *testing.T) {
	for name, c := range map[string]struct {
		after map[string]time.Duration
		list  []string
		want  string // empty: none
		took  time.Duration
		tried []string
	}{
		"the first": {map[string]time.Duration{"10.0.0.1": 20 * time.Millisecond}, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.1", 20 * time.Millisecond, []string{"10.0.0.1"}},
		"a dead one": {map[string]time.Duration{"10.0.0.2": 20 * time.Millisecond}, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.2", 270 * time.Millisecond,
			[]string{"10.0.0.1", "10.0.0.2"}},
		"one that refuses": {map[string]time.Duration{"10.0.0.1": -5 * time.Millisecond, "10.0.0.2": 20 * time.Millisecond}, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.2", 25 * time.Millisecond,
			[]string{"10.0.0.1", "10.0.0.2"}},
		"IPv6 that leads nowhere": {map[string]time.Duration{"10.0.0.1": 20 * time.Millisecond}, []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "10.0.0.1"}, "10.0.0.1", 270 * time.Millisecond,
			[]string{"2001:db8::1", "10.0.0.1"}},
		"the slow first one after all": {map[string]time.Duration{"10.0.0.1": 300 * time.Millisecond, "10.0.0.2": 200 * time.Millisecond}, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.1", 300 * time.Millisecond,
			[]string{"10.0.0.1", "10.0.0.2"}},
		"all refuse": {map[string]time.Duration{"10.0.0.1": -1, "10.0.0.2": -1}, []string{"10.0.0.1", "10.0.0.2"}, "", 2, []string{"10.0.0.1", "10.0.0.2"}},
		"no address": {nil, nil, "", 0, nil},
		"too many":   {nil, slices.Repeat([]string{"10.0.0.1"}, 50), "", 10 * time.Second, slices.Repeat([]string{"10.0.0.1"}, maxTried)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNet{after: c.after}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()
				conn, err := n.addresses(c.list...).connect(ctx, "tcp", "hub.example:8443")
				if got, ok := conn.(*fakeConn); ok && (got.to != c.want || got.closed) || ok != (c.want != "") || (err == nil) != ok {
					t.Errorf("connected to %+v, %v", conn, err)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
				if !slices.Equal(n.tried, c.tried) {
					t.Errorf("tried %v", n.tried)
				}
				for _, other := range n.open {
					if other != conn && !other.closed {
						t.Errorf("%s stays open", other.to)
					}
				}
			})
		})
	}
}
