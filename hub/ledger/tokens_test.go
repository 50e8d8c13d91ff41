package ledger

import (
	"errors"
	"testing"
	"time"
)

// A token is its hash; it ends by time or by being revoked, and its name is never
// given again, so that the trail stays true.
func TestATokenIsGoodUntilItExpiresOrIsRevoked(t *testing.T) {
	w := start(t, Config{})
	hash := [32]byte{7}
	w.must(w.AddToken(w.ctx, Token{Name: "anna", Role: "operator", Expires: w.now.Add(time.Hour)}, hash, Who("cli:root", "")))
	got, err := w.TokenOf(w.ctx, hash)
	w.must(err)
	if got.Name != "anna" || got.Role != "operator" || got.CreatedBy != "cli:root" || !got.Good(w.now) || got.Good(w.now.Add(time.Hour)) {
		t.Errorf("got %+v", got)
	}
	if _, err := w.TokenOf(w.ctx, [32]byte{8}); !errors.Is(err, ErrNoToken) {
		t.Errorf("of another hash: %v", err)
	}
	w.must(w.RevokeToken(w.ctx, "anna", "cli:root"))
	if got, err = w.TokenOf(w.ctx, hash); err != nil || got.Good(w.now) {
		t.Errorf("after: %+v %v", got, err)
	}
	if err := w.RevokeToken(w.ctx, "anna", "cli:root"); !errors.Is(err, ErrNoToken) {
		t.Errorf("twice: %v", err)
	}
	if err := w.AddToken(w.ctx, Token{Name: "anna", Role: "admin"}, [32]byte{9}, "cli:root"); !errors.Is(err, ErrTokenExists) {
		t.Errorf("the same name: %v", err)
	}
	if err := w.AddToken(w.ctx, Token{Name: "berta", Role: "king"}, [32]byte{9}, "cli:root"); err == nil {
		t.Error("a role that there is not")
	}
	w.must(w.TokensUsed(w.ctx, map[string]time.Time{"anna": w.now}))
	all, err := w.Tokens(w.ctx, "", 10)
	w.must(err)
	if len(all) != 1 || !all[0].Used.Equal(w.now) {
		t.Errorf("got %+v", all)
	}
}
