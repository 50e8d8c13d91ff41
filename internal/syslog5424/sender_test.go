package syslog5424

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func sender(t *testing.T, c Config) *Sender {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "syslog")
	}
	c.Header.Hostname = "edged-7f3a"
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run runs s until the function that it gives is called, which waits for its end.
func run(t *testing.T, s *Sender) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() {
		cancel()
		all.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func keep(t *testing.T, s *Sender, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := s.Append(0, moment, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// until waits at most a minute for a status.
func until(t *testing.T, s *Sender, what string, is func(Status) bool) Status {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); ; {
		st := s.Status()
		if is(st) {
			return st
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never %s: %+v", what, st)
		}
	}
}

func empty(st Status) bool   { return st.Waiting == 0 && st.Bytes == 0 }
func failing(st Status) bool { return st.LastError != "" }

func TestMessagesArriveInOrderAndLeaveTheDisk(t *testing.T) {
	ca := newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := ca.server(t)
		config.MaxVersion = version
		r := listen(t, config, nil)
		s := sender(t, Config{Address: r.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool()}})
		keep(t, s, "<a/>", "<b>è</b>")
		if st := s.Status(); st.Waiting != 2 {
			t.Fatalf("before Run: %+v", st)
		}
		stop := run(t, s)
		r.until(t, "two messages", func(got []string, _ int) bool { return len(got) == 2 })
		keep(t, s, "<c/>")
		r.until(t, "three messages", func(got []string, _ int) bool { return len(got) == 3 })
		st := until(t, s, "empty", empty)
		stop()
		heard, _ := r.state()
		if got := strings.Join(heard, ""); got != "<a/><b>è</b><c/>" || st != (Status{}) || len(files(t, s.config.Dir)) != 0 {
			t.Errorf("heard %q, %+v, files %v", got, st, files(t, s.config.Dir))
		}
	}
}

// Receivers that end without a close_notify, as rsyslog's does, are believed.
func TestAReceiverThatOnlyClosesItsSocketIsBelieved(t *testing.T) {
	ca := newAuthority(t)
	r := listen(t, ca.server(t), func(_ int, c *tls.Conn, heard func(string)) {
		readAll(c, heard)
		_ = c.NetConn().Close()
	})
	s := sender(t, Config{Address: r.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool()}})
	keep(t, s, "a")
	run(t, s)
	st := until(t, s, "empty", empty)
	if got, _ := r.state(); st.LastError != "" || len(got) != 1 {
		t.Errorf("%+v, %q", st, got)
	}
}

// A receiver that ends before it has read everything, in whatever manner, hears all of it again.
func TestWhatAReceiverDidNotReadToItsEndIsSentAgain(t *testing.T) {
	ca := newAuthority(t)
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", 9000)))
	}
	for name, ends := range map[string]func(c *tls.Conn){
		"a reset":           func(c *tls.Conn) { _ = c.NetConn().(*net.TCPConn).SetLinger(0) },
		"killed":            func(c *tls.Conn) {},
		"killed later":      func(c *tls.Conn) { _, _ = io.CopyN(io.Discard, c, 100_000) },
		"in all politeness": func(c *tls.Conn) { _ = c.Close() },
		"half":              func(c *tls.Conn) { _ = c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			r := listen(t, ca.server(t), func(n int, c *tls.Conn, heard func(string)) {
				if n == 0 {
					ends(c)
					return
				}
				readAll(c, heard)
				_ = c.Close()
			})
			s := sender(t, Config{Address: r.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool()}})
			keep(t, s, want...)
			run(t, s)
			until(t, s, "empty", empty)
			r.until(t, "all of it, and its end", func(got []string, served int) bool { return len(got) >= len(want) && served >= 2 })
			if got, served := r.state(); !slices.Equal(got, want) {
				t.Errorf("heard %d messages on %d connections", len(got), served)
			}
		})
	}
}

