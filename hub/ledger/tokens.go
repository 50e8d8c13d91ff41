package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Token is who may use the API, and for what. The token itself is kept nowhere.
type Token struct {
	Name, Role, CreatedBy           string
	Created, Expires, Used, Revoked time.Time // zero: never
}

// Good reports whether it opens anything at that time.
func (t Token) Good(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

var (
	ErrTokenExists = errors.New("there is or was a token of this name; the audit trail knows it, so choose another")
	ErrNoToken     = errors.New("no such token")
)

// AddToken records a token by its hash, in the name of who.
func (l *Ledger) AddToken(ctx context.Context, t Token, hash [sha256.Size]byte, who string) error {
	return l.change(ctx, func(b *batch) error {
		actor, _ := whoParts(who)
		n, err := b.exec(`INSERT INTO tokens (name, role, hash, created_at, created_by, expires_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
			t.Name, t.Role, hash[:], b.now, actor, millisOf(t.Expires))
		if err == nil && n == 0 {
			err = ErrTokenExists
		}
		if err != nil {
			return fmt.Errorf("token %s: %w", t.Name, err)
		}
		detail := "role " + t.Role
		if !t.Expires.IsZero() {
			detail += ", valid until " + t.Expires.UTC().Format(time.RFC3339)
		}
		return b.audit(who, "token new", t.Name, detail)
	})
}

// RevokeToken ends it for good, in the name of who.
func (l *Ledger) RevokeToken(ctx context.Context, name, who string) error {
	return l.change(ctx, func(b *batch) error {
		n, err := b.exec(`UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at = 0`, b.now, name)
		if err == nil && n == 0 {
			err = ErrNoToken
		}
		if err != nil {
			return fmt.Errorf("revoke token %s: %w", name, err)
		}
		return b.audit(who, "token revoke", name, "")
	})
}

const tokenColumns = `SELECT name, role, created_by, created_at, expires_at, used_at, revoked_at FROM tokens`

// TokenOf looks a token up by its hash; ErrNoToken when there is none. Whether it
// is good the caller sees.
func (l *Ledger) TokenOf(ctx context.Context, hash [sha256.Size]byte) (Token, error) {
	return scanToken(l.read.QueryRowContext(ctx, tokenColumns+` WHERE hash = ?`, hash[:]))
}

// TokenNamed looks it up by name.
func (l *Ledger) TokenNamed(ctx context.Context, name string) (Token, error) {
	return scanToken(l.read.QueryRowContext(ctx, tokenColumns+` WHERE name = ?`, name))
}

func scanToken(r interface{ Scan(...any) error }) (Token, error) {
	var t Token
	var at [4]int64
	err := r.Scan(&t.Name, &t.Role, &t.CreatedBy, &at[0], &at[1], &at[2], &at[3])
	if errors.Is(err, sql.ErrNoRows) {
		return t, ErrNoToken
	}
	if err != nil {
		return t, fmt.Errorf("token: %w", err)
	}
	t.Created, t.Expires, t.Used, t.Revoked = timeOf(at[0]), timeOf(at[1]), timeOf(at[2]), timeOf(at[3])
	return t, nil
}

// Tokens are at most limit of them, by name, after that name.
func (l *Ledger) Tokens(ctx context.Context, after string, limit int) ([]Token, error) {
	rows, err := l.lists.QueryContext(ctx, tokenColumns+` WHERE name > ? ORDER BY name LIMIT ?`, after, min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	defer rows.Close()
	var out []Token
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// TokensUsed records when tokens were used last. It is no change in anybody's name.
func (l *Ledger) TokensUsed(ctx context.Context, used map[string]time.Time) error {
	return l.change(ctx, func(b *batch) error {
		for name, at := range used {
			if _, err := b.exec(`UPDATE tokens SET used_at = ?1 WHERE name = ?2 AND used_at < ?1`, at.UnixMilli(), name); err != nil {
				return fmt.Errorf("tokens used: %w", err)
			}
		}
		return nil
	})
}

// timeOf and millisOf take 0 for never.
func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
