package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/hub/ledger"
	"edged/internal/archivelab"
	"edged/internal/identity"
	"edged/internal/pglab"
	"edged/internal/s3lab"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// several are nodes of one hub: real processes over a real PostgreSQL and a real bucket.
type several struct {
	*testing.T
	nodes   []*site
	running []*process
	rows    string // URL of the database
	archive string
	scp     *archivelab.SCP
}

// newSeveral starts n nodes; more are lines of each one's configuration.
func newSeveral(t *testing.T, n int, more string) *several {
	t.Helper()
	c := &several{T: t, archive: filepath.Join(t.TempDir(), "archive"), scp: archivelab.NewSCP(t, archivelab.Config{})}
	rows, bucket, ca := pglab.Start(t), s3lab.Start(t), filepath.Join(t.TempDir(), "ca")
	keys := bucket.Credentials(t)
	c.rows = rows
	for i := range n {
		s := &site{T: t, dir: t.TempDir(), listen: freeAddress(t)}
		s.config = filepath.Join(s.dir, "hubd.yaml")
		text := fmt.Sprintf("node: n%d\ndata_dir: %s/data\nca_dir: %s\nlisten: %s\nconsole: {listen: '127.0.0.1:0'}\ndatabase: %s\nobjects: %s\nobjects_credentials: %s\n%s"+
			"destinations:\n- {name: dir, type: dir, path: %s, create: true}\n- {name: vna, type: cstore, address: '%s', ae_title: VNA, confirm: success}\n",
			i+1, s.dir, ca, s.listen, rows, bucket.URL(), keys, more, c.archive, c.scp.Address)
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.nodes, c.running = append(c.nodes, s), append(c.running, s.start())
	}
	return c
}

