package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"edged/agent/page"
	"edged/agent/status"
	"edged/internal/audit"
	"edged/spool"
)

// The control socket is HTTP on a unix socket that only the daemon's own user
// can open. It is how the other commands reach a running daemon; its paths are
// not a public interface.
const controlSocket = "control.sock"

// runtimeDir is where the service manager wants sockets.
const runtimeDir = "/run/edged"

// socketPath is where the daemon of a configuration has its control socket: in
// the directory that systemd made for it, else in its data directory.
func (c *Config) socketPath() string {
	if os.Getenv("RUNTIME_DIRECTORY") == runtimeDir {
		return filepath.Join(runtimeDir, controlSocket)
	}
	return filepath.Join(c.DataDir, controlSocket)
}

// sockets is where other commands look for it.
func (c *Config) sockets() []string {
	paths := []string{filepath.Join(c.DataDir, controlSocket)}
	if c.DataDir == defaultDataDir {
		paths = append(paths, filepath.Join(runtimeDir, controlSocket))
	}
	return paths
}

// control serves the socket.
type control struct {
	keeper *keeper
	view   *view
	tests  *lineTests
	rest   func(who string, d time.Duration) (until time.Time, err error)
	trail  func() (*audit.Log, error)
	door   func() page.Door
	audit  func() syslogStatus
}

func (c *control) listen(path string) (net.Listener, error) {
	if err := nobodyOn(path); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return knownListener{l}, os.Chmod(path, 0o600)
}

// nobodyOn is an error when a daemon answers on the socket.
func nobodyOn(path string) error {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil
	}
	conn.Close()
	return fmt.Errorf("another edged is running with this data_dir: it answers on %s", path)
}

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.status)
	mux.HandleFunc("GET /page", c.pageDoor)
	mux.HandleFunc("GET /repository", c.repository)
	mux.HandleFunc("GET /locked", c.locked)
	mux.HandleFunc("GET /devices", c.devices)
	mux.HandleFunc("GET /objects", c.objects)
	mux.HandleFunc("GET /objects/{id}", c.object)
	mux.HandleFunc("GET /objects/{id}/file", c.file)
	mux.HandleFunc("POST /objects/{id}/verify", c.verify)
	mux.HandleFunc("GET /raw/{seq}", c.raw)
	mux.HandleFunc("GET /studies", c.studies)
	mux.HandleFunc("POST /pause", c.pause)
	mux.HandleFunc("POST /linetest", c.lineTest)
	mux.HandleFunc("POST /release", c.release)
	mux.HandleFunc("POST /discard", c.discard)
	mux.HandleFunc("POST /exported", c.exported)
	return mux
}

func (c *control) status(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(c.view.Status()) // the peer is gone when this fails
}

func (c *control) devices(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(c.view.roster.list()) // the peer is gone when this fails
}

// pageOfObjects is how many rows one answer has.
const pageOfObjects = 1000

func (c *control) objects(w http.ResponseWriter, r *http.Request) {
	s, ok := c.spool(w)
	if !ok {
		return
	}
	after, _ := strconv.ParseUint(r.FormValue("after"), 10, 64)
	out := json.NewEncoder(w)
	for _, o := range s.Objects(after, pageOfObjects) {
		if out.Encode(rowOf(o)) != nil {
			return
		}
	}
}

func (c *control) object(w http.ResponseWriter, r *http.Request) {
	if s, id, ok := c.named(w, r); ok {
		if o, err := s.Object(id); err != nil {
			fail(w, err)
		} else {
			json.NewEncoder(w).Encode(rowOf(o))
		}
	}
}

// file gives a plain Part 10 file.
func (c *control) file(w http.ResponseWriter, r *http.Request) {
	s, id, ok := c.named(w, r)
	if !ok {
		return
	}
	content, err := s.Open(id)
	if err != nil {
		fail(w, err)
		return
	}
	defer content.Close()
	if err := writePart10(w, content); err != nil {
		panic(http.ErrAbortHandler) // the reader must not take the half for the whole
	}
}

func (c *control) verify(w http.ResponseWriter, r *http.Request) {
	if s, id, ok := c.named(w, r); ok {
		row := verifyRow{ID: id.String()}
		if err := s.Verify(r.Context(), id); err != nil {
			row.Error = err.Error()
		}
		json.NewEncoder(w).Encode(row)
	}
}

func (c *control) spool(w http.ResponseWriter) (*spool.Spool, bool) {
	s, err := c.keeper.get()
	if err != nil {
		fail(w, err)
	}
	return s, err == nil
}

func (c *control) named(w http.ResponseWriter, r *http.Request) (*spool.Spool, spool.ID, bool) {
	id, err := spool.ParseID(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, id, false
	}
	s, ok := c.spool(w)
	return s, id, ok
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	var refused refusedError
	switch {
	case errors.Is(err, spool.ErrUnknown):
		code = http.StatusNotFound
	case errors.As(err, &refused):
		code = http.StatusConflict
	}
	http.Error(w, err.Error(), code)
}

// client speaks to a running daemon.
type client struct{ http http.Client }

func newClient(path string) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	}
	return &client{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// findDaemon is a client of the daemon with this configuration, or nil when
// none is running.
func findDaemon(ctx context.Context, cfg *Config) *client {
	for _, path := range cfg.sockets() {
		conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
		if err == nil {
			conn.Close()
			return newClient(path)
		}
	}
	return nil
}

// theDaemon is findDaemon for who can do nothing without one.
func theDaemon(ctx context.Context, cfg *Config) (*client, error) {
	if d := findDaemon(ctx, cfg); d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("no daemon answers on %s: start it with `edged run`, or name its configuration with -c", cfg.socketPath())
}

func (c *client) do(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	rq, err := http.NewRequestWithContext(ctx, method, "http://edged"+path, body)
	if err != nil {
		return nil, err
	}
	rs, err := c.http.Do(rq)
	if err != nil {
		return nil, fmt.Errorf("the running edged: %w", err)
	}
	if rs.StatusCode != http.StatusOK {
		defer rs.Body.Close()
		words, _ := io.ReadAll(io.LimitReader(rs.Body, 1<<10))
		switch said := strings.TrimSpace(string(words)); rs.StatusCode {
		case http.StatusNotFound:
			return nil, fmt.Errorf("%w", spool.ErrUnknown)
		case http.StatusConflict:
			return nil, refusef("%s", said)
		default:
			return nil, fmt.Errorf("the running edged says: %s", said)
		}
	}
	return rs.Body, nil
}

// ask sends a value as JSON, if there is one, and decodes the one that a path
// answers.
func (c *client) ask(ctx context.Context, method, path string, send, into any) error {
	var body io.Reader
	if send != nil {
		raw, err := json.Marshal(send)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	return json.NewDecoder(answer).Decode(into)
}

func (c *client) status(ctx context.Context) (r status.Status, err error) {
	err = c.ask(ctx, http.MethodGet, "/status", nil, &r)
	return r, err
}

// objects calls visit for every object, in the order of arrival.
func (c *client) objects(ctx context.Context, visit func(objectRow) error) error {
	for after, more := uint64(0), true; more; {
		rows, err := c.page(ctx, after)
		if err != nil {
			return err
		}
		for _, r := range rows {
			after = r.Seq
			if err := visit(r); err != nil {
				return err
			}
		}
		more = len(rows) == pageOfObjects
	}
	return nil
}

func (c *client) page(ctx context.Context, after uint64) (rows []objectRow, err error) {
	body, err := c.do(ctx, http.MethodGet, fmt.Sprintf("/objects?after=%d", after), nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r objectRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, lines.Err()
}
