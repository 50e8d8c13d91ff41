package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/internal/netlab"
	"edged/internal/pglab"
)

// silence is a line to the server that goes dead as one does whose packets are lost: the
// client gives its connection up, and the server hears nothing of that, ever. When the
// line lives again it is for connections that are made then.
type silence struct {
	to       string
	listener net.Listener
	all      sync.WaitGroup

	mu     sync.Mutex // guards what follows
	dead   bool
	deaths int
	left   int // messages of clients until it is dead, -1: it stays
	opened []net.Conn
}

func throughSilence(t *testing.T, s *pglab.Server) (c *silence, through, direct string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c = &silence{to: s.Address(), listener: l, left: -1}
	c.all.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for _, conn := range c.opened {
			conn.Close()
		}
		c.mu.Unlock()
		c.all.Wait()
	})
	direct = s.Database(t)
	return c, strings.Replace(direct, s.Address(), l.Addr().String(), 1), direct
}

func (c *silence) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		born, server := c.open(client)
		if server == nil {
			client.Close()
			continue
		}
		c.all.Go(func() { c.forth(client, server, born) })
		c.all.Go(func() { c.back(client, server, born) })
	}
}

func (c *silence) open(client net.Conn) (born int, server net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return 0, nil
	}
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return 0, nil
	}
	c.opened = append(c.opened, client, server)
	return c.deaths, server
}

// passes says whether something of a connection comes through, and counts messages.
func (c *silence) passes(born, messages int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		c.dead, c.left = true, -1
		c.deaths++
	}
	if c.left > 0 {
		c.left -= messages
	}
	return born == c.deaths
}

func (c *silence) forth(client, server net.Conn, born int) {
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil && c.passes(born, 0) {
			server.Close()
		}
		if err != nil {
			return
		}
		if c.passes(born, 1) {
			server.Write(buf[:n])
		}
	}
}

func (c *silence) back(client, server net.Conn, born int) {
	buf := make([]byte, 1<<20)
	for {
		n, err := server.Read(buf)
		if err != nil {
			client.Close()
			return
		}
		if c.passes(born, 0) {
			client.Write(buf[:n])
		}
	}
}

// dies lets n messages pass, and not the answer to the last of them.
func (c *silence) dies(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = n
}

func (c *silence) lives() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead, c.left = false, -1
}

// nodeAt is a ledger under a name.
func nodeAt(t *testing.T, url, name string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), Config{Database: url, Node: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// holderOf is the server's process of the session that has the one place that there is, 0 for none.
func holderOf(l *Ledger) (pid int) {
	_ = l.read.QueryRow(`SELECT coalesce(max(pid), 0) AS pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1`).Scan(&pid)
	return pid
}

// dials tells when l makes a connection for a place: it has given up the one before.
func dials(l *Ledger) <-chan struct{} {
	made := make(chan struct{}, 1)
	config := l.engine.(*postgres).config
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		select {
		case made <- struct{}{}:
		default:
		}
		return dial(ctx, network, addr)
	}
	return made
}

func awaitDial(t *testing.T, made <-chan struct{}) {
	t.Helper()
	select {
	case <-made:
	case <-time.After(2 * time.Minute):
		t.Fatal("it has not noticed that nothing answers")
	}
}

// goesOn wants the place, which old had, to be held by another session before Hold ends.
func goesOn(t *testing.T, l *Ledger, old int, held <-chan error) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		select {
		case err := <-held:
			t.Fatalf("the line is back, and the holder has ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		if pid := holderOf(l); pid != 0 && pid != old {
			return
		}
	}
	t.Fatal("the line is back, and the place is not held again")
}

