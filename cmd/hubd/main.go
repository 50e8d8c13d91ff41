package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"edged/internal/config"
)

// version is set when a release is linked.
var version = ""

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

type cli struct {
	Config  string     `short:"c" placeholder:"FILE" help:"Configuration. Default: ${config} if it exists."`
	Run     runCmd     `cmd:"" help:"Run the hub in the foreground."`
	Check   checkCmd   `cmd:"" help:"Check the configuration."`
	Version versionCmd `cmd:"" help:"Print the version."`
	KPI     kpiCmd     `cmd:"" name:"kpi" help:"Print figures of days as CSV or JSON."`
	Code    struct {
		New codeNewCmd `cmd:"" help:"Make a claim code for one appliance."`
	} `cmd:"" help:"Claim codes."`
	Devices struct {
		Ls      devicesLsCmd `cmd:"" help:"List the appliances that have enrolled."`
		Approve approveCmd   `cmd:"" help:"Let a revoked appliance come back."`
		Revoke  revokeCmd    `cmd:"" help:"Let an appliance in no more."`
	} `cmd:"" help:"Appliances."`
	Objects struct {
		Ls      objectsLsCmd `cmd:"" help:"List the objects that wait for a decision."`
		Release releaseCmd   `cmd:"" help:"Let an object go to the archive that is held because another has its SOP Instance UID."`
		Confirm confirmCmd   `cmd:"" help:"Say, after comparing, that the archive has an object, because storage commitment cannot: another has its SOP Instance UID. With --seen, that it has one that the hub lost."`
		Retry   retryCmd     `cmd:"" help:"Try an object again that the archive had refused for good, or all of an archive."`
	} `cmd:"" help:"Objects that wait for a decision."`
	Findings struct {
		Ls findingsLsCmd `cmd:"" help:"List the studies in whose data appliances have found something, newest first."`
	} `cmd:"" help:"What appliances find wrong with the data of studies."`
	Events struct {
		Ls    eventsLsCmd    `cmd:"" help:"List what sinks were not told yet, and what they refuse."`
		Retry eventsRetryCmd `cmd:"" help:"Tell a sink again what it had refused."`
	} `cmd:"" help:"Events of studies."`
	Token struct {
		New    tokenNewCmd    `cmd:"" help:"Make a token for the API and the console."`
		Ls     tokenLsCmd     `cmd:"" help:"List the tokens, without their secrets."`
		Revoke tokenRevokeCmd `cmd:"" help:"End a token for good."`
	} `cmd:"" help:"Who may use the API and the console."`
	Audit struct {
		Verify auditVerifyCmd `cmd:"" help:"Check that no row of the audit trail was changed, taken out or put in."`
		Export auditExportCmd `cmd:"" help:"Write the audit trail as JSON lines."`
	} `cmd:"" help:"The trail of changes."`
	Recovery struct {
		New recoveryNewCmd `cmd:"" help:"Make the key pair that opens the disks of appliances that have lost their own key."`
	} `cmd:"" help:"The recovery key of the region."`
	Receipts struct {
		Key    receiptsKeyCmd    `cmd:"" help:"Print the public key that verifies files of receipts."`
		Show   receiptsShowCmd   `cmd:"" help:"Print the signed receipts of a study that were folded into files."`
		Verify receiptsVerifyCmd `cmd:"" help:"Check the signature of such a file."`
	} `cmd:"" help:"Receipts of studies that are over."`
	Ledger struct {
		Backup   backupCmd   `cmd:"" help:"Write all rows to a file, also beside a running hub."`
		Verify   verifyCmd   `cmd:"" help:"Check that such a file is whole and unchanged."`
		Restore  restoreCmd  `cmd:"" help:"Fill an empty ledger from such a file; also the way from SQLite to PostgreSQL."`
		Restored restoredCmd `cmd:"" help:"Say that data_dir was restored from a backup: appliances offer everything again that is not archived."`
	} `cmd:"" help:"The hub's rows."`
}

// env is what commands get: where to read and write.
type env struct {
	ctx         context.Context
	out, errOut io.Writer
	configFile  string
}

func (e *env) load() (Config, error) { return load(e.configFile) }

func main() {
	// A Go program that crashes ends with 2 unless it is told to end by SIGABRT (package
	// runtime, GOTRACEBACK=crash): systemd starts the one again and not the other.
	debug.SetTraceback("crash")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // the second signal finds nobody listening and cuts
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) (code int) {
	var c cli
	helped := false
	parser := kong.Must(&c, kong.Name("hubd"), kong.Description("The hub of the edged appliances."),
		kong.Vars{"config": defaultConfig}, kong.Writers(out, errOut), kong.Exit(func(int) { helped = true }))
	k, err := parser.Parse(args)
	if helped {
		return exitDone
	}
	if err != nil {
		fmt.Fprintf(errOut, "hubd: %v (see hubd --help)\n", err)
		return exitUsage
	}
	err = k.Run(&env{ctx: ctx, out: out, errOut: errOut, configFile: c.Config})
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(errOut, "hubd: %v\n", err)
	if isUsage(err) {
		return exitUsage
	}
	return exitFailed
}

// isUsage reports whether the configuration or the command line is at fault.
func isUsage(err error) bool {
	var many config.Errors
	var one *config.Error
	var use usageError
	return errors.As(err, &many) || errors.As(err, &one) || errors.As(err, &use)
}

// usageError is a wrong value on the command line.
type usageError struct{ error }

func newLogger(w io.Writer, l Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // the decoder has allowed the four words alone
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// programVersion is what was linked in, or what go knows.
func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v = "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}
