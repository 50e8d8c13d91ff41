package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/internal/synth"
)

// manager hears what the service manager would.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// manage lets the programs that this test starts be watched, each interval.
func manage(t *testing.T, interval time.Duration) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(interval.Microseconds(), 10))
	return &manager{t, conn}
}

// hear is the next thing said, "" when nothing is within d.
func (m *manager) hear(d time.Duration) string {
	m.t.Helper()
	ok(m.t, m.conn.SetReadDeadline(time.Now().Add(d)))
	var b [4096]byte
	n, err := m.conn.Read(b[:])
	if os.IsTimeout(err) {
		return ""
	}
	ok(m.t, err)
	said, _, _ := strings.Cut(string(b[:n]), "\n")
	return said
}

// until hears out to what is wanted.
func (m *manager) until(want string) {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if m.hear(time.Until(end)) == want {
			return
		}
	}
	m.t.Fatalf("%s is not heard", want)
}

// drain hears what was said already.
func (m *manager) drain() {
	for m.hear(time.Millisecond) != "" {
	}
}

// A night in which nothing comes is no standstill: the watchdog is fed. A disk that
// hangs is one: nobody is fed while it does. When it answers at last, all goes on.
func TestADiskThatHangsStarvesTheWatchdog(t *testing.T) {
	needs(t, "strace")
	m := manage(t, 300*time.Millisecond)
	r := newRig(t, alone, "")
	r.startEdged()
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := m.hear(patience); got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	disk := r.hangDisk()
	r.await("a flush that hangs", func() bool {
		m.drain()
		return m.hear(3*time.Second) == "" // ten times as long as it takes otherwise
	})
	if said := m.hear(5 * time.Second); said != "" {
		t.Errorf("heard %q of an appliance whose disk hangs", said)
	}
	disk.endTrace()
	m.until("WATCHDOG=1")
	objects := synthetic(t, 7, synth.Bench(1, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	if code := r.edged.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	m.until("STOPPING=1")
}

// hangDisk makes each flush of the appliance take two minutes, until the trace ends.
func (r *rig) hangDisk() *proc {
	r.t.Helper()
	return r.trace("-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=120000000")
}

// Nobody is fed while nobody accepts at the DICOM port, although the kernel takes
// connections; and whoever else comes is not taken for a knock.
func TestAPortWhereNobodyAcceptsAnswersNoKnock(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
		l, err := listenTCP("test", address)
		if err != nil {
			t.Logf("%s: %v", address, err) // no IPv6 here
			continue
		}
		knockAt(t, newKnocked(l))
	}
}

func knockAt(t *testing.T, k *knocked) {
	t.Helper()
	defer k.Close()
	port := strconv.Itoa(k.Addr().(*net.TCPAddr).Port)
	host, _, _ := net.SplitHostPort(k.Addr().String())
	if net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := k.try(short); err == nil {
		t.Errorf("%s: nobody accepts, and a knock was answered", k.Addr())
	}
	stranger, err := net.Dial("tcp", net.JoinHostPort(host, port))
	ok(t, err)
	defer stranger.Close()
	came := make(chan net.Conn, 2)
	go func() {
		defer close(came)
		for {
			c, err := k.Accept()
			if err != nil {
				return
			}
			came <- c
		}
	}()
	k.knock(t.Context())
	if err := t.Context().Err(); err != nil {
		t.Fatal("the knock was not answered")
	}
	k.Close()
	n := 0
	for c := range came {
		if n++; c.RemoteAddr().String() == stranger.LocalAddr().String() {
			n += 100
		}
		c.Close()
	}
	if n < 101 || n > 102 { // the knock that was given up is a stranger, too
		t.Errorf("%s: %d came", k.Addr(), n)
	}
}

// TLS is spoken behind the place where a knock is heard: it costs no handshake, and
// nobody is told of a stranger.
func TestAKnockIsHeardBeforeTLS(t *testing.T) {
	l, err := listenTCP("test", "127.0.0.1:0")
	ok(t, err)
	k := newKnocked(l)
	behind := tls.NewListener(k, &tls.Config{})
	defer behind.Close()
	ended := make(chan error, 1)
	go func() { _, err := behind.Accept(); ended <- err }()
	k.knock(t.Context())
	behind.Close()
	if err := <-ended; err == nil {
		t.Error("the knock was passed on")
	}
}

// A spool that is opened again may take as long as it gets on, and a while without any
// sign, as of a large object.
func TestAnOpeningThatGetsOnIsFed(t *testing.T) {
	var o openings
	now := time.Unix(1_800_000_000, 0)
	for step := range 100 {
		if now = now.Add(openPatience - time.Second); !o.moves(uint64(step+1), now) {
			t.Fatalf("step %d counts as none", step)
		}
	}
	if !o.moves(100, now.Add(openPatience/2)) || o.moves(100, now.Add(openPatience)) {
		t.Error("a standstill is not seen, or too soon")
	}
}
