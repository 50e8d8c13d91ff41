package sim_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink/uplinktest/sim"
)

const idle = 20 * time.Second

// connected is a stream through a line.
func connected(t *testing.T, seed uint64, line sim.Line) (s *sim.Sky, hub *sim.Hub, near, far net.Conn) {
	t.Helper()
	s = sim.New(seed, line, idle)
	hub = s.Hub("hub")
	_, listener := hub.Up()
	near, err := s.Dial(t.Context(), "tcp", "hub")
	if err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.Kill(); near.Close(); far.Close() })
	return s, hub, near, far
}

// What is lost or falls into a short outage comes later, in order, once.
func TestStreamsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := sim.Line{Delay: 10 * time.Millisecond, Loss: 0.05, Rate: 10e6, Outages: []sim.Outage{{From: time.Second, To: 15 * time.Second}}}
		_, _, near, far := connected(t, 1, line)
		want := make([]byte, 3<<20)
		rand.NewChaCha8([32]byte{}).Read(want)
		var wg sync.WaitGroup
		wg.Go(func() {
			near.Write(want)
			near.Close()
		})
		began := time.Now()
		got, err := io.ReadAll(far)
		wg.Wait()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
		}
		if took := time.Since(began); took < 14*time.Second {
			t.Errorf("it took %s, through an outage of 14 s", took)
		}
	})
}

func TestALongOutageEndsAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, near, far := connected(t, 1, sim.Line{Outages: []sim.Outage{{From: time.Minute, To: time.Hour, Down: true}}})
		began := time.Now()
		for _, c := range []net.Conn{near, far} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Error(err)
			}
		}
		if took := time.Since(began).Round(time.Millisecond); took != time.Minute+idle {
			t.Errorf("noticed after %s", took)
		}
	})
}

func TestAHubThatDiesResetsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hub, near, _ := connected(t, 1, sim.Line{Delay: time.Second})
		hub.Kill()
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := s.Dial(t.Context(), "tcp", "hub"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		hub.Up()
		if c, err := s.Dial(t.Context(), "tcp", "hub"); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
	})
}

func TestDeadlinesAndAMoveEndWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, near, _ := connected(t, 1, sim.Line{})
		began := time.Now()
		near.SetWriteDeadline(began.Add(time.Second))
		near.SetReadDeadline(began.Add(2 * time.Second))
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		near.SetDeadline(time.Time{})
		s.Move(true)
		if _, err := near.Write(make([]byte, 10<<20)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Dial(ctx, "tcp", "hub"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Datagrams are lost, doubled and overtaken as the line says; after a move
// only a socket whose address was rebound is answered.
func TestDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sim.New(3, sim.Line{Delay: time.Millisecond, Jitter: 50 * time.Millisecond, Loss: 0.2, Duplicate: 0.1, MTU: 100}, idle)
		hub := s.Hub("hub")
		server, _ := hub.Up()
		defer hub.Kill()
		client, to, err := s.Packet("hub")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		const sent = 1000
		for i := range sent {
			client.WriteTo([]byte{byte(i >> 8), byte(i)}, to)
			time.Sleep(time.Millisecond)
		}
		client.WriteTo(make([]byte, 101), to)
		seen, doubled, overtaken, last := map[int]bool{}, 0, 0, -1
		var from net.Addr
		b := make([]byte, 200)
		for {
			server.SetReadDeadline(time.Now().Add(time.Second))
			n, addr, err := server.ReadFrom(b)
			if err != nil {
				break
			}
			i := int(b[0])<<8 | int(b[1])
			if n != 2 {
				t.Errorf("%d bytes arrived", n)
			}
			if seen[i] {
				doubled++
			} else if i < last {
				overtaken++
			}
			seen[i], last, from = true, i, addr
		}
		if len(seen) < 750 || len(seen) > 850 || doubled < 40 || doubled > 120 || overtaken < 100 {
			t.Errorf("%d of %d arrived, %d twice, %d overtaken", len(seen), sent, doubled, overtaken)
		}
		answered := func() bool {
			for range 50 {
				server.WriteTo([]byte("x"), from)
			}
			client.SetReadDeadline(time.Now().Add(time.Second))
			_, _, err := client.ReadFrom(b)
			return err == nil
		}
		if !answered() {
			t.Error("no answer before the move")
		}
		s.Move(true)
		for client.SetReadDeadline(time.Now().Add(time.Second)); ; {
			if _, _, err := client.ReadFrom(b); err != nil {
				break
			}
		}
		if answered() {
			t.Error("an answer to the old address arrives")
		}
		for range 50 {
			client.WriteTo([]byte("xx"), to)
		}
		server.SetReadDeadline(time.Now().Add(time.Second))
		if _, addr, err := server.ReadFrom(b); err != nil || addr.String() == from.String() {
			t.Errorf("from %v after the move: %v", addr, err)
		}
	})
}
