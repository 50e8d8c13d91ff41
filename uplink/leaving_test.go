package uplink

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink/wire"
)

// A node of the hub that leaves has other nodes beside it, and has spread its
// appliances itself: they go on at once, and not to where they come from.
func TestFromANodeThatLeavesToAnotherWithoutAPause(t *testing.T) {
	for name, err := range map[string]error{
		"over TCP":  &byeError{Code: wire.ByeLeaving},
		"over QUIC": fmt.Errorf("QUIC: %w; TCP: %w", &quic.ApplicationError{Remote: true, ErrorCode: quic.ApplicationErrorCode(wire.ByeLeaving)}, errors.New("timeout")),
	} {
		u := &Uplink{c: Config{Logger: slog.New(slog.DiscardHandler)}.withDefaults()}
		ns := newNodes([]string{"a", "b", "c"}, u.c.RetryMin, u.c.RetryMax)
		n, _ := ns.next(time.Now())
		left := n.addr
		u.judge(ns, n, 2*time.Hour, err)
		if next, pause := ns.next(time.Now()); pause != 0 || next.addr == left {
			t.Errorf("%s: goes to %s after %s, was at %s", name, next.addr, pause, left)
		}
		for _, pause := range returns([]string{"a"}, err) {
			if pause > 5*time.Second {
				t.Fatalf("%s, and there is one address: waits %s", name, pause)
			}
		}
	}
}
