package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"edged/dimse"
	"edged/hub"
	"edged/hub/door"
	"edged/hub/enrol"
	"edged/hub/forward"
	"edged/hub/ledger"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/internal/durable"
	"edged/internal/identity"
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
	dicom   *dimse.Server // nil without dicom.listen
	est     *http.Server
	console *http.Server

	door                                *door.Door // hands connections of tcp to receive and est
	tcp, consoleListener, dicomListener net.Listener
	udp                                 *udp.Conn
}

// openHub takes the data directory and opens everything in it. On an error what
// was opened is closed again.
func openHub(ctx context.Context, cfg Config, log *slog.Logger) (*theHub, error) {
	h := &theHub{cfg: cfg, log: log, started: time.Now()}
	for _, step := range []func(context.Context) error{h.takeDataDir, h.openLedger, h.openObjects, h.makeForward, h.makeDoors, h.listen} {
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

func (h *theHub) openLedger(ctx context.Context) (err error) {
	c := ledgerConfig(h.cfg)
	c.Logger = h.log
	if h.ledger, err = ledger.Open(ctx, c); err != nil {
		return err
	}
	return h.ledger.Start(ctx)
}

func (h *theHub) openObjects(context.Context) (err error) {
	h.objects, err = objects.Open(objects.Config{Dir: objectsDir(h.cfg), ReserveBytes: int64(h.cfg.ReserveBytes), Logger: h.log})
	return err
}

func (h *theHub) makeForward(ctx context.Context) error {
	c := forward.Config{Jobs: h.ledger, Logger: h.log, Listening: h.cfg.DICOM.Listen != ""}
	c.Open = func(id hub.ID) (forward.Object, error) { return h.objects.Open(id) }
	for _, d := range h.cfg.Destinations {
		if d.Type == "cstore" {
			c.Destinations = append(c.Destinations, forward.NewCStore(forward.CStoreConfig{
				Name: d.Name, Address: d.Address, Called: d.AETitle, Calling: d.Calling, Associations: d.Associations,
				Commitment: d.Confirm == "commitment"}))
			continue
		}
		c.Destinations = append(c.Destinations, forward.NewDir(forward.DirConfig{
			Name: d.Name, Path: d.Path, Create: d.Create,
			Used: func() (bool, error) { return h.ledger.Used(context.WithoutCancel(ctx), d.Name) }}))
	}
	h.forward = forward.New(c)
	return h.makeDICOM()
}

// makeDoors makes what listens: uplink, enrolment, console.
func (h *theHub) makeDoors(context.Context) error {
	ca, err := identity.OpenAuthority(caDir(h.cfg), time.Now())
	if err != nil {
		return err
	}
	rescue, err := h.cfg.recoveryKey()
	if err != nil {
		return fmt.Errorf("recovery_key: %w", err)
	}
	ids := identity.NewServer(ca, nil)
	h.receive, err = receive.New(receive.Config{
		TLS: ids.Uplink(nil), Device: h.device, Revoked: h.ledger.Revoked, Ledger: h.ledger, Objects: h.objects,
		Software: "hubd " + programVersion(), Logger: h.log,
	})
	if err != nil {
		return err
	}
	h.est = &http.Server{
		Handler: enrol.New(enrol.Config{Authority: ca, Store: h.ledger, Recovery: rescue, Logger: h.log}),
	}
	h.console = &http.Server{Handler: newConsole(h)}
	h.door = door.New(door.Config{UplinkTLS: h.receive.TLS(), HTTPTLS: ids.HTTP(), Appliance: h.receive.ServeTCP, Logger: h.log})
	for _, s := range []*http.Server{h.est, h.console} {
		s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 10*time.Second, 30*time.Second, 30*time.Second, time.Minute
		s.MaxHeaderBytes = 16 << 10
		s.ErrorLog = slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)
		s.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2
	}
	return nil
}

// device admits an appliance inside the handshake: who is not approved sends no
// byte of any object.
func (h *theHub) device(st tls.ConnectionState) (string, error) {
	d, err := identity.DeviceOf(st)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	row, err := h.ledger.Device(ctx, d.ID)
	if err != nil {
		return "", fmt.Errorf("device %s: %w", d.ID, err)
	}
	if !row.Approved {
		return "", fmt.Errorf("device %s was revoked", d.ID)
	}
	return row.ID, nil
}

// maxHTTP bounds the connections to the console.
const maxHTTP = 512

// listen takes the addresses: one port number for TCP and UDP.
func (h *theHub) listen(ctx context.Context) error {
	var err error
	if h.tcp, h.udp, err = samePort(ctx, h.cfg.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	console, err := net.Listen("tcp", h.cfg.Console.Listen)
	if err != nil {
		return fmt.Errorf("console.listen: %w", err)
	}
	h.consoleListener = netutil.LimitListener(console, maxHTTP)
	if h.dicom == nil {
		return nil
	}
	if h.dicomListener, err = net.Listen("tcp", h.cfg.DICOM.Listen); err != nil {
		return fmt.Errorf("dicom.listen: %w", err)
	}
	return nil
}

// samePort listens on TCP and UDP. With port 0 the kernel chooses one for TCP
// that may be taken for UDP; then another is tried.
func samePort(ctx context.Context, addr string) (net.Listener, *udp.Conn, error) {
	var lc net.ListenConfig
	for try := 0; ; try++ {
		tcp, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		pc, err := udp.Listen(ctx, "udp", tcp.Addr().String(), udp.Options{})
		if err == nil {
			return tcp, pc, nil
		}
		tcp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" || try == 10 {
			return nil, nil, err
		}
	}
}

// serve runs all of it until ctx ends or one part fails, and returns when all
// have ended.
func (h *theHub) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for name, part := range map[string]func(context.Context) error{
		"uplink":  func(ctx context.Context) error { return h.receive.Serve(ctx, h.udp) },
		"tcp":     func(ctx context.Context) error { return h.door.Serve(ctx, h.tcp) },
		"enrol":   func(ctx context.Context) error { return serveHTTP(ctx, h.est, h.door.HTTP()) },
		"console": func(ctx context.Context) error { return serveHTTP(ctx, h.console, h.consoleListener) },
		"forward": h.forward.Run,
		"disk":    h.watchDisk,
		"retain":  h.retain,
		"dicom":   h.serveDICOM,
	} {
		wg.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	h.log.Info("hubd ready", "listen", h.tcp.Addr().String(), "console", h.consoleListener.Addr().String(),
		"data_dir", h.cfg.DataDir, "destinations", len(h.cfg.Destinations), "version", programVersion(), "took", time.Since(h.started).Round(time.Millisecond))
	<-ctx.Done()
	h.log.Info("hubd stops", "why", context.Cause(ctx))
	wg.Wait()
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