func TestNothingIsSaidToAReceiverThatProvesNothing(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	old := ca.server(t)
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	for name, c := range map[string]struct {
		config *tls.Config
		tls    *tls.Config
		want   string
	}{
		"another authority": {other.server(t), &tls.Config{RootCAs: ca.pool()}, "unknown authority"},
		"another name":      {ca.server(t), &tls.Config{RootCAs: ca.pool(), ServerName: "else.example.org"}, "not else.example.org"},
		"TLS 1.1":           {old, &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS10}, "protocol version"},
	} {
		t.Run(name, func(t *testing.T) {
			r := listen(t, c.config, nil)
			s := sender(t, Config{Address: r.Addr().String(), TLS: c.tls})
			keep(t, s, "secret")
			stop := run(t, s)
			st := until(t, s, "failing", failing)
			stop()
			if got, _ := r.state(); !strings.Contains(st.LastError, c.want) || st.Since.IsZero() || st.Waiting != 1 || len(got) != 0 {
				t.Errorf("%+v, heard %q; want %q", st, got, c.want)
			}
		})
	}
}

// In TLS 1.3 the refusal comes after we began to write: it must not pass for success.
func TestAReceiverThatRefusesOurCertificateGetsTheMessagesLater(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := ca.server(t)
		config.MaxVersion, config.ClientAuth, config.ClientCAs = version, tls.RequireAndVerifyClientCert, ca.pool()
		r := listen(t, config, nil)
		dir := filepath.Join(t.TempDir(), "syslog")
		client := func() *x509.Certificate {
			return &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		}
		for _, with := range [][]tls.Certificate{nil, {other.issue(t, client())}} {
			s := sender(t, Config{Dir: dir, Address: r.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool(), Certificates: with}})
			keep(t, s, "a")
			stop := run(t, s)
			until(t, s, "failing", failing)
			stop()
			if got, _ := r.state(); s.Status().Waiting == 0 || len(got) != 0 {
				t.Fatalf("refused, but %+v, heard %q", s.Status(), got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := sender(t, Config{Dir: dir, Address: r.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.issue(t, client())}}})
		run(t, s)
		st := until(t, s, "empty", empty)
		if got, _ := r.state(); st.LastError != "" || strings.Join(got, "") != "aa" {
			t.Errorf("%+v, heard %q", st, got)
		}
	}
}

// The receiver is told how many it will never hear, in our words or the caller's.
func TestTheReceiverIsToldWhatWasLost(t *testing.T) {
	ca := newAuthority(t)
	for want, words := range map[string]func(int64, time.Time) []byte{
		"2 messages were lost before they could be sent": nil,
		"<lost n=2>": func(n int64, _ time.Time) []byte { return fmt.Appendf(nil, "<lost n=%d>", n) },
	} {
		r := listen(t, ca.server(t), nil)
		s := sender(t, Config{Address: r.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool()}, Lost: words})
		for range 2 {
			if err := s.Append(0, moment, make([]byte, MaxMessage)); err == nil {
				t.Fatal("a message too long was taken")
			}
		}
		run(t, s)
		keep(t, s, "a")
		r.until(t, "two messages", func(got []string, _ int) bool { return len(got) == 2 })
		st := until(t, s, "empty", empty)
		if got, _ := r.state(); st.Dropped != 2 || got[0] != want || got[1] != "a" {
			t.Errorf("%+v, heard %q", st, got)
		}
	}
}

// pipe is a network inside a bubble: dialling fails until the receiver is there.
type pipe struct {
	config *tls.Config
	there  func() bool
	dials  []time.Duration // since the beginning
	begin  time.Time
	got    []string
	all    sync.WaitGroup
}

