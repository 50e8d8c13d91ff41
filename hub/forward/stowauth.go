package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Credentials say who the hub is. Many goroutines call them.
type Credentials interface {
	// Set puts them on a request. An error means that there are none at this time.
	Set(*http.Request) error
	// Renew is called when they were refused, and reports whether the next Set may
	// bring others.
	Renew() bool
}

// Basic is a password (RFC 7617). It is asked for with each request, so that a new one
// in its file holds at once.
type Basic struct {
	User     string
	Password func() (string, error)
}

// Set implements Credentials.
func (b Basic) Set(rq *http.Request) error {
	password, err := b.Password()
	if err == nil {
		rq.SetBasicAuth(b.User, password)
	}
	return err
}

// Renew implements Credentials.
func (Basic) Renew() bool { return false }

// Token is the client credentials grant of OAuth 2.0 (RFC 6749 §4.4). Its token is
// kept until it runs out or is refused.
type Token struct {
	URL, ClientID string
	Secret        func() (string, error) // asked for with each token
	Scopes        []string
	TLS           *tls.Config // of the token's URL. If nil, the system's authorities.

	mu     sync.Mutex // guards what follows; held while a token is fetched, so that one is
	client *http.Client
	token  *oauth2.Token
	got    time.Time
}

// tokenTime is how long a token may take.
const tokenTime = 30 * time.Second

// Set implements Credentials.
func (t *Token) Set(rq *http.Request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.token.Valid() {
		if err := t.fetch(rq.Context()); err != nil {
			return fmt.Errorf("token from %s: %w", t.URL, err)
		}
	}
	t.token.SetAuthHeader(rq)
	return nil
}

// Renew implements Credentials. A token that was refused right after it was made will
// not be better for being made again.
func (t *Token) Renew() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = nil
	return time.Since(t.got) > time.Second
}

func (t *Token) fetch(ctx context.Context) error {
	secret, err := t.Secret()
	if err != nil {
		return err
	}
	if t.client == nil {
		t.client = newClient(t.TLS, 1)
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, t.client), tokenTime)
	defer cancel()
	c := clientcredentials.Config{ClientID: t.ClientID, ClientSecret: secret, TokenURL: t.URL, Scopes: t.Scopes}
	token, err := c.Token(ctx)
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) { // without what it wrote: it may repeat the secret
		return fmt.Errorf("HTTP %d %s: see auth of this destination", refused.Response.StatusCode, oneLine(refused.ErrorCode))
	}
	if err == nil {
		t.token, t.got = token, time.Now()
	}
	return err
}
