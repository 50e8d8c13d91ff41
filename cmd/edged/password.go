package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"edged/agent/account"
)

// A password is never an argument: those are seen by everybody on the machine (proc(5))
// and stay in the history of the shell.

const maxPasswordLine = 1 << 10

// newPassword asks twice at a terminal, or reads the first line of standard input.
func newPassword(p *process, fromStdin bool, name string) (string, error) {
	in := bufio.NewReader(io.LimitReader(os.Stdin, 2*maxPasswordLine))
	if fromStdin {
		return passwordLine(in)
	}
	state, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	if err != nil {
		return "", usagef("there is no terminal to ask for the password: give it on standard input with --password-stdin")
	}
	show, err := noEcho(p.ctx, int(os.Stdin.Fd()), state)
	if err != nil {
		return "", err
	}
	defer show()
	fmt.Fprintf(p.stderr, "New password for %s (12 characters or more, not shown): ", name)
	first, err := passwordLine(in)
	if err == nil {
		err = account.Rules(name, first)
	}
	if err != nil {
		return "", err
	}
	fmt.Fprint(p.stderr, "The same again: ")
	second, err := passwordLine(in)
	if err == nil && first != second {
		err = errors.New("the two are not the same: nothing was changed")
	}
	return first, err
}

// noEcho until show is called; also when the command is interrupted, which leaves it at
// once: a terminal without echo is a nuisance.
func noEcho(ctx context.Context, fd int, was *unix.Termios) (show func(), err error) {
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ICANON | unix.ISIG | unix.ECHONL // the Enter is seen
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	restore := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) } // nothing else could be done
	stop := context.AfterFunc(ctx, func() {
		restore()
		os.Exit(130)
	})
	return func() { stop(); restore() }, nil
}

// passwordLine is one line without its end.
func passwordLine(in *bufio.Reader) (string, error) {
	text, err := in.ReadString('\n')
	if err != nil && (err != io.EOF || text == "") {
		return "", errors.New("no password was given")
	}
	if len(text) > maxPasswordLine {
		return "", account.ErrLong
	}
	return strings.TrimRight(text, "\r\n"), nil
}
