package main

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"edged/hub/ledger"
	"edged/internal/config"
)

// Token is who may use the API, without its secret.
type Token struct {
	Name      string    `json:"name"`
	Role      string    `json:"role" enum:"viewer,operator,admin"` // viewer | operator | admin
	State     string    `json:"state" enum:"good,expired,revoked"` // good | expired | revoked
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	UsedAt    time.Time `json:"used_at,omitzero"` // to a minute
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

func tokenOf(t ledger.Token) Token {
	out := Token{t.Name, t.Role, "good", t.Created, t.CreatedBy, t.Expires, t.Used, t.Revoked}
	switch {
	case !t.Revoked.IsZero():
		out.State = "revoked"
	case !t.Good(time.Now()):
		out.State = "expired"
	}
	return out
}

func (c *console) tokens(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	after := ""
	if err := r.after(&after); err != nil {
		return nil, err
	}
	rows, err := c.h.ledger.Tokens(r.Context(), after, limit+1)
	if err != nil {
		return nil, err
	}
	return next(rows, limit, func(t ledger.Token) string { return cursor(t.Name) }, tokenOf), nil
}

// NewTokenBody asks for a token.
type NewTokenBody struct {
	Name string `json:"name"`
	Role string `json:"role" enum:"viewer,operator,admin"`
	TTL  string `json:"ttl,omitempty"` // as 12h or 90d, the default; never
}

// NewToken is shown this once.
type NewToken struct {
	Token     string    `json:"token"`
	Name      string    `json:"name"`
	Role      string    `json:"role" enum:"viewer,operator,admin"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// tokenName keeps names fit for the trail.
var tokenName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

const (
	tokenTTL    = "90d"
	maxTokenTTL = 10 * 365 * 24 * time.Hour
)

// tokenWishes judges what a new token is to be.
func tokenWishes(b NewTokenBody, now time.Time) (ledger.Token, error) {
	t := ledger.Token{Name: b.Name, Role: b.Role}
	if !tokenName.MatchString(b.Name) {
		return t, fmt.Errorf("name %q: want 1 to 64 small letters, digits, dots, - and _, beginning with a letter or digit", b.Name)
	}
	if _, ok := roleOf(b.Role); !ok {
		return t, fmt.Errorf("role %q: want viewer, operator or admin", b.Role)
	}
	if b.TTL == "never" {
		return t, nil
	}
	ttl, err := config.ParseDuration(cmp.Or(b.TTL, tokenTTL))
	if err != nil || ttl < time.Minute || ttl > maxTokenTTL {
		return t, fmt.Errorf("ttl %q: want a time from 1m to 3650d, as 12h or 90d, or never", b.TTL)
	}
	t.Expires = now.Add(ttl)
	return t, nil
}

func (c *console) newToken(r *request) (any, error) {
	var b NewTokenBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	t, err := tokenWishes(b, time.Now())
	if err != nil {
		return nil, bad("%v", err)
	}
	text, hash := newToken()
	if err := c.h.ledger.AddToken(r.Context(), t, hash, r.who()); err != nil {
		return nil, err
	}
	return NewToken{text, t.Name, t.Role, t.Expires}, nil
}

func (c *console) revokeToken(r *request) (any, error) {
	name := r.PathValue("name")
	if err := c.h.ledger.RevokeToken(r.Context(), name, r.who()); err != nil {
		return nil, err
	}
	t, err := c.h.ledger.TokenNamed(r.Context(), name)
	return tokenOf(t), err
}

var tokenOperations = []operation{
	{id: "tokens", method: http.MethodGet, path: "/tokens", min: admin, summary: "Who may use this API, without the secrets.", query: paging, answer: page[Token]{}, do: (*console).tokens},
	{id: "newToken", method: http.MethodPost, path: "/tokens", min: admin, summary: "Make a token. It is in this answer and nowhere else.", body: NewTokenBody{}, answer: NewToken{}, do: (*console).newToken},
	{id: "revokeToken", method: http.MethodPost, path: "/tokens/{name}/revoke", min: admin, summary: "End a token for good.", answer: Token{}, do: (*console).revokeToken},
}
