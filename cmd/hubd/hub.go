package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"edged/dimse"
	"edged/hub/door"
	"edged/hub/events"
	"edged/hub/forward"
	"edged/hub/ledger"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/internal/durable"
	"edged/uplink/wire/udp"
)

type runCmd struct{}

func (runCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	log := newLogger(e.errOut, cfg.Log)
	for _, w := range append(cfg.warnings(), cfg.diskWarnings()...) {
		log.Warn(w)
	}
	h, err := openHub(e.ctx, cfg, log)
	if err != nil {
		return err
	}
	return errors.Join(h.serve(e.ctx), h.close())
}

// theHub is all rooms, put together.
type theHub struct {
	cfg     Config
	log     *slog.Logger
	started time.Time

	lock    *os.File
	ledger  *ledger.Ledger
	objects *objects.Store
	forward *forward.Forwarder
	receive *receive.Server
	events  *events.Events
	dicom   *dimse.Server // nil without dicom.listen
	est     *http.Server
	console *http.Server
	desk    *console // what the console server serves

	door                                *door.Door // hands connections of tcp to receive and est
	tcp, consoleListener, dicomListener net.Listener
	udp                                 *udp.Conn

	name    *ledger.Alone          // this node's; nil where there is one node
	alone   *ledger.Alone          // nil where several may be
	absence absence                // why no appliance is served though nothing is broken
	clock   atomic.Pointer[string] // how far it is from the database's; nil or empty: it agrees
}

// openHub takes the data directory and opens everything in it. On an error what
// was opened is closed again.
func openHub(ctx context.Context, cfg Config, log *slog.Logger) (*theHub, error) {
	h := &theHub{cfg: cfg, log: log, started: time.Now()}
	for _, step := range []func(context.Context) error{h.takeDataDir, h.openLedger, h.takeName, h.takeAlone, h.openObjects, h.makeForward, h.makeEvents, h.makeDoors, h.listen, h.startLedger} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, h.close())
		}
	}
	return h, nil
}

// takeDataDir keeps a second hub out. The kernel gives the lock back when the
// process ends, however it ends.
func (h *theHub) takeDataDir(context.Context) (err error) {
	if err := durable.Mkdir(h.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	if h.lock, err = os.OpenFile(filepath.Join(h.cfg.DataDir, "hubd.lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	err = syscall.Flock(int(h.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("data_dir %s is used by another hubd that runs: stop it first, or give this one another data_dir", h.cfg.DataDir)
	}
	if err != nil {
		return fmt.Errorf("data_dir: lock: %w", err)
	}
	return nil
}

// serve runs all of it until ctx ends or one part fails, and returns when all
// have ended, see stages.go.
func (h *theHub) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := newStages(ctx)
	for name, part := range map[string]func(context.Context) error{
		"uplink":  func(ctx context.Context) error { return h.receive.Serve(ctx, h.udp) },
		"tcp":     func(ctx context.Context) error { return h.door.Serve(ctx, h.tcp) },
		"enrol":   func(ctx context.Context) error { return serveHTTP(ctx, h.est, h.door.HTTP()) },
		"console": func(ctx context.Context) error { return serveHTTP(ctx, h.console, h.consoleListener) },
		"forward": h.forward.Run,
		"disk":    h.watchDisk,
		"retain":  h.retain,
		"keep":    h.keepReceipts,
		"systemd": h.tellSystemd,
		"rows":    h.ledger.Listen,
		"beat":    h.beat,
		"walk":    h.ledger.Follow,
		"look":    h.look,
		"alone":   h.stayAlone,
		"name":    h.keepName,
		"dicom":   h.serveDICOM,
		"events":  h.events.Run,
		"desk":    h.desk.run,
	} {
		s := all[stageOf[name]]
		s.Go(func() {
			if err := part(s.ctx); err != nil && s.ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	h.log.Info("hubd ready", "listen", h.tcp.Addr().String(), "console", h.consoleListener.Addr().String(),
		"data_dir", h.cfg.DataDir, "destinations", len(h.cfg.Destinations), "version", programVersion(), "took", time.Since(h.started).Round(time.Millisecond))
	<-ctx.Done()
	h.log.Info("hubd stops", "why", context.Cause(ctx))
	h.notify(daemon.SdNotifyStopping)
	h.leave(ctx)
	end(all)
	h.goodbye(ctx)
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// watchDisk ends the hub when the disk has failed below it: it must start again
// and recover (P8).
func (h *theHub) watchDisk(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.ledger.Failed():
			return h.ledger.Err()
		case <-tick.C:
			if err := h.objects.Failed(); err != nil {
				return err
			}
		}
	}
}

// serveHTTP serves until ctx ends, then lets requests in progress finish.
func serveHTTP(ctx context.Context, s *http.Server, l net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		stopped <- errors.Join(s.Shutdown(grace), s.Close())
	})
	err := s.Serve(l)
	if stop() {
		return err // nobody asked for the end
	}
	return <-stopped
}

// close gives back what is open; the parts have ended.
func (h *theHub) close() error {
	var errs []error
	if h.tcp != nil {
		errs = append(errs, closed(h.tcp.Close()))
	}
	if h.consoleListener != nil {
		errs = append(errs, closed(h.consoleListener.Close()))
	}
	if h.dicomListener != nil {
		errs = append(errs, closed(h.dicomListener.Close()))
	}
	if h.udp != nil {
		errs = append(errs, closed(h.udp.Close()))
	}
	if h.objects != nil {
		errs = append(errs, h.objects.Close())
	}
	for _, place := range []*ledger.Alone{h.alone, h.name} {
		if place != nil {
			place.Close()
		}
	}
	if h.ledger != nil {
		errs = append(errs, h.ledger.Close())
	}
	if h.lock != nil {
		errs = append(errs, h.lock.Close())
	}
	return errors.Join(errs...)
}

// closed passes over what was closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
