package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"edged/hub/forward"
	"edged/uplink/wire/udp"
)

func (d Destination) trial(c *Config) trial {
	t := trial{what: "destination " + d.Name}
	switch d.Type {
	case "dir":
		t.try, t.todo = d.tryDir, "mount the disk, or make the directory writable for the user that hubd runs as (ReadWritePaths in the unit)"
	case "cstore":
		t.try, t.todo = d.tryCStore, "ask the archive's administrator to admit our AE title and address, and to accept what is missing; check address and ae_title, and tls"
	default:
		t.try, t.todo = d.tryStow, "check url and auth, and that the archive's certificate is one that auth.ca or this machine knows"
	}
	return t
}

func (d Destination) tryDir(context.Context) (string, error) {
	dir := d.Path
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && d.Create {
		dir = existing(dir)
	}
	if err := tryDir(dir); err != nil {
		return "", err
	}
	n, _, err := free(dir)
	return fmt.Sprintf("%s can be written, %s free", dir, humanBytes(n)), err
}

func (d Destination) tryCStore(ctx context.Context) (string, error) {
	c, err := d.cstore()
	if err != nil {
		return "", err
	}
	t, err := forward.TryCStore(ctx, c)
	switch {
	case err != nil:
		return "", err
	case len(t.Accepted) == 0:
		return "", errors.New("C-ECHO is answered, and no kind of image is accepted")
	case d.Confirm == "commitment" && !t.Commitment:
		return "", errors.New("it does not accept storage commitment, and confirm is commitment: nothing would ever be archived")
	}
	says := fmt.Sprintf("C-ECHO is answered; storage commitment %s; accepted: %s", yesNo(t.Commitment), strings.Join(t.Accepted, ", "))
	if len(t.Refused) > 0 {
		says += "; not accepted: " + strings.Join(t.Refused, ", ")
	}
	return says, nil
}

func yesNo(b bool) string {
	if b {
		return "is accepted"
	}
	return "is not accepted"
}

func (d Destination) tryStow(ctx context.Context) (string, error) {
	s, err := d.makeStow()
	if err != nil {
		return "", err
	}
	answer, err := s.Try(ctx)
	return "a query for a study that does not exist is answered with " + answer, err
}

func (s Sink) trial() trial {
	t := trial{what: "events " + s.Name, try: s.tryFile, todo: "make the directory, writable for the user that hubd runs as (ReadWritePaths in the unit)"}
	if s.Type == "http" {
		t.try, t.todo = s.tryHTTP, "check url, the way through firewalls, and the receiver's certificate"
	}
	return t
}

func (s Sink) tryFile(context.Context) (string, error) {
	if _, err := os.ReadDir(s.Path); err != nil {
		return "", err
	}
	return s.Path + " can be written", tryDir(s.Path)
}

// tryHTTP connects, and has TLS agreed upon; a request might be taken for an event.
func (s Sink) tryHTTP(ctx context.Context) (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	cas, err := s.cas()
	if err != nil {
		return "", err
	}
	address := net.JoinHostPort(u.Hostname(), port)
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cas}}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return "", err
	}
	return address + " can be reached", conn.Close()
}

// running reports whether a hub has data_dir; its ports are taken by it.
func (c *Config) running() bool {
	f, err := os.OpenFile(filepath.Join(c.DataDir, "hubd.lock"), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close() // gives the lock back
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func (c *Config) tryPorts() []trial {
	all := []trial{{"listen", func(ctx context.Context) (string, error) { return c.tryPort(ctx, c.Listen, true) }, portTodo},
		{"console.listen", func(ctx context.Context) (string, error) { return c.tryPort(ctx, c.Console.Listen, false) }, portTodo}}
	if c.DICOM.Listen != "" {
		all = append(all, trial{"dicom.listen", func(ctx context.Context) (string, error) { return c.tryPort(ctx, c.DICOM.Listen, false) }, portTodo})
	}
	return all
}

const portTodo = "choose another port or end who has it (ss -lptun shows who)"

func (c *Config) tryPort(ctx context.Context, address string, both bool) (string, error) {
	if c.running() {
		return address + " is the hub's that runs here", nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	if !both {
		return address + " is free", l.Close()
	}
	u, err := udp.Listen(ctx, "udp", l.Addr().String(), udp.Options{})
	if err != nil {
		return "", errors.Join(err, l.Close())
	}
	return address + " is free, over TCP and UDP", errors.Join(u.Close(), l.Close())
}
