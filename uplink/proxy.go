package uplink

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// proxy leads TCP lanes out by HTTP CONNECT (RFC 9110 §9.3.6). It sees the
// address of the hub and TLS; it cannot open it.
type proxy struct {
	addr string // HOST:PORT; empty: there is none
	user *url.Userinfo
}

// maxProxyHeader bounds what a proxy answers before the tunnel begins.
const maxProxyHeader = 16 << 10

var errProxyForm = errors.New("uplink: proxy is written HOST:PORT or http://[USER:PASSWORD@]HOST:PORT")

// parseProxy reads Config.Proxy. What is wrong is told without quoting it: it may
// hold a password.
func parseProxy(s string) (p proxy, err error) {
	if s == "" {
		return p, nil
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Hostname() == "" || u.Port() == "" {
		return p, errProxyForm
	}
	if u.Scheme != "http" {
		return p, fmt.Errorf("%w; %s is not spoken to proxies: inside the tunnel all is TLS anyway", errProxyForm, u.Scheme)
	}
	if u.User != nil && strings.Contains(u.User.Username(), ":") {
		return p, fmt.Errorf("%w; a USER has no colon (RFC 7617 §2)", errProxyForm)
	}
	return proxy{addr: net.JoinHostPort(u.Hostname(), u.Port()), user: u.User}, nil
}

// CheckProxy says what is wrong with a Config.Proxy.
func CheckProxy(s string) error {
	_, err := parseProxy(s)
	return err
}

// Through returns what connects as a lane over TCP does: through the proxy, written as
// in Config.Proxy, which looks the name up; without one to the addresses of the name in
// turn. It is for who speaks to the hub beside the lanes.
func Through(proxyURL string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		p, err := parseProxy(proxyURL)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, openWait)
		defer cancel()
		return p.reach(ctx, dialAddresses, addr, func(net.Conn) {})
	}
}

// reach opens a socket that leads to addr, by a tunnel if there is a proxy. tune is
// called before anything is sent.
func (p proxy) reach(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error), addr string, tune func(net.Conn)) (net.Conn, error) {
	socket, err := dial(ctx, "tcp", cmp.Or(p.addr, addr))
	if err != nil {
		return nil, p.explain(err)
	}
	tune(socket)
	if p.addr == "" {
		return socket, nil
	}
	if err := within(ctx, socket, func() error { return p.connect(socket, addr) }); err != nil {
		return nil, err
	}
	return socket, nil
}

// explain tells that it is the proxy that cannot be reached.
func (p proxy) explain(err error) error {
	if p.addr == "" {
		return err
	}
	return fmt.Errorf("proxy %s: %w", p.addr, err)
}

// connect asks for a tunnel to addr. Who calls it bounds the time.
func (p proxy) connect(socket net.Conn, addr string) error {
	if _, err := io.WriteString(socket, p.request(addr)); err != nil {
		return p.explain(err)
	}
	limited := &io.LimitedReader{R: socket, N: maxProxyHeader}
	r := bufio.NewReader(limited)
	answer, err := p.answer(r)
	switch {
	case err != nil && limited.N == 0:
		return p.explain(fmt.Errorf("its answer has more than %d bytes: is it an HTTP proxy?", maxProxyHeader))
	case err != nil:
		return p.explain(fmt.Errorf("no answer of an HTTP proxy: %w", err))
	case answer.StatusCode/100 != 2:
		return p.explain(p.refused(answer, addr))
	case r.Buffered() > 0: // TLS is begun by the appliance
		return p.explain(errors.New("it speaks before the hub may: is it an HTTP proxy that knows CONNECT?"))
	}
	return nil
}

// request is in authority form (RFC 9110 §7.1, RFC 9112 §3.2.3).
func (p proxy) request(addr string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", addr, addr)
	if p.user != nil {
		password, _ := p.user.Password()
		token := base64.StdEncoding.EncodeToString([]byte(p.user.Username() + ":" + password)) // RFC 7617 §2
		fmt.Fprintf(&b, "Proxy-Authorization: Basic %s\r\n", token)
	}
	b.WriteString("\r\n")
	return b.String()
}

// answer reads the header of the final answer; what a 2xx says of a body does
// not count (RFC 9110 §9.3.6), that of another is not read.
func (p proxy) answer(r *bufio.Reader) (*http.Response, error) {
	for {
		a, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
		if err != nil || a.StatusCode/100 != 1 || a.StatusCode == http.StatusSwitchingProtocols {
			return a, err
		}
	}
}

// refused says what to do about an answer.
func (p proxy) refused(a *http.Response, addr string) error {
	switch a.StatusCode {
	case http.StatusProxyAuthRequired:
		return p.unauthorized(a)
	case http.StatusForbidden:
		return fmt.Errorf("it forbids %s (403): whoever runs it has to allow CONNECT to that address", addr)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("it cannot reach %s (%d): its own way out, or the hub, is down, or the name is unknown there", addr, a.StatusCode)
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return fmt.Errorf("it does not know CONNECT (%d): is it an HTTP proxy?", a.StatusCode)
	}
	return fmt.Errorf("it refuses %s (%d)", addr, a.StatusCode)
}

func (p proxy) unauthorized(a *http.Response) error {
	var basic bool
	var schemes []string
	for _, v := range a.Header.Values("Proxy-Authenticate") {
		scheme, _, _ := strings.Cut(v, " ")
		basic = basic || strings.EqualFold(scheme, "Basic")
		schemes = append(schemes, fmt.Sprintf("%.20q", scheme))
	}
	switch {
	case len(schemes) > 0 && !basic:
		return fmt.Errorf("it wants %.200s and no other proof (407), Basic alone is spoken: whoever runs it has to let this address through", strings.Join(schemes, ", "))
	case p.user != nil:
		return errors.New("it does not accept the name and password in uplink.proxy (407)")
	}
	return errors.New("it wants a name and a password (407): uplink.proxy is written http://USER:PASSWORD@HOST:PORT then")
}