// stats are those of the rows, as they are now.
func (c *several) stats() ledger.Stats {
	c.Helper()
	l, err := ledger.Open(c.Context(), ledger.Config{Database: c.rows})
	if err != nil {
		c.Fatal(err)
	}
	defer l.Close()
	st, err := l.Stats(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	return st
}

// troubles is how many a source was told of.
func troubles(source *uplinktest.Source) (n int) {
	source.With(func(s *uplinktest.Source) { n = len(s.Troubles) })
	return n
}

// enrolAt gives an appliance its certificate, by one node.
func (c *several) enrolAt(node int) *identity.Bundle { c.Helper(); return c.nodes[node].enrol() }

// connect has an appliance send to some nodes until the test, or stop, ends it.
func (c *several) connect(b *identity.Bundle, source *uplinktest.Source, shape uplink.Shape, nodes ...int) (u *uplink.Uplink, stop func()) {
	c.Helper()
	var hubs []string
	for _, n := range nodes {
		hubs = append(hubs, c.nodes[n].listen)
	}
	u, err := uplink.New(uplink.Config{
		Hubs: hubs, Transport: "tcp", LanesMin: 1, LanesMax: 1, TLS: b.ClientTLS(), Source: source, Keeper: source, BootID: []byte("boot"), DataDirID: []byte("dir"), Shape: shape,
		RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, Idle: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			c.Error(err)
		}
	}
	c.Cleanup(func() { cancel() })
	return u, stop
}

func (c *several) await(what string, ok func() bool) { c.Helper(); awaitThat(c.T, what, ok) }

// altered is an object with the names of another one and other bytes.
func altered(it *uplinktest.Item) uplink.Object {
	o := it.Object
	h := o.Names.NewHash()
	h.Write(otherBytes(it))
	h.Sum(o.ID[:0])
	return o
}

func otherBytes(it *uplinktest.Item) []byte {
	b := append([]byte{}, it.Data...)
	b[len(b)-1] ^= 1
	return b
}

// One SOP Instance UID, two contents, two appliances, two nodes, at the same time (P5):
// both are kept and have a receipt, one is archived, the other waits until somebody
// decides, at whichever node, and then goes too. Nothing was written over.
func TestTwoContentsThroughTwoNodes(t *testing.T) {
	c := newSeveral(t, 2, "conflict: hold\n")
	one, two := uplinktest.NewSource(), uplinktest.NewSource()
	first := one.Add(1, 60_000, 1)
	second := two.AddObject(altered(first))
	second.Data = otherBytes(first)
	c.connect(c.enrolAt(0), one, uplink.Shape{}, 0)
	c.connect(c.enrolAt(1), two, uplink.Shape{}, 1)
	sources := map[*uplinktest.Source]*uplinktest.Item{one: first, two: second}
	c.await("one to be archived and the other one to be held", func() bool {
		return one.Count(uplinktest.Archived)+two.Count(uplinktest.Archived) == 1 && one.Count(uplinktest.AtHub)+two.Count(uplinktest.AtHub) == 1 && troubles(one)+troubles(two) > 0
	})
	var held *uplinktest.Item
	for source, it := range sources {
		if source.Count(uplinktest.AtHub) == 1 {
			held = it
		}
	}
	for i, s := range c.nodes {
		if ls := s.do("objects", "ls"); !strings.Contains(ls, held.ID.String()) || strings.Count(ls, " held ") == 0 {
			t.Errorf("node %d lists %s", i+1, ls)
		}
	}
	c.nodes[1].do("objects", "release", held.ID.String())
	c.await("the other one to be archived, too", func() bool { return one.Count(uplinktest.Archived)+two.Count(uplinktest.Archived) == 2 })
	for _, it := range sources {
		c.nodes[0].identical(filepath.Join(c.archive, it.Study, it.ID.String()+".dcm"), it.Data)
	}
}

// The same object from two appliances through two nodes is one object: one copy in each
// archive, two receipts, two confirmations (P4).
func TestTheSameObjectThroughTwoNodes(t *testing.T) {
	c := newSeveral(t, 2, "")
	one, two := uplinktest.NewSource(), uplinktest.NewSource()
	const objects = 20
	for n := range objects {
		one.Add(uint64(n), 60_000, 1)
		two.Add(uint64(n), 60_000, 1)
	}
	c.connect(c.enrolAt(0), one, uplink.Shape{}, 0)
	c.connect(c.enrolAt(1), two, uplink.Shape{}, 1)
	c.await("both to hear of all", func() bool {
		return one.Count(uplinktest.Archived) == objects && two.Count(uplinktest.Archived) == objects
	})
	counters := c.stats()
	if counters.Objects != objects || counters.Receipts != 2*objects || counters.Archived != objects || counters.Held > 0 {
		t.Errorf("%+v, want %d objects with two receipts each", counters, objects)
	}
	files, err := filepath.Glob(filepath.Join(c.archive, "*", "*.dcm"))
	n := c.scp.Counts()
	if err != nil || len(files) != objects || n.Instances != objects || n.Other != 0 {
		t.Errorf("%d files, %+v in the archives, %v", len(files), n, err)
	}
	t.Logf("%d repeats", n.Repeats)
}

// Who is revoked at one node while he sends to another is cut off, and gets in nowhere
// (P11). Of what he was sending nothing is recorded. That it takes five seconds at most is
// shown in virtual time (hub/receive); here others may want the processors.
func TestRevokedInMidTransferIsCutOnEveryNode(t *testing.T) {
	t.Parallel()
	c := newSeveral(t, 2, "")
	b, source := c.enrolAt(0), uplinktest.NewSource()
	small := source.Add(1, 10_000, 1)
	u, _ := c.connect(b, source, uplink.Shape{Rate: 8e6}, 0, 1)
	c.await("the first to be archived", func() bool { return source.Count(uplinktest.Archived) == 1 })
	source.Add(2, 30<<20, 1) // half a minute
	c.await("the second to be on its way", func() bool { return u.Status().BytesSent > small.Length+1<<20 })
	c.nodes[1].do("devices", "revoke", b.Device().ID)
	began := time.Now()
	c.await("the connection to be cut", func() bool { return !u.Status().Connected })
	took := time.Since(began)
	if t.Logf("cut after %s", took.Round(10*time.Millisecond)); took > 10*time.Second {
		t.Errorf("cut after %s", took)
	}
	sent := u.Status().BytesSent
	time.Sleep(2 * time.Second) // it tries both nodes again and again
	if st := u.Status(); st.Connected || st.BytesSent > sent+4<<20 {
		t.Errorf("after it was cut off: %+v", st)
	}
	if n := c.stats(); n.Objects != 1 || n.Receipts != 1 {
		t.Errorf("%+v, want the first object alone", n)
	}
	for i, s := range c.nodes {
		if _, err := dialWire(c.T, s.listen, b); err == nil {
			t.Errorf("node %d lets it in", i+1)
		}
	}
	c.nodes[0].do("devices", "approve", b.Device().ID)
	u.SetShape(uplink.Shape{})
	c.await("it to go on when it is approved again", func() bool { return source.Count(uplinktest.Archived) == 2 })
}

// talk is a connection that says what a test wants.
type talk struct {
	*testing.T
	conn   *tls.Conn
	frames *wire.Reader
}

// dialWire says Hello and waits for Welcome.
func dialWire(t *testing.T, addr string, b *identity.Bundle) (*talk, error) {
	config := b.ClientTLS()
	config.NextProtos = []string{wire.ALPN}
	raw, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	w := &talk{t, conn, wire.NewReader(conn)}
	w.say(&wire.Hello{Versions: []uint16{wire.Version}, Boot: []byte("boot"), DataDir: []byte("dir")})
	f, err := w.frames.Next()
	if err == nil && f.Type() != wire.TypeWelcome {
		err = fmt.Errorf("instead of Welcome: %+v", f)
	}
	return w, err
}

func (w *talk) say(f wire.Frame) {
	w.Helper()
	b, err := wire.Append(nil, f)
	if err != nil {
		w.Fatal(err)
	}
	w.conn.Write(b) // whoever reads sees that it is cut
}

func (w *talk) hear() wire.Frame {
	w.Helper()
	f, err := w.frames.Next()
	if err != nil {
		w.Fatal(err)
	}
	return f
}

// An appliance that claims objects of another one, whose IDs it has learnt somewhere,
// is asked for all their bytes, as for an object that nobody has; without them it gets
// no receipt and no confirmation, at no node, and is told nothing that tells whether
// they exist: not for one that is archived, nor for one that is here in part.
func TestWhoClaimsAnothersObjectsLearnsNothing(t *testing.T) {
	t.Parallel()
	c := newSeveral(t, 2, "")
	source := uplinktest.NewSource()
	archived := source.Add(1, 60_000, 1)
	owner, thief := c.enrolAt(0), c.enrolAt(1)
	u, stop := c.connect(owner, source, uplink.Shape{Rate: 8e6}, 0)
	c.await("one to be archived", func() bool { return source.Count(uplinktest.Archived) == 1 })
	partly := source.Add(2, 20<<20, 1)
	c.await("the other to be here in part", func() bool { return u.Status().BytesSent > 2<<20 })
	stop()
	nobodys, _ := uplinktest.MakeObject(99, 60_000, 1)
	for i, s := range c.nodes {
		w, err := dialWire(t, s.listen, thief)
		if err != nil {
			t.Fatal(err)
		}
		for number, o := range []uplink.Object{archived.Object, partly.Object, nobodys} {
			n := uint64(number + 1)
			w.say(&wire.Offer{Objects: []wire.Object{{Number: n, ID: wire.ID(o.ID), TransferSyntax: o.Names.TransferSyntax, SOPClass: o.Names.SOPClass, SOPInstance: o.Names.SOPInstance,
				Study: o.Study, Length: o.Length, Priority: 1}}})
			have, ok := w.hear().(*wire.Have)
			if want := (wire.Answer{Number: n, ID: wire.ID(o.ID)}); !ok || len(have.Answers) != 1 || have.Answers[0] != want {
				t.Fatalf("node %d answers the claim of object %d with %+v", i+1, n, have)
			}
		}
		// It has no bytes of the first, and tries others of the right length.
		garbage := make([]byte, archived.Length)
		w.say(&wire.Put{Number: 1, Offset: 0, Body: garbage})
		trouble, ok := w.hear().(*wire.Trouble)
		if !ok || len(trouble.Problems) != 1 || trouble.Problems[0].Kind != wire.ProblemDigest {
			t.Errorf("node %d answers other bytes with %+v", i+1, trouble)
		}
		w.conn.Close()
	}
	counters := c.stats()
	if counters.Objects != 1 || counters.Receipts != 1 {
		t.Errorf("%+v: the thief has something", counters)
	}
	c.nodes[0].identical(filepath.Join(c.archive, archived.Study, archived.ID.String()+".dcm"), archived.Data)
	c.connect(owner, source, uplink.Shape{}, 0)
	c.await("the owner to go on", func() bool { return source.Count(uplinktest.Archived) == 2 })
}

// Any node enrols, any node serves; a node that ends in order hands its appliance over to
// the other one, which goes on with what was under way, and nothing of it is lost.
func TestANodeThatEndsHandsItsAppliancesOver(t *testing.T) {
	c := newSeveral(t, 2, "")
	source := uplinktest.NewSource()
	u, _ := c.connect(c.enrolAt(1), source, uplink.Shape{}, 0, 1)
	c.await("a connection", func() bool { return u.Status().Connected })
	for round := range 4 {
		at := round % 2
		for n := range 20 {
			source.Add(uint64(round*20+n), 100_000, 1)
		}
		c.running[at].Process.Signal(syscall.SIGTERM)
		c.await("all to be archived by the other node", func() bool { return source.Count(uplinktest.Archived) == (round+1)*20 })
		<-c.running[at].drained
		c.running[at].Wait()
		if code := c.running[at].ProcessState.ExitCode(); code != exitDone {
			t.Errorf("exit %d", code)
		}
		c.running[at] = c.nodes[at].start()
	}
	if n := c.scp.Counts(); n.Instances != 80 || n.Other > 0 {
		t.Errorf("%+v in the archive", n)
	}
}

// Objects as files are read by one node alone: a second one over the same rows says so
// and ends. It does not when the first was killed a moment ago.
func TestTwoNodesWithFilesAreRefused(t *testing.T) {
	t.Parallel()
	rows := pglab.Start(t)
	first, second := newSite(t), newSite(t)
	for i, s := range []*site{first, second} {
		s.more = fmt.Sprintf("node: n%d\nca_dir: %s\ndatabase: %s\n", i, filepath.Join(first.dir, "ca"), rows)
		s.configure()
	}
	p := first.start()
	out, err := second.command("run").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "files in data_dir, which no other node can read") {
		t.Errorf("%v: %s", err, out)
	}
	p.kill()
	first.start().stop(t)
	second.start()
}

