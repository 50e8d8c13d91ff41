package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"edged/hub/ledger"
)

// role is what a token may do; each may what the ones before may.
type role int

const (
	nobody   role = iota // no token
	viewer               // sees all but secrets and words of archives
	operator             // acts on appliances, codes and trouble, and sees the trail
	admin                // decides about tokens, and about what counts as archived
)

var roleNames = [...]string{nobody: "nobody", viewer: "viewer", operator: "operator", admin: "admin"}

func (r role) String() string { return roleNames[r] }

// roleOf knows the names that tokens can have.
func roleOf(name string) (role, bool) {
	for r := viewer; r <= admin; r++ {
		if roleNames[r] == name {
			return r, true
		}
	}
	return nobody, false
}

// tokenPrefix lets scanners of repositories and logs find a token that got there.
const tokenPrefix = "hubd_"

// newToken is 32 random bytes, and what the ledger keeps of them.
func newToken() (string, [sha256.Size]byte) {
	secret := make([]byte, 32)
	rand.Read(secret)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(secret), sha256.Sum256(secret)
}

// hashOf is of whatever was sent; a token that is none has a hash that nobody has.
func hashOf(token string) [sha256.Size]byte {
	rest, ok := strings.CutPrefix(strings.TrimSpace(token), tokenPrefix)
	secret, err := base64.RawURLEncoding.DecodeString(rest)
	if !ok || err != nil || len(secret) != 32 {
		return sha256.Sum256([]byte("not a token: " + token))
	}
	return sha256.Sum256(secret)
}

// caller is who asks.
type caller struct {
	name   string // of the token; "" is nobody
	role   role
	origin string
	csrf   string // of the browser's session; "" for programs
}

// who stands in the trail.
func (c caller) who() string {
	if c.name == "" {
		return ledger.Who("nobody", c.origin)
	}
	return ledger.Who("token:"+c.name, c.origin)
}

// admit says who asks, and refuses whom the role does not suffice for.
func (c *console) admit(r *http.Request, min role, by func(*http.Request) (caller, *problem)) (caller, *problem) {
	who, p := by(r)
	switch {
	case p != nil:
		return who, p
	case who.role >= min:
		return who, nil
	case who.role == nobody:
		return who, &problem{Status: http.StatusUnauthorized, Title: "a token is needed", Detail: "send the header \"Authorization: Bearer TOKEN\"; hubd token new makes a token on the hub's machine"}
	}
	if r.Method != http.MethodGet {
		c.note(r.Context(), &c.guard.refusals, who.who(), "refused", r.URL.Path, fmt.Sprintf("needs %s, is %s", min, who.role))
	}
	return who, &problem{Status: http.StatusForbidden, Title: "the role does not suffice", Detail: fmt.Sprintf("this needs the role %s and your token has %s: ask an administrator of the hub", min, who.role)}
}

// bearer is RFC 6750 §2.1. Without the header it is nobody who asks.
func (c *console) bearer(r *http.Request) (caller, *problem) {
	who := caller{origin: originOf(r)}
	h := r.Header.Get("Authorization")
	if h == "" {
		return who, nil
	}
	scheme, token, _ := strings.Cut(h, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return who, &problem{Status: http.StatusUnauthorized, Title: "only bearer tokens are taken", Detail: "send the header \"Authorization: Bearer TOKEN\""}
	}
	t, p := c.token(r.Context(), who.origin, token)
	if p != nil {
		return who, p
	}
	who.name = t.Name
	who.role, _ = roleOf(t.Role)
	return who, nil
}

// token looks one up that somebody sent, and counts those that are none. A good one is
// taken whatever came before it: an SSH tunnel and NAT give many one address, and who
// sends rubbish from there must keep nobody out. 256 bits are not guessed; the lock is
// for the trail and the log.
func (c *console) token(ctx context.Context, origin, text string) (ledger.Token, *problem) {
	now, hash := time.Now(), hashOf(text)
	t, err := c.h.ledger.TokenOf(ctx, hash)
	if err != nil && !errors.Is(err, ledger.ErrNoToken) {
		c.h.log.Error("token not looked up", "err", err)
		return t, unavailable("the ledger cannot be asked at the moment")
	}
	if err == nil && t.Good(now) {
		c.memory.usedToken(t.Name, now)
		return t, nil
	}
	if wait := c.guard.wait(origin, now); wait > 0 {
		return t, &problem{Status: http.StatusTooManyRequests, Title: "too many wrong tokens came from this address",
			Detail: fmt.Sprintf("this one is not good either; wait %s before the next that may be wrong: a good one is taken at any time", wait.Round(time.Second)), retryAfter: wait}
	}
	why := "unknown"
	if err == nil && !t.Revoked.IsZero() {
		why = t.Name + " was revoked"
	} else if err == nil {
		why = t.Name + " has expired"
	}
	locked := c.guard.failed(origin, hash, now)
	if locked {
		why += "; the address is locked out for " + lockFor.String()
		c.h.log.Warn("console locked an address out", "address", origin)
	}
	c.note(ctx, &c.guard.strangers, ledger.Who("nobody", origin), "log-in failed", "console", why)
	return t, &problem{Status: http.StatusUnauthorized, Title: "the token is not good", Detail: "it is unknown, expired or revoked: ask an administrator of the hub for another one"}
}

