package uplink_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink"
	"edged/uplink/uplinktest"
)

// Whatever reason the caller gives for the end of Run, the hub is told "done":
// before Welcome, and with a connection at work.
func TestAnOrderlyStopIsOrderlyWhateverItsCause(t *testing.T) {
	for name, welcome := range map[string]bool{"before welcome": false, "at work": true} {
		t.Run(name, func(t *testing.T) {
			ca := uplinktest.NewCA(t)
			there, ended := make(chan struct{}, 1), make(chan error, 1)
			addr := serveLiar(t, ca, func(l *liar) {
				if welcome {
					l.welcome()
					l.offers(1)
				}
				there <- struct{}{}
				<-l.conn.Context().Done()
				ended <- context.Cause(l.conn.Context())
			})
			source := uplinktest.NewSource()
			source.Add(1, 1000, 1)
			u, err := uplink.New(uplink.Config{Hubs: []string{addr}, TLS: ca.Appliance("one"), Source: source, Keeper: source,
				BootID: []byte("boot"), DataDirID: []byte("dir"), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() { done <- u.Run(ctx) }()
			receive(t, there)
			cancel(errors.New("asked to stop by the service manager"))
			if err := receive(t, done); err != nil {
				t.Errorf("run: %v", err)
			}
			var app *quic.ApplicationError
			if err := receive(t, ended); !errors.As(err, &app) || app.ErrorCode != 0 {
				t.Errorf("the hub is told %v", err)
			}
		})
	}
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("gave up waiting")
	}
	return v
}
