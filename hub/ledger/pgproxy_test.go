package ledger

import (
	"net"
	"strings"
	"sync"
	"testing"

	"edged/internal/pglab"
)

// cutter stands between the ledger and the server and cuts a connection at the n-th
// message of the client: before the server has it, or after the server has answered it
// and before the client hears that.
type cutter struct {
	to       string
	listener net.Listener
	all      sync.WaitGroup

	mu    sync.Mutex // guards what follows
	left  int        // messages until the cut, 0: none
	after bool
	cuts  int
}

// throughCutter is the URL of a new database, through a cutter and directly.
func throughCutter(t *testing.T, s *pglab.Server) (c *cutter, through, direct string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c = &cutter{to: s.Address(), listener: l}
	c.all.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.all.Wait()
	})
	direct = s.Database(t)
	return c, strings.Replace(direct, s.Address(), l.Addr().String(), 1), direct
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.to)
		if err != nil {
			client.Close()
			continue
		}
		cut := make(chan struct{}) // closed when no answer may pass any more
		c.all.Go(func() { c.forth(client, server, cut) })
		c.all.Go(func() { c.back(client, server, cut) })
	}
}

// forth passes what the client sends.
func (c *cutter) forth(client, server net.Conn, cut chan struct{}) {
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			server.Close()
			return
		}
		now, after := c.turn()
		if now && !after {
			client.Close()
			server.Close()
			return
		}
		if now {
			close(cut)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			client.Close()
			return
		}
		if now {
			return
		}
	}
}

// back passes what the server answers, until an answer must not be heard.
func (c *cutter) back(client, server net.Conn, cut chan struct{}) {
	defer client.Close()
	defer server.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-cut:
			return // the server has done it
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (c *cutter) arm(n int, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.after, c.cuts = n, after, 0
}

func (c *cutter) turn() (now, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return false, false
	}
	c.left--
	if c.left == 0 {
		c.cuts++
		return true, c.after
	}
	return false, false
}

// done takes the arms away, and says whether it has cut.
func (c *cutter) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = 0
	return c.cuts > 0
}