// note writes into the trail what changed nothing, no oftener than the budget lets.
func (c *console) note(ctx context.Context, of *budget, who, action, subject, detail string) {
	dropped, ok := of.take(time.Now())
	if !ok {
		return
	}
	if dropped > 0 {
		detail += fmt.Sprintf(" (and %d more before it that are not written down)", dropped)
	}
	if err := c.h.ledger.Audit(context.WithoutCancel(ctx), who, action, subject, detail); err != nil {
		c.h.log.Error("audit trail not written", "err", err)
	}
}

// guard slows down who guesses. It keeps nothing of who guessed right.
type guard struct {
	mu sync.Mutex // guards by
	by map[string]*failures

	// Rows about who has no token; and about who has one and wants more than it may:
	// those no stranger can keep out of the trail by being many.
	strangers, refusals budget
}

// budget bounds rows that others cause: noteBurst at once, then one each noteEvery. Its
// zero value is full.
type budget struct {
	mu      sync.Mutex // guards what follows
	spent   float64
	last    time.Time
	dropped int64
}

// failures of one address. The same wrong token again is no guess: a program with
// a token that has ended does not lock out everybody behind the same proxy.
type failures struct {
	since  time.Time
	hashes map[[sha256.Size]byte]struct{}
	until  time.Time // locked out
}

const (
	maxWrong     = 10 // different wrong tokens of an address
	wrongFor     = 10 * time.Minute
	lockFor      = 15 * time.Minute
	maxAddresses = 4096
	noteBurst    = 20
	noteEvery    = 30 * time.Second // one more
)

func newGuard() *guard { return &guard{by: map[string]*failures{}} }

// wait is how long the address is still locked out.
func (g *guard) wait(origin string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.by[network(origin)]; f != nil {
		return max(0, f.until.Sub(now))
	}
	return 0
}

// failed reports whether this one locks the address out.
func (g *guard) failed(origin string, hash [sha256.Size]byte, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := network(origin)
	f := g.by[key]
	if f == nil || now.Sub(f.since) > wrongFor && now.After(f.until) {
		if len(g.by) >= maxAddresses {
			g.forget(now)
		}
		f = &failures{since: now, hashes: map[[sha256.Size]byte]struct{}{}}
		g.by[key] = f
	}
	f.hashes[hash] = struct{}{}
	if len(f.hashes) < maxWrong {
		return false
	}
	f.hashes, f.since, f.until = map[[sha256.Size]byte]struct{}{}, now, now.Add(lockFor)
	return true
}

// forget makes room: first those whose time is over, and if that is not enough, any.
func (g *guard) forget(now time.Time) {
	for key, f := range g.by {
		if now.Sub(f.since) > wrongFor && now.After(f.until) {
			delete(g.by, key)
		}
	}
	for key := range g.by {
		if len(g.by) < maxAddresses {
			return
		}
		delete(g.by, key)
	}
}

// network is what one guesser has: an IPv4 address, or the /64 of an IPv6 one.
func network(origin string) string {
	a, err := netip.ParseAddr(origin)
	if err != nil || a.Is4() {
		return origin
	}
	p, err := a.Prefix(64)
	if err != nil {
		return origin
	}
	return p.String()
}

// take says whether a row may be written, and how many were not since the last.
func (b *budget) take(now time.Time) (dropped int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-now.Sub(b.last).Seconds()/noteEvery.Seconds())
	b.last = now
	if b.spent > noteBurst-1 {
		b.dropped++
		return 0, false
	}
	dropped, b.dropped = b.dropped, 0
	b.spent++
	return dropped, true
}
