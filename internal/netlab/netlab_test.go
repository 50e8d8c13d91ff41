package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"edged/internal/netlab"
)

func create(t *testing.T) *netlab.Lab {
	t.Helper()
	lab, err := netlab.Create()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// pair is two namespaces with a cable.
func pair(t *testing.T) *netlab.Link {
	t.Helper()
	lab := create(t)
	a, errA := lab.Space("a")
	b, errB := lab.Space("b")
	link, err := lab.Join(a, b)
	if err := errors.Join(errA, errB, err); err != nil {
		t.Fatal(err)
	}
	return link
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listen accepts in b and hands each connection to serve.
func listen(t *testing.T, k *netlab.Link, serve func(net.Conn)) (addr string) {
	t.Helper()
	var listener net.Listener
	must(t, k.B.Do(func() (err error) {
		listener, err = net.Listen("tcp", k.AddrB+":0")
		return err
	}))
	ended := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	return listener.Addr().String()
}

func dial(s *netlab.Space, addr string, wait time.Duration) (c net.Conn, err error) {
	err = s.Do(func() error {
		c, err = net.DialTimeout("tcp", addr, wait)
		return err
	})
	return c, err
}

// What listens inside is reached from the other end of the cable and from
// nowhere else.
func TestNamespacesAreApart(t *testing.T) {
	k := pair(t)
	addr := listen(t, k, func(c net.Conn) { io.WriteString(c, "inside") })
	c, err := dial(k.A, addr, time.Minute)
	must(t, err)
	defer c.Close()
	if got, err := io.ReadAll(c); string(got) != "inside" {
		t.Errorf("read %q, %v", got, err)
	}
	if c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond); err == nil {
		c.Close()
		t.Error("reached from outside")
	}
}

// A program started inside has the pid that is known and ends with the lab.
func TestProcessesEndWithTheLab(t *testing.T) {
	lab := create(t)
	s, err := lab.Space("a")
	must(t, err)
	cmd := s.Command(context.Background(), "sleep", "600")
	must(t, cmd.Start())
	out, err := s.Command(t.Context(), "ip", "-o", "link").Output()
	if err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("devices inside: %s, %v", out, err)
	}
	for deadline := time.Now().Add(time.Minute); ; { // ip enters, then becomes sleep
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
		if string(name) == "sleep\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("pid %d is %q", cmd.Process.Pid, name)
		}
	}
	must(t, lab.Close())
	if err := cmd.Wait(); err == nil {
		t.Error("sleep ended by itself")
	}
	if _, err := os.Stat("/run/netns/" + s.Name); err == nil {
		t.Error("the namespace is still there")
	}
}

func TestLeftoversOfTheDeadGoAndOthersStay(t *testing.T) {
	create(t)
	dead := exec.Command("true")
	must(t, dead.Run())
	left := fmt.Sprintf("edged-%d-1-a", dead.Process.Pid)
	living := fmt.Sprintf("edged-%d-1-a", os.Getppid())
	foreign := fmt.Sprintf("edgedtest-%d", os.Getpid())
	for _, name := range []string{left, living, foreign} {
		must(t, exec.Command("ip", "netns", "add", name).Run())
		defer exec.Command("ip", "netns", "del", name).Run()
	}
	create(t)
	for name, want := range map[string]bool{left: false, living: true, foreign: true} {
		if _, err := os.Stat("/run/netns/" + name); (err == nil) != want {
			t.Errorf("%s: is there %t, want %t", name, err == nil, want)
		}
	}
}

func TestACableThatIsPulledCarriesNothing(t *testing.T) {
	k := pair(t)
	addr := listen(t, k, func(net.Conn) {})
	must(t, k.Down())
	if c, err := dial(k.A, addr, 200*time.Millisecond); err == nil {
		c.Close()
		t.Error("connected without a cable")
	}
	must(t, k.Up())
	c, err := dial(k.A, addr, time.Minute)
	must(t, err)
	c.Close()
}

func TestTheRateIsTheCables(t *testing.T) {
	k := pair(t)
	must(t, k.Rate(40e6))
	counted := make(chan int64, 1)
	addr := listen(t, k, func(c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		counted <- n
	})
	c, err := dial(k.A, addr, time.Minute)
	must(t, err)
	began := time.Now()
	c.SetDeadline(began.Add(time.Minute))
	_, err = c.Write(make([]byte, 4<<20))
	c.Close()
	must(t, err)
	n := <-counted
	// 4 MiB at 40 Mbit/s are 0.84 s; faster is what must not be, a busy machine is slower.
	if got := float64(n*8) / time.Since(began).Seconds(); got > 44e6 || n != 4<<20 {
		t.Errorf("%d bytes at %.1f Mbit/s", n, got/1e6)
	}
}

func TestDroppedIsWhatWasNamed(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("dropping packets needs nft (Debian package nftables)")
	}
	k := pair(t)
	addr := listen(t, k, func(net.Conn) {})
	var server net.PacketConn
	must(t, k.B.Do(func() (err error) { server, err = net.ListenPacket("udp", k.AddrB+":0"); return err }))
	defer server.Close()
	var client net.Conn
	must(t, k.A.Do(func() (err error) { client, err = net.Dial("udp", server.LocalAddr().String()); return err }))
	defer client.Close()
	arrives := func(within time.Duration) bool {
		client.Write([]byte("x"))
		server.SetReadDeadline(time.Now().Add(within))
		_, _, err := server.ReadFrom(make([]byte, 10))
		return err == nil
	}
	if !arrives(time.Minute) {
		t.Fatal("nothing arrives before anything is dropped")
	}
	must(t, k.B.Drop("meta l4proto udp"))
	if arrives(200 * time.Millisecond) {
		t.Error("UDP arrives")
	}
	c, err := dial(k.A, addr, time.Minute)
	must(t, err)
	c.Close()
	must(t, k.B.Drop())
	if !arrives(time.Minute) {
		t.Error("nothing is dropped any more and nothing arrives")
	}
}
