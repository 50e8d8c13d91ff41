package uplink

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink/wire"
)

// How a lane may end, as team.why tells it.
var (
	errReset  = fmt.Errorf("send: %w", &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ECONNRESET)})
	lastWords = map[string]error{
		"Bye":             fmt.Errorf("QUIC: %w; TCP: %w", errors.New("timeout"), &byeError{Code: wire.ByeDone}),
		"busy":            &byeError{Code: wire.ByeBusy},
		"a code of QUIC":  fmt.Errorf("QUIC: %w; TCP: %w", &quic.ApplicationError{Remote: true}, errCut),
		"stateless reset": &quic.StatelessResetError{},
	}
	cuts  = map[string]error{"FIN": errCut, "RST": errReset, "both": fmt.Errorf("QUIC: %w; TCP: %w", errors.New("timeout"), errCut)}
	alone = map[string]error{"silence": errSilent, "own end": &quic.ApplicationError{}, "stalled": errStalled}
)

// returns says how long each of a fleet waits after its connections of hours ended so.
func returns(addrs []string, err error) (pauses []time.Duration) {
	u := &Uplink{c: Config{Logger: slog.New(slog.DiscardHandler)}.withDefaults()}
	for seed := range uint64(fleet) {
		ns := newNodes(addrs, u.c.RetryMin, u.c.RetryMax)
		ns.random = rand.New(rand.NewPCG(seed, 1)).Float64
		n, _ := ns.next(time.Now())
		u.judge(ns, n, 2*time.Hour, err)
		_, pause := ns.next(time.Now())
		pauses = append(pauses, pause)
	}
	return pauses
}

// A hub that restarts ends 8,700 connections at once, each of which lasted long, by
// its word or, killed, without one. They must not all be back in the same second,
// neither there nor at the other node.
func TestARestartDoesNotBringTheFleetBackAtOnce(t *testing.T) {
	for _, addrs := range [][]string{{"a"}, {"a", "b"}} {
		for name, err := range lastWords {
			if share := worstSecond(returns(addrs, err)); share > 0.05 {
				t.Errorf("%s, %d nodes: %.0f %% of the fleet in one second", name, len(addrs), 100*share)
			}
		}
		for name, err := range cuts {
			if share := worstSecond(returns(addrs, err)); share > 0.25 {
				t.Errorf("%s, %d nodes: %.0f %% of the fleet in one second", name, len(addrs), 100*share)
			}
		}
	}
}

// What may have happened to one appliance alone keeps its images for seconds, not for
// half a minute: a middlebox that closes a connection is not a hub that has a crowd.
func TestACutIsNotTheHubsWord(t *testing.T) {
	for most, ends := range map[time.Duration]map[string]error{5 * time.Second: cuts, time.Second: alone} {
		for name, err := range ends {
			for _, pause := range returns([]string{"a"}, err) {
				if pause > most {
					t.Fatalf("%s: waits %s", name, pause)
				}
			}
		}
	}
}
