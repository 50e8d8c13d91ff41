package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Make      makeCommand      `cmd:"" help:"Write synthetic studies as DICOM files."`
	Send      sendCommand      `cmd:"" help:"Send synthetic studies by C-STORE."`
	Misbehave misbehaveCommand `cmd:"" help:"Behave badly towards a Storage SCP and report how it took it."`
}

// Exit codes: 0 done, 1 failed, 2 wrong usage.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("modsim"), kong.Description("A modality simulator."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return complain(err, exitFailed)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return complain(err, exitUsage)
	}
	err = command.Run()
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return complain(err, exitUsage)
	case err != nil:
		return complain(err, exitFailed)
	}
	return 0
}

// usageError is an error of whoever typed the command.
type usageError struct{ error }

func complain(err error, code int) int {
	fmt.Fprintln(os.Stderr, "modsim:", err)
	return code
}