// A node whose line to the database was dead for some seconds has lost its session, and
// the server has not noticed: it still has that. The node is not kept away by itself: it
// ends that session, and keeps its name.
func TestANodeIsNotKeptAwayByItself(t *testing.T) {
	line, through, direct := throughSilence(t, ownServer(t))
	first, second := nodeAt(t, through, "n1"), nodeAt(t, direct, "n1")
	a, err := first.Name(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	made, held := dials(first), make(chan error, 1)
	go func() { held <- a.Hold(ctx) }()
	old := holderOf(second)
	line.dies(0)
	awaitDial(t, made)
	if pid := holderOf(second); pid != old {
		t.Fatalf("process %d has the place, want %d: this proves nothing", pid, old)
	}
	line.lives()
	goesOn(t, second, old, held)
	if _, err := second.Name(t.Context()); !errors.Is(err, ErrNameTaken) {
		t.Errorf("another one under its name: %v", err)
	}
	cancel()
	if err := <-held; err != nil {
		t.Error(err)
	}
	a.Close()
}

// Also when it never heard that it had the place: the line went dead at any message.
func TestANodeIsNotKeptAwayByASessionThatItNeverHad(t *testing.T) {
	line, through, direct := throughSilence(t, ownServer(t))
	first, second := nodeAt(t, through, "n1"), nodeAt(t, direct, "n1")
	unheard := 0
	for n, whole := 0, false; !whole && n < 12; n++ {
		a := first.place("name", fmt.Sprint(aloneLock))
		a.taken = func(context.Context, string) error { return ErrNameTaken }
		line.dies(n)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err := a.take(ctx)
		cancel()
		if whole = err == nil; !whole && holderOf(second) != 0 {
			unheard++
		}
		a.Close()
		line.lives()
		for deadline := time.Now().Add(2 * time.Minute); ; {
			if err = a.take(t.Context()); err == nil || errors.Is(err, ErrNameTaken) || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			t.Fatalf("after message %d: %v", n, err)
		}
		a.Close()
		for deadline := time.Now().Add(2 * time.Minute); holderOf(second) != 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
	}
	t.Logf("%d times the server had given it to nobody who heard of it", unheard) // once, unless the machine is slow
}

// labSpace is set in the process that runs inside a network of its own.
const labSpace = "EDGED_LEDGER_SPACE"

// What a firewall on the way does: for some seconds all packets are lost, and the node
// goes on; the machine of a node dies with an answer on its way, and its name is free in
// less than the quarter of an hour for which TCP would send that again.
func TestPlacesOverANetworkThatLosesPackets(t *testing.T) {
	name := os.Getenv(labSpace)
	if name == "" {
		inALab(t)
		return
	}
	server := ownServer(t)
	space := &netlab.Space{Name: name}
	url := server.Database(t)
	t.Run("for some seconds", func(t *testing.T) { cutForSeconds(t, space, server, url) })
	t.Run("for good", func(t *testing.T) { deadForGood(t, space, url) })
}

// inALab runs the test that calls it again, in a network namespace.
func inALab(t *testing.T) {
	if overPostgres() {
		t.Skip("it has run already")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("dropping packets needs nft (Debian package nftables)")
	}
	if _, err := pglab.Programs(); err != nil {
		t.Skip(err)
	}
	lab, err := netlab.Create()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Parallel()
	space, err := lab.Space("ledger")
	if err != nil {
		t.Fatal(err)
	}
	if err := space.Drop(); err != nil {
		t.Skip(err)
	}
	again := space.Command(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v", "-test.timeout=8m")
	again.Env = append(os.Environ(), labSpace+"="+space.Name)
	out, err := again.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Fatal(err)
	}
}

func cutForSeconds(t *testing.T, space *netlab.Space, server *pglab.Server, url string) {
	l := nodeAt(t, url, "n1")
	a, err := l.Name(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := holderOf(l)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	made, held := dials(l), make(chan error, 1)
	go func() { held <- a.Hold(ctx) }()
	_, port, _ := net.SplitHostPort(server.Address())
	drop(t, space, "tcp dport "+port, "tcp sport "+port)
	awaitDial(t, made)          // the server waits for longer
	time.Sleep(2 * time.Second) // so that the farewell of the old session does not come at once
	drop(t, space)
	goesOn(t, l, old, held)
	cancel()
	if err := <-held; err != nil {
		t.Error(err)
	}
	a.Close()
}

func deadForGood(t *testing.T, space *netlab.Space, url string) {
	dead, next := nodeAt(t, url, "n2"), nodeAt(t, url, "n2")
	a, err := dead.Name(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(a.conn.PgConn().Conn().LocalAddr().String())
	drop(t, space, "tcp dport "+port) // an answer is on its way
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := a.conn.Ping(ctx); err == nil {
		t.Fatal("the answer came")
	}
	drop(t, space, "tcp dport "+port, "tcp sport "+port)
	a.Close()
	began := time.Now()
	for {
		b, err := next.Name(t.Context())
		if err == nil {
			b.Close()
			break
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("the name of a dead machine: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("free after %s", time.Since(began).Round(100*time.Millisecond))
	drop(t, space)
}

func drop(t *testing.T, space *netlab.Space, matches ...string) {
	t.Helper()
	if err := space.Drop(matches...); err != nil {
		t.Fatal(err)
	}
}