// Two nodes with one name would each free at its start what the other delivers: the second
// says where the first is, and does not start. It does when that has stopped, or was
// killed a moment ago.
func TestASecondNodeOfOneNameDoesNotStart(t *testing.T) {
	t.Parallel()
	c := newSeveral(t, 2, "")
	c.running[1].stop(t)
	text, err := os.ReadFile(c.nodes[1].config)
	if err == nil {
		err = os.WriteFile(c.nodes[1].config, []byte(strings.Replace(string(text), "node: n2\n", "node: n1\n", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.nodes[1].command("run").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another hubd that runs has the name of this node") || !strings.Contains(string(out), c.nodes[0].listen) {
		t.Errorf("%v: %s", err, out)
	}
	c.running[0].kill()
	c.running[1] = c.nodes[1].start()
}

// A node that its database does not answer is not ready, and its appliances go to
// another one; when the database answers again it is.
func TestANodeWithoutItsDatabaseSendsItsAppliancesOn(t *testing.T) {
	t.Parallel()
	c := newSeveral(t, 2, "")
	text, err := os.ReadFile(c.nodes[0].config)
	if err != nil {
		t.Fatal(err)
	}
	database := regexp.MustCompile(`@(127\.0\.0\.1:\d+)/`).FindStringSubmatch(string(text))[1]
	line := newCut(t, database)
	c.running[0].stop(t)
	if err := os.WriteFile(c.nodes[0].config, []byte(strings.Replace(string(text), database, line.at, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.running[0] = c.nodes[0].start()
	source := uplinktest.NewSource()
	u, _ := c.connect(c.enrolAt(1), source, uplink.Shape{}, 0, 1)
	c.await("a connection to the first node", func() bool { return u.Status().Connected && u.Status().Hub == c.nodes[0].listen })
	line.set(true)
	began := time.Now()
	c.await("the appliance to be at the other node", func() bool { return u.Status().Connected && u.Status().Hub == c.nodes[1].listen })
	t.Logf("at the other node after %s", time.Since(began).Round(10*time.Millisecond))
	c.await("not to be ready", func() bool {
		code, _ := get(t, "http://"+c.running[0].console+"/readyz")
		return code == http.StatusServiceUnavailable
	})
	source.Add(1, 100_000, 1)
	c.await("the other node to do the work", func() bool { return source.Count(uplinktest.Archived) == 1 })
	line.set(false)
	c.await("to be ready again", func() bool { code, _ := get(t, "http://"+c.running[0].console+"/readyz"); return code == http.StatusOK })
}

// cut is a line to the database that may swallow everything.
type cut struct {
	at, to string
	mu     sync.Mutex // guards what follows
	open   *sync.Cond
	closed bool
}

func newCut(t *testing.T, to string) *cut {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cut{at: l.Addr().String(), to: to}
	c.open = sync.NewCond(&c.mu)
	t.Cleanup(func() {
		l.Close()
		c.set(false)
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go c.pass(client, server)
			go c.pass(server, client)
		}
	}()
	return c
}

// pass carries bytes one way, and holds them while the line is cut.
func (c *cut) pass(from, to net.Conn) {
	defer to.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		c.mu.Lock()
		for c.closed {
			c.open.Wait()
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (c *cut) set(closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = closed
	c.open.Broadcast()
}