func (p *pipe) dial(context.Context, string, string) (net.Conn, error) {
	p.dials = append(p.dials, time.Since(p.begin))
	if !p.there() {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	p.all.Go(func() {
		c := tls.Server(theirs, p.config)
		readAll(c, func(m string) { p.got = append(p.got, m) })
		_ = c.Close()
	})
	return ours, nil
}

// An hour without a receiver: attempts at most five minutes apart, few of them, Append
// works all the time, and everything is there when it comes back.
func TestAReceiverThatIsAwayIsAskedEverLessOftenAndGetsEverything(t *testing.T) {
	ca := newAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{config: ca.server(t), begin: time.Now()}
		p.config.SessionTicketsDisabled = true // a pipe has no buffer for what nobody reads yet
		p.there = func() bool { return time.Since(p.begin) > time.Hour }
		s := sender(t, Config{Address: "logs.example.org", TLS: &tls.Config{RootCAs: ca.pool()}, Dial: p.dial})
		keep(t, s, "first")
		stop := run(t, s)
		for i := range 59 {
			time.Sleep(time.Minute)
			keep(t, s, fmt.Sprint(i))
		}
		st := s.Status()
		if st.Waiting != 60 || !strings.Contains(st.LastError, "refused") || !strings.Contains(st.LastError, "logs.example.org:6514") || st.Since.Sub(p.begin) > time.Second {
			t.Errorf("after an hour: %+v", st)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if st := s.Status(); st != (Status{}) || len(p.got) != 60 {
			t.Errorf("when it is back: %+v, heard %d", st, len(p.got))
		}
		stop()
		p.all.Wait()
		for i, at := range p.dials[1:] {
			gap := at - p.dials[i]
			if gap > maxBackoff || gap < min(firstBackoff<<i, maxBackoff)*4/5 && at < time.Hour {
				t.Errorf("attempt %d came %v after the one before", i+1, gap)
			}
		}
		if len(p.dials) > 30 {
			t.Errorf("%d attempts in an hour", len(p.dials))
		}
	})
}

// A receiver that is silent after the handshake does not hold us for ever.
func TestAReceiverThatNeverEndsItsSideIsBelievedAfterItsTime(t *testing.T) {
	ca := newAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{config: ca.server(t), begin: time.Now()}
		p.config.SessionTicketsDisabled = true
		dial := func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			p.all.Go(func() {
				c := tls.Server(theirs, p.config)
				readAll(c, func(m string) { p.got = append(p.got, m) })
				_, _ = io.Copy(io.Discard, theirs) // until we hang up
				_ = theirs.Close()
			})
			return ours, nil
		}
		s := sender(t, Config{Address: "logs.example.org", TLS: &tls.Config{RootCAs: ca.pool()}, Dial: dial})
		keep(t, s, "a")
		stop := run(t, s)
		time.Sleep(endTime - time.Second)
		if st := s.Status(); st.Waiting != 1 {
			t.Errorf("before its time: %+v", st)
		}
		time.Sleep(2 * time.Second)
		if st := s.Status(); st.Waiting != 0 || st.LastError != "" {
			t.Errorf("after its time: %+v", st)
		}
		stop()
		p.all.Wait()
	})
}

// One that takes nothing is left, and keeps its messages; the end of Run cuts it at once.
func TestAReceiverThatTakesNothingLosesNothing(t *testing.T) {
	ca := newAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		dials := 0
		dial := func(context.Context, string, string) (net.Conn, error) {
			dials++
			ours, theirs := net.Pipe()
			config := ca.server(t)
			config.SessionTicketsDisabled = true
			all.Go(func() {
				_ = tls.Server(theirs, config).Handshake() // and then nothing: each write of ours waits
			})
			return ours, nil
		}
		s := sender(t, Config{Address: "logs.example.org", TLS: &tls.Config{RootCAs: ca.pool()}, Dial: dial})
		keep(t, s, "a")
		stop := run(t, s)
		time.Sleep(writeTime + 500*time.Millisecond)
		if st := s.Status(); st.Waiting != 1 || !strings.Contains(st.LastError, os.ErrDeadlineExceeded.Error()) {
			t.Errorf("%+v", st)
		}
		time.Sleep(10 * time.Second) // in the second attempt
		begin := time.Now()
		stop()
		if took := time.Since(begin); took != 0 || dials != 2 {
			t.Errorf("the end took %v, %d attempts", took, dials)
		}
		all.Wait()
	})
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, c := range map[string]Config{
		"HOST:PORT":        {},
		"at least":         {Address: "a", Quota: 1},
		"has to be verifi": {Address: "a", TLS: &tls.Config{InsecureSkipVerify: true}},
		"no facility":      {Address: "a", Header: Header{Facility: 99}},
	} {
		c.Dir = t.TempDir()
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for address, want := range map[string]string{"a": "a:6514", "::1": "[::1]:6514", "[::1]": "[::1]:6514", "[::1]:1": "[::1]:1", "a:1": "a:1"} {
		if s := sender(t, Config{Address: address}); s.config.Address != want {
			t.Errorf("%s became %s, want %s", address, s.config.Address, want)
		}
	}
}
