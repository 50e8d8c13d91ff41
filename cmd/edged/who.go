package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Who asks is taken from the kernel, never from what a client says: the user at
// the other end of the control socket (SO_PEERCRED, unix(7)), and the one who
// logged in before sudo, where the kernel keeps that (loginuid, audit(7)).

// noLogin is what the kernel has for a process that nobody logged in to start.
const noLogin = 1<<32 - 1

// userName is the name of a user, or its number.
func userName(uid int) string {
	n := strconv.Itoa(uid)
	if u, err := user.LookupId(n); err == nil {
		return u.Username
	}
	return "uid " + n
}

// nameOf says who runs a process: "root", or "root (login maria)".
func nameOf(uid, pid int) string {
	name := userName(uid)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", pid))
	if err != nil {
		return name
	}
	login, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || login == noLogin || int(login) == uid {
		return name
	}
	return fmt.Sprintf("%s (login %s)", name, userName(int(login)))
}

// whoami is nameOf this process.
func whoami() string { return nameOf(os.Geteuid(), os.Getpid()) }

func ownerOf(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// knownListener gives connections of which one can ask who they are: the name is
// where net/http looks for the remote address.
type knownListener struct{ *net.UnixListener }

func (l knownListener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return knownConn{c, person(peerOf(c))}, nil
}

type knownConn struct {
	net.Conn
	peer net.Addr
}

func (c knownConn) RemoteAddr() net.Addr { return c.peer }

// person is a person in the place of an address.
type person string

func (person) Network() string  { return "unix" }
func (c person) String() string { return string(c) }

// peerOf asks the kernel when the connection is accepted, while the process that
// opened it is there.
func peerOf(c *net.UnixConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return "unknown"
	}
	name := "unknown"
	_ = raw.Control(func(fd uintptr) { // when it fails the name stays unknown, and nothing is granted
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			name = nameOf(int(cred.Uid), int(cred.Pid))
		}
	})
	return name
}
