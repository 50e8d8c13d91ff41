package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"edged/internal/config"
	"edged/spool"
)

// version is set by the linker.
var version = "dev"

// commands are edged's verbs.
type commands struct {
	Run      runCmd      `cmd:"" help:"The daemon, in the foreground."`
	Demo     demoCmd     `cmd:"" help:"Hub, appliance and archive on this machine: sends sample studies and shows each hop."`
	Check    checkCmd    `cmd:"" help:"Check a configuration."`
	Status   statusCmd   `cmd:"" help:"What the page shows, in the terminal."`
	LineTest lineTestCmd `cmd:"" name:"linetest" help:"Measure the line to the hub for some seconds, within the cap."`
	Echo     echoCmd     `cmd:"" help:"C-ECHO to a DICOM node."`
	Send     sendCmd     `cmd:"" help:"C-STORE files, folders or media to a DICOM node; goes on where it stopped."`
	Backfill backfillCmd `cmd:"" help:"Bring what an old PACS holds to the appliance, study by study; goes on where it stopped."`
	Spool    spoolCmd    `cmd:"" help:"Look into the spool, also while the daemon is down."`
	Pause    pauseCmd    `cmd:"" help:"Send nothing for a while; it goes on by itself."`
	Resume   resumeCmd   `cmd:"" help:"End a pause."`
	Devices  devicesCmd  `cmd:"" help:"Who calls, what it asked for, and why it was refused."`
	Audit    auditCmd    `cmd:"" help:"What people did to images here, and whether the record is whole."`
	Account  accountCmd  `cmd:"" help:"Who may log in to the page."`
	Enroll   enrollCmd   `cmd:"" help:"Turn a claim code into this appliance's certificate."`
	Service  serviceCmd  `cmd:"" help:"Keep edged as a service of systemd."`
	Retire   retireCmd   `cmd:"" help:"The end: prove that everything is archived, and erase the keys."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// process is what every command gets.
type process struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

// configFlag is shared by the commands that read edged.yaml.
type configFlag struct {
	Config string `short:"c" placeholder:"FILE" env:"EDGED_CONFIG" help:"Configuration file. Default: /etc/edged/edged.yaml if it is there."`
}

type versionCmd struct{}

func (versionCmd) Run(p *process) error {
	_, err := fmt.Fprintln(p.stdout, "edged", version)
	return err
}

// errStopped ends a group in order.
var errStopped = errors.New("stopped")

// usageError is a wrong use of a command: exit code 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	// A Go program that crashes ends with 2 unless it is told to end by SIGABRT (package
	// runtime, GOTRACEBACK=crash): systemd starts the one again and not the other.
	debug.SetTraceback("crash")
	spool.ProbeMain() // the child that opens a doubtful index ends here
	if err := leaveNoCore(); err != nil {
		fmt.Fprintln(os.Stderr, "edged:", err) // no reason to take no images
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it: 0 done, 1 failed, 2 wrong usage or
// configuration.
func run(args []string, stdout, stderr io.Writer) int {
	parser, err := kong.New(&commands{}, kong.Name("edged"), kong.Writers(stdout, stderr), kong.UsageOnError(),
		kong.Description("Takes DICOM images, answers Success when they survive a power cut, and brings them to the archive."))
	if err != nil {
		panic(err) // the grammar above is wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
		defer fmt.Fprintln(stderr, "edged: give a command; `edged demo` shows all of it")
		parser.Exit = func(int) {}
		parser.Parse(args)
		return 2
	}
	command, err := parser.Parse(args)
	if err != nil {
		return tell(stderr, usageError{err})
	}
	ctx, stop := untilStopped()
	defer stop()
	return tell(stderr, command.Run(&process{ctx: ctx, stdout: stdout, stderr: stderr}))
}

// untilStopped ends with the first SIGINT or SIGTERM; the second cuts: the default action
// is back before anything begins to stop.
func untilStopped() (context.Context, context.CancelFunc) {
	told, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(told, func() { stop(); cancel() })
	return ctx, stop
}

// tell prints an error in one line and makes it an exit code.
func tell(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var usage usageError
	var wrong config.Errors
	var one *config.Error
	if errors.As(err, &wrong) {
		for _, e := range wrong {
			fmt.Fprintln(stderr, "edged:", e)
		}
		return 2
	}
	fmt.Fprintln(stderr, "edged:", strings.ReplaceAll(err.Error(), "\n", "; "))
	if errors.As(err, &usage) || errors.As(err, &one) {
		return 2
	}
	return 1
}
