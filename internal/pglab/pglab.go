package pglab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Programs is where Debian's newest PostgreSQL lies, or an error that says what is missing.
func Programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/postgres (Debian: apt-get install postgresql)"), err)
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4]) // one that is no number is no newest
	return n
}

var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Start returns the URL of a new, empty database on the server of this process.
func Start(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	return ofProcess(t).Database(t)
}

// ofProcess is the server that all tests share; shared is locked.
func ofProcess(t testing.TB) *Server {
	t.Helper()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = launch(skipOrPrograms(t), memory())
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// Copy returns the URL of a new database on the server of this process, which holds what
// fill put into the first one of that name: a schema is made once for many tests.
func Copy(t testing.TB, name string, fill func(url string) error) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	s := ofProcess(t)
	if !s.filled[name] {
		if err := errors.Join(s.Exec("DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"), s.Exec("CREATE DATABASE "+name), fill(s.URL(name))); err != nil {
			t.Fatal(err)
		}
		s.filled[name] = true
	}
	return s.database(t, " TEMPLATE "+name)
}

func skipOrPrograms(t testing.TB) string {
	t.Helper()
	bin, err := Programs()
	if err != nil {
		t.Skip(err)
	}
	return bin
}

// Server is a PostgreSQL.
type Server struct {
	bin, dir string
	port     int
	identity *syscall.SysProcAttr
	keeper   *exec.Cmd
	pipe     io.WriteCloser
	number   atomic.Int64    // of databases
	filled   map[string]bool // guarded by shared
}

// New is a server for one test, which ends with it.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := launch(skipOrPrograms(t), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// memory is a directory in memory with room for the databases of many small tests, or
// "": a database is made there in a tenth of the time. What is shown by killing
// processes is shown there as well.
func memory() string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &fs); err != nil || int64(fs.Bavail)*fs.Bsize < 2<<30 {
		return ""
	}
	return "/dev/shm"
}

// launch makes a data directory below one and starts a server in it.
func launch(bin, below string) (*Server, error) {
	dir, err := os.MkdirTemp(below, "pglab")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // as the working directories of its processes are called
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, filled: map[string]bool{}}
	if s.identity, err = identity(dir); err != nil {
		return nil, err
	}
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = s.identity, dir
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.Start()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// identity is whom the server runs as: root is not allowed.
func identity(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, errors.Join(err1, err2, os.Chown(dir, uid, gid))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// keep starts the server and waits for the end of its own standard input, which is the
// end of whoever started it, or Kill. Then the server has no time for anything: SIGQUIT
// is its immediate shutdown, and what it has confirmed must survive that. The directory
// goes too, unless Kill has said that it stays.
const keep = `"$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$2" -c fsync=on \
	-c shared_buffers=64MB -c max_connections=100 -c autovacuum_naptime=5 -c max_wal_size=512MB $4 >>"$2/log" 2>&1 </dev/null &
server=$!
word=$(cat)
kill -QUIT $server 2>/dev/null
wait $server
[ "$word" = stay ] || rm -rf "$2"`

// Start starts it, again after Kill, with further options (-c name=value), and returns
// when it answers.
func (s *Server) Start(options ...string) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "keeper"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer log.Close()
	s.keeper = exec.Command("/bin/sh", "-c", keep, "sh", s.bin, s.dir, strconv.Itoa(s.port), strings.Join(options, " "))
	s.keeper.SysProcAttr, s.keeper.Dir, s.keeper.Stdout, s.keeper.Stderr = s.identity, s.dir, log, log
	if s.pipe, err = s.keeper.StdinPipe(); err != nil {
		return err
	}
	if err := s.keeper.Start(); err != nil {
		return err
	}
	return s.answers()
}

// answers waits for the server, at most 30 s.
func (s *Server) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := s.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, log[max(0, len(log)-2000):])
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Restart kills the server, if it runs, and starts it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the server without any notice, and returns when it is gone.
func (s *Server) Kill() {
	if s.keeper == nil {
		return
	}
	for end := time.Now().Add(time.Minute); s.killAll() > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	_, _ = io.WriteString(s.pipe, "stay")
	_ = s.pipe.Close()
	_ = s.keeper.Wait() // its status is the server's
	s.keeper = nil
}

// killAll kills the server and its children, and says how many there were. They are known
// by their working directory, its data: a child that it makes at this moment is found the
// next time, and would keep the server's memory in use when it is started again.
func (s *Server) killAll() (n int) {
	places, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, p := range places {
		if at, err := os.Readlink(p); err != nil || at != s.data() { // a zombie has none
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
			n++
		}
	}
	return n
}

// URL is how to reach a database of it.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Address is where it listens.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Database is a new one, for one test; the server must run when the test ends, or be of
// the test's own.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.database(t, "")
}

func (s *Server) database(t testing.TB, of string) string {
	t.Helper()
	name := fmt.Sprintf("t%d", s.number.Add(1))
	if err := s.Exec("CREATE DATABASE " + name + of); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.keeper == nil {
			return
		}
		if err := s.Exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Log(err)
		}
	})
	return s.URL(name)
}

// Exec runs a statement as the superuser, in the database postgres.
func (s *Server) Exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return s.exec(ctx, statement)
}

func (s *Server) exec(ctx context.Context, statement string) error {
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	return errors.Join(err, c.Close(ctx))
}
