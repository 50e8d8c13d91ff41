package enrol

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// Where a proxy leads out, it leads all that is asked of the hub: nothing else is
// dialled, and no name is looked up here (hub.invalid has no address, RFC 6761 §6.4).
func TestAllGoesByDial(t *testing.T) {
	h := newHub(t, nil)
	dir, _ := enrolledAt(t, h, time.Now().Add(-250*24*time.Hour))
	dialed := 0
	c := Config{Hub: "hub.invalid:8443", Code: h.code(), Dir: t.TempDir()}
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network != "tcp" || addr != "hub.invalid:8443" {
			t.Errorf("dialled %s %s", network, addr)
		}
		dialed++
		return new(net.Dialer).DialContext(ctx, network, h.addr())
	}
	if _, err := Enrol(t.Context(), c); err != nil {
		t.Error(err)
	}
	if c.Dir = dir; dialed != 2 {
		t.Errorf("%d connections for the hub's key and the certificate", dialed)
	}
	if _, err := Renew(t.Context(), c); err != nil {
		t.Error(err)
	}
	if _, err := RecoveryKey(t.Context(), c); !errors.Is(err, ErrNoRecovery) || dialed != 4 {
		t.Errorf("%v after %d connections", err, dialed)
	}
	why := errors.New("proxy 10.0.0.1:3128: it forbids\nthat")
	c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, why }
	if _, err := Renew(t.Context(), c); !errors.Is(err, why) || !strings.HasSuffix(err.Error(), "proxy 10.0.0.1:3128: it forbids; that") || strings.Contains(err.Error(), "\n") {
		t.Errorf("what stands in the way is told as %v", err)
	}
}
