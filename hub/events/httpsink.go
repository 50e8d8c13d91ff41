package events

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// HTTPConfig is a sink that takes POST requests.
type HTTPConfig struct {
	Name    string
	URL     string
	Secret  []byte            // signs requests; another one for each sink. If nil, they are not signed.
	Timeout time.Duration     // of one request. If zero, 30 s.
	CAs     *x509.CertPool    // who may have signed the receiver's certificate. If nil, the system's.
	Client  http.RoundTripper // If nil, the system's proxy.
}

// HTTP is that sink.
type HTTP struct {
	c      HTTPConfig
	client *http.Client
}

// httpWorkers send at the same time: one study that takes long holds up no other.
const httpWorkers = 4

var _ Sink = (*HTTP)(nil)

// NewHTTP returns the sink.
func NewHTTP(c HTTPConfig) *HTTP {
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if c.Client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.ResponseHeaderTimeout = httpWorkers, c.Timeout
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.CAs}
		c.Client = t
	}
	return &HTTP{c: c, client: &http.Client{Transport: c.Client, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Name implements Sink.
func (h *HTTP) Name() string { return h.c.Name }

// Workers implements Sink.
func (h *HTTP) Workers() int { return httpWorkers }

// Send posts one event. What the receiver writes into its answer is not looked at: it
// may name a person.
func (h *HTTP) Send(ctx context.Context, m Message) error {
	digest, length, err := m.Digest()
	if err != nil {
		return errors.New("the event cannot be unpacked")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.c.URL, io.NopCloser(m.Body()))
	if err != nil {
		return &Away{"the URL cannot be used"}
	}
	r.ContentLength = length
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(m.Body()), nil }
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "hubd")
	r.Header.Set("Idempotency-Key", hex.EncodeToString(digest[:]))
	if h.c.Secret != nil {
		signature, err := Signature(h.c.Secret, time.Now().Unix(), m.Body())
		if err != nil {
			return errors.New("the event cannot be signed")
		}
		r.Header.Set("Edged-Signature", signature)
	}
	answer, err := h.client.Do(r)
	if err != nil {
		return unreached(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
	return judge(answer.StatusCode)
}

// judge says what a status means. For good a receiver refuses only what it says is wrong
// with the event itself: all else passes, or somebody mends it, and the event waits.
func judge(status int) error {
	words := strings.TrimSpace(fmt.Sprintf("answered %d %s", status, http.StatusText(status)))
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return &Refused{words}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusGone,
		http.StatusMisdirectedRequest, http.StatusUpgradeRequired, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusNetworkAuthenticationRequired:
		return &Away{words}
	}
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400: // it is not followed: what is signed is for this URL
		return &Away{words + ": correct url"}
	}
	return errors.New(words)
}

// unreached is about the sink, but where an answer is missing after the request: that may
// be about the event. The URL, which may have a secret, is left out.
func unreached(err error) error {
	var u *url.Error
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return &Away{"not reached"}
	}
	if errors.As(err, &u) {
		if u.Timeout() {
			return errors.New("no answer in time")
		}
		err = u.Err
	}
	return &Away{fmt.Sprintf("not reached: %.200s", err)}
}
