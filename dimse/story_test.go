package dimse

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The stories of testdata/stories: a peer plays bytes, and each byte of the
// answers is compared. A story is a txtar archive: what it shows, in prose, with
// lines "key: value" that set the scene; then what happens, one file each:
//
//	-- peer 1 --     the peer sends this
//	-- ours 2 --     we have sent exactly this since the last file, and no more
//	-- wait 30s --   nothing happens for so long
//	-- closed 3 --   we have closed; the duration since the last file stands in it
//	-- result --     what the operations of a client returned, a line each
//
// Bytes are hexadecimal. Lines that begin with # say what they mean; they are
// written by -update, and compared, so that they never say anything else.
// -update also writes what we answer and how it ended: check it by hand against
// the standard before you commit it.
var update = flag.Bool("update", false, "write our side of the stories, and what the bytes mean")

// The keys: "role" is server (the default), client, or acceptor (one that
// releases); "status" what the handler of a server answers; "reads" how many
// bytes it reads, all if missing; "does" the operations of a client.
type story struct {
	about string
	parts []part
}

type part struct{ name, body string }

func (s *story) key(name string) string {
	for line := range strings.Lines(s.about) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// readStory reads the txtar format: text, then files behind lines "-- name --".
func readStory(b string) *story {
	s := &story{}
	for line := range strings.Lines(b) {
		name, isMark := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		if name, ok := strings.CutSuffix(name, " --"); isMark && ok {
			s.parts = append(s.parts, part{name: name})
		} else if len(s.parts) > 0 {
			s.parts[len(s.parts)-1].body += line
		} else {
			s.about += line
		}
	}
	return s
}

func (s *story) String() string {
	b := s.about
	for _, p := range s.parts {
		b += "-- " + p.name + " --\n" + p.body
	}
	return b
}

// TestStories plays them all.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := readStory(string(b))
			synctest.Test(t, func(t *testing.T) { playStory(t, s) })
			if got := s.String(); got != string(b) && *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// stage is where a story is played: the peer's end of a connection, and what
// came out of it.
type stage struct {
	conn net.Conn

	mu     sync.Mutex
	heard  []byte
	closed time.Time
	result strings.Builder
}

func (st *stage) listen() {
	for p := make([]byte, 4096); ; {
		n, err := st.conn.Read(p)
		st.mu.Lock()
		st.heard = append(st.heard, p[:n]...)
		if err != nil {
			st.closed = time.Now()
		}
		st.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func playStory(t *testing.T, s *story) {
	ours, theirs := net.Pipe()
	st := &stage{conn: theirs}
	var ended sync.WaitGroup
	ended.Go(func() { st.cast(t, s, ours) })
	ended.Go(st.listen)
	defer ended.Wait()
	defer theirs.Close()
	since := time.Now()
	for i := range s.parts {
		p := &s.parts[i]
		got := st.act(t, p, since)
		if want := p.body; got != want && !*update {
			t.Errorf("%s: got\n%swant\n%s", p.name, got, want)
		}
		p.body = got
		since = time.Now()
	}
	synctest.Wait()
	if len(st.heard) > 0 {
		t.Errorf("at the end we said more:\n%s", written(st.heard))
	}
}

// act lets one part happen and returns how it is written.
func (st *stage) act(t *testing.T, p *part, since time.Time) string {
	kind, rest, _ := strings.Cut(p.name, " ")
	switch kind {
	case "peer":
		b := bytesOf(t, p.body)
		st.conn.SetWriteDeadline(time.Now().Add(time.Hour))
		st.conn.Write(b) // we may have closed; then the next part shows it
		return written(b)
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(d)
		return p.body
	case "closed":
		for range 3600 {
			synctest.Wait()
			if !st.isClosed().IsZero() {
				break
			}
			time.Sleep(time.Second / 2)
		}
		if st.isClosed().IsZero() {
			return "never\n"
		}
		return st.isClosed().Sub(since).String() + "\n"
	}
	synctest.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	if kind == "result" {
		return st.result.String()
	}
	b := st.heard
	st.heard = nil
	return written(b)
}

func (st *stage) isClosed() time.Time {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.closed
}

func (st *stage) say(format string, args ...any) {
	st.mu.Lock()
	defer st.mu.Unlock()
	fmt.Fprintf(&st.result, format+"\n", args...)
}

// cast plays our side until it is over.
func (st *stage) cast(t *testing.T, s *story, conn net.Conn) {
	switch s.key("role") {
	case "client":
		st.client(t, conn, s.key("does"))
	case "acceptor":
		u := newUpper(newWire(conn, time.Minute, time.Minute), false, 30*time.Second, 1<<16)
		u.state = sta6
		u.established(4096)
		st.say("release: %v", u.release())
		u.finish()
	default:
		st.server(t, s, conn)
	}
}

// server is one with a handler that says in the result what it was given.
func (st *stage) server(t *testing.T, s *story, conn net.Conn) {
	status, err := strconv.ParseUint("0"+s.key("status"), 16, 16)
	if err != nil {
		t.Error(err)
	}
	reads, _ := strconv.ParseInt(s.key("reads"), 10, 64)
	h := handlerFunc(func(_ context.Context, _ *Association, rq StoreRequest, data io.Reader) Status {
		if reads > 0 {
			data = io.LimitReader(data, reads)
		}
		b, err := io.ReadAll(data)
		st.say("C-STORE of %s, %s, in %s: %q, %v", rq.SOPClassUID, rq.SOPInstanceUID, rq.TransferSyntaxUID, b, err)
		return Status(status)
	})
	o := &observerFunc{opened: func() {}, closed: func() {}}
	srv := newTestServer(t, ServerConfig{Handler: h, Titles: []string{"EDGED"}, Observer: o})
	srv.run(srv.admitConnection(conn))
}

// client does what the story says, and writes how it ended.
func (st *stage) client(t *testing.T, conn net.Conn, does string) {
	cfg := clientConfig("0", Proposal{ID: 1, AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLE}}, ctProposal)
	cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	c, err := Dial(context.Background(), cfg)
	if err != nil {
		st.say("dial: %v", err)
		return
	}
	defer c.Abort()
	for _, what := range strings.Fields(does) {
		switch what {
		case "echo":
			rsp, err := c.Echo(context.Background())
			st.say("echo: %v, %v", rsp.Status, err)
		case "store":
			rsp, err := c.Store(context.Background(), ctStore, strings.NewReader("the data set"))
			st.say("store: %v, %v", rsp.Status, err)
		case "release":
			st.say("release: %v", c.Release(context.Background()))
		default:
			t.Errorf("a client cannot %s", what)
		}
	}
}

func bytesOf(t *testing.T, body string) []byte {
	var b []byte
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		some, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, some...)
	}
	return b
}

// written is b as it stands in a story: each PDU behind what it means.
func written(b []byte) string {
	var w strings.Builder
	for len(b) > 0 {
		n := len(b)
		if len(b) >= headerSize && b[0] >= typeRQ && b[0] <= typeAbort {
			n = min(n, headerSize+int(binary.BigEndian.Uint32(b[2:])))
		}
		for _, line := range meaning(b[:n]) {
			w.WriteString("# " + line + "\n")
		}
		for chunk := range slices.Chunk(b[:n], 32) {
			fmt.Fprintf(&w, "% x\n", chunk)
		}
		b = b[n:]
	}
	return w.String()
}
