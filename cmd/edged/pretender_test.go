package main

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/internal/identity"
	"edged/internal/synth"
)

// pretender is a hub of its own making at an address: it believes everybody and
// takes whatever it is given.
type pretender struct {
	address string
	greeted atomic.Int64 // handshakes begun
	joined  atomic.Int64 // handshakes that ended well
	streams atomic.Int64 // streams on which something came
}

func newPretender(t *testing.T) *pretender {
	t.Helper()
	ca, err := identity.OpenAuthority(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := &pretender{}
	own := identity.NewServer(ca, nil).Uplink(nil)
	own.ClientAuth, own.VerifyConnection = tls.RequestClientCert, nil
	own.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { p.greeted.Add(1); return nil, nil }
	l, err := quic.ListenAddr("127.0.0.1:0", own, &quic.Config{Versions: []quic.Version{quic.Version1}})
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return
			}
			p.joined.Add(1)
			for _, accept := range []func() error{
				func() error { _, err := c.AcceptStream(ctx); return err },
				func() error { _, err := c.AcceptUniStream(ctx); return err },
			} {
				wg.Go(func() {
					for accept() == nil {
						p.streams.Add(1)
					}
				})
			}
		}
	})
	t.Cleanup(func() { stop(); l.Close(); wg.Wait() })
	return p
}

// Whoever takes the hub's address and believes everybody is told nothing: not
// one handshake ends well, so that there is no frame that could hold a byte of
// an object or the name of one (P11).
func TestPretenderGetsNoFrame(t *testing.T) {
	t.Parallel()
	r, p := newRig(t, "", ""), newPretender(t)
	r.startHub()
	r.enroll()
	r.rewrite("edged.yaml", `uplink: {hubs: ["`+p.address+`"]}`)
	r.startEdged()
	o := synthetic(t, 1, synth.Bench(1, 8<<20))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	r.await("it to be called several times", func() bool { return p.greeted.Load() >= 3 })
	if joined, streams := p.joined.Load(), p.streams.Load(); joined != 0 || streams != 0 {
		t.Errorf("of %d handshakes %d ended well, something came on %d streams", p.greeted.Load(), joined, streams)
	}
	if n := r.waiting(); n != 1 {
		t.Errorf("%d objects wait here, want the one", n)
	}
}
