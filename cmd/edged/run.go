package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/net/netutil"

	"edged/agent/page"
	"edged/agent/status"
	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/durable"
	"edged/spool"
)

// What lies below data_dir.
const (
	spoolDir   = "spool"
	ledgerFile = "ledger.json"
	placeFile  = "id" // names the data directory; a copy of it is a clone
)

// runCmd is the daemon.
type runCmd struct{ configFlag }

// appliance is the wiring: every part of the daemon, made but not started.
type appliance struct {
	cfg    Config
	file   string // that is in force, "" for none; after the start only reload touches it
	onCall string // the file that reload looks for while none is in force, "" for none
	log    *slog.Logger

	written []string       // the keys in file; after the start only reload touches it
	hangups chan os.Signal // SIGHUP; nil: nobody reloads

	keeper *keeper
	roster *roster
	door   *door
	judge  *assessor
	server *dimse.Server
	sender *sender
	view   *view

	studies  *studyEvents
	cards    *cards
	page     *page.Page
	auditing auditing
	local

	lineTests *lineTests
	lineDay   *lineDay
	lapse     func() error // tells of sessions that ended by themselves; nil: there are none
	manager   serviceManager
	pageKeys  *pageKeys
	doors     []*knocked    // DICOM ports; made by listen
	withdrawn chan struct{} // closed when nothing is announced any more

	catalogue   *catalogue // nil: no device may query
	commitments *commitments
	steps       *stepNotes

	herald  *herald // nil: no audit repository
	tallied *tallied
}

func (c *runCmd) Run(p *process) error {
	hangups := make(chan os.Signal, 1)     // one that is waiting stands for all
	signal.Notify(hangups, syscall.SIGHUP) // before all else: one that comes early would end the process
	defer signal.Stop(hangups)
	file := fileInForce(c.Config, defaultConfigFile) // once: reload must not find another one, or none
	cfg, written, err := readWritten(file)
	if err != nil {
		return err
	}
	log := cfg.Log.logger()
	for _, w := range cfg.warnings() {
		log.Warn(w)
	}
	if err := cfg.mayRun(); err != nil {
		return err
	}
	a, err := newAppliance(cfg, log)
	if err != nil {
		return err
	}
	a.file, a.onCall, a.written, a.hangups = file, defaultConfigFile, written, hangups
	tidySooner()
	return a.run(p.ctx)
}

// tidySooner lets the heap grow by half before it is collected, not to the double: the
// appliance shares a small machine. GOGC, where it is set, holds.
func tidySooner() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// tidyOften is tidySooner where most of a large heap stays: less of it in proportion is
// still much between two collections.
func tidyOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(30)
	}
}

// mayRun says what would end the daemon soon anyhow, before it makes a directory
// or opens a port.
func (c *Config) mayRun() error {
	if err := c.mustNotBeRetired(); err != nil {
		return err
	}
	for _, path := range append(c.sockets(), c.socketPath()) {
		if err := nobodyOn(path); err != nil {
			return err
		}
	}
	if c.Spool.AllowUnsafeFilesystem {
		return nil
	}
	return spool.CheckFilesystem(existing(filepath.Join(c.DataDir, spoolDir)))
}

// existing is dir, or the nearest directory above it that is there already.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func newAppliance(cfg Config, log *slog.Logger) (*appliance, error) {
	if err := durable.Mkdir(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	place, err := placeID(filepath.Join(cfg.DataDir, placeFile))
	if err != nil {
		return nil, err
	}
	a := &appliance{cfg: cfg, log: log, withdrawn: make(chan struct{}), tallied: newTallied()}
	a.view = &view{cfg: &a.cfg, secret: place, started: time.Now()}
	ring := func(k status.EventKind) func() { return func() { a.view.bell.Ring(k) } }
	a.keeper = newKeeper(cfg.spool(log), log, ring(status.StatusChanged))
	a.keeper.key = func() ([]byte, error) { return a.cfg.openKey(log) }
	listed := a.withAdmitted()
	a.roster = newRoster(listed, time.Now, ring(status.DevicesChanged))
	a.roster.keepIn(filepath.Join(cfg.DataDir, devicesFile), log)
	if a.judge, err = newAssessor(&a.cfg, time.Now); err != nil {
		return nil, err
	}
	a.door = &door{keeper: a.keeper, roster: a.roster, log: log, refuse: a.countRefused, judge: a.judge}
	a.catalogue = newCatalogueFor(listed, a.keeper)
	if a.commitments, err = newCommitments(&a.cfg, a.keeper, a.roster, log); err != nil {
		return nil, err
	}
	a.door.greet = a.commitments.engine.Opened
	if a.steps, err = newStepNotes(a.keeper, log); err != nil {
		return nil, err
	}
	if a.server, err = a.newServer(); err != nil {
		return nil, err
	}
	feed := &feed{keeper: a.keeper, log: log, ledger: filepath.Join(cfg.DataDir, ledgerFile), going: newDepartures()}
	a.sender = newSender(&a.cfg, feed, place, log)
	a.studies = newStudyEvents(a.keeper)
	a.sender.studies = a.studies
	a.pageKeys = a.newPageKeys()
	a.lineTests = &lineTests{run: a.sender.testLine}
	a.tellOf(place)
	a.view.clock = a.tallied.clock.status
	v := a.view
	v.keeper, v.roster, v.sending, v.associations, v.enrolled = a.keeper, a.roster, a.sender.status, a.server.Established, a.sender.enrolled
	v.certificate, v.commitments = a.sender.certificateUntil, a.commitments.pending
	v.going, v.resting, v.tested = feed.going, &feed.resting, a.lineTests.last
	a.atHome()
	zone, err := time.LoadLocation(cfg.Facility.TimeZone)
	if err != nil {
		return nil, err
	}
	a.cards = newCards(a.keeper, place, zone, log)
	a.cards.keepIn(cfg.DataDir)
	a.cards.many = sync.OnceFunc(tidyOften)
	a.cards.devices, a.cards.recall, a.cards.keepHub = a.roster.list, a.judge.recall, cfg.Spool.Keep == "hub"
	a.judge.patientOf, a.door.took, a.steps.told = a.cards.patientOf, a.cards.took, a.cards.announced
	a.studies.found = a.studyDesk().foundFor
	a.page, err = page.New(a.desks(page.Config{Source: v, Signals: a.signals, Anonymous: cfg.Page.Anonymous, Location: zone, Version: version, Logger: log}))
	return a, err
}

func (c *Config) spool(log *slog.Logger) spool.Config {
	keep := spool.KeepArchived
	if c.Spool.Keep == "hub" {
		keep = spool.KeepHub
	}
	return spool.Config{
		Dir: filepath.Join(c.DataDir, spoolDir), MaxBytes: int64(c.Spool.MaxBytes), ReserveBytes: orNone(int64(c.Spool.ReserveBytes)),
		Keep: keep, RetainArchived: orNone(c.Spool.RetainArchived), AllowUnsafeFilesystem: c.Spool.AllowUnsafeFilesystem, Logger: log, Source: senderOf,
		Progress: func(done, total int) { log.Info("recovering the spool", "done", done, "of", total) },
	}
}

// orNone says zero in the spool's words, where zero means a default.
func orNone[T ~int64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func (a *appliance) newServer() (*dimse.Server, error) {
	return dimse.NewServer(dimse.ServerConfig{
		Handler: a.door, Observer: a.door, Admit: a.door.admit, Accepts: a.door.accepts, Log: a.log,
		Commitment: a.commitments.engine, Steps: a.steps.engine, Query: a.querySCP(),
		MaxAssociations: a.cfg.Dicom.MaxAssociations, MaxPerAddress: a.cfg.Dicom.MaxPerDevice, MaxPerTitle: a.cfg.Dicom.MaxPerDevice,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	})
}

func (a *appliance) countRefused() {
	if s, err := a.keeper.get(); err == nil {
		s.Count(spool.CountRefused, 1)
	}
}

// run starts everything and ends when all of it has ended: the DICOM port
// first, so that nothing new comes, then the uplink, the spool last.
func (a *appliance) run(ctx context.Context) error {
	listeners, err := a.listen()
	if err != nil {
		return err
	}
	lasting := context.WithoutCancel(ctx)
	front, middle, back := newGroup(ctx), newGroup(lasting), newGroup(lasting)
	back.Go(a.keeper.run)
	back.Go(a.herald.run)
	for _, part := range []func(context.Context) error{a.sender.run, a.reloads, a.sender.renewals, a.sender.recovery, a.sender.reminders, a.roster.run, a.usual.run, a.selfTests.run, a.alarms.run, a.view.watch, a.lineDay.run, a.lapses, a.studies.run, a.cards.run, a.catalogue.run, a.commitments.answer, a.commitments.watch, a.steps.run} {
		middle.Go(part)
	}
	for _, g := range []*group{middle, back} {
		context.AfterFunc(g.ctx, func() { front.cancel(context.Cause(g.ctx)) })
	}
	for _, l := range listeners {
		l.start(a, front, back)
	}
	front.Go(a.announce)
	front.Go(func(ctx context.Context) error { return a.discover(ctx, listeners) })
	err = front.Wait()
	a.log.Info("stopping")
	return stopInOrder(err, middle, back)
}

// stopInOrder ends one group after the other and returns the first error of any.
func stopInOrder(err error, groups ...*group) error {
	for _, g := range groups {
		g.cancel(errStopped)
		if cause := g.Wait(); err == nil {
			err = cause
		}
	}
	return err
}

// listener is one way in.
type listener struct {
	net.Listener
	name    string
	handler http.Handler // nil for DICOM
}

// listen opens every port before anything starts, so that a port that is taken
// is the first thing to be told.
func (a *appliance) listen() (all []listener, err error) {
	add := func(name string, h http.Handler, open func() (net.Listener, error)) {
		if err == nil {
			var l net.Listener
			if l, err = open(); err == nil {
				all = append(all, listener{l, name, h})
			}
		}
	}
	d, control := a.cfg.Dicom, &control{keeper: a.keeper, view: a.view, tests: a.lineTests, rest: a.sender.rest, trail: a.trail, door: a.pageDoor, audit: a.syslogStatus}
	if d.Listen != "" {
		add("dicom", nil, func() (net.Listener, error) { return a.listenDICOM("dicom.listen", d.Listen) })
	}
	if d.TLS.Listen != "" {
		add("dicom-tls", nil, func() (net.Listener, error) { return listenTLS("dicom.tls", d.TLS, a.log, a.listenDICOM) })
	}
	if a.cfg.Page.Listen != "" {
		add("page", a.page, a.listenPage)
	}
	add("control", control.handler(), func() (net.Listener, error) {
		return bounded(late(a.log, func() (net.Listener, error) { return control.listen(a.cfg.socketPath()) }))
	})
	if err != nil {
		for _, l := range all {
			l.Close()
		}
	}
	return all, err
}

// listenDICOM opens a port at which the watchdog can knock.
func (a *appliance) listenDICOM(key, address string) (net.Listener, error) {
	l, err := listenTCP(key, address)
	if err != nil {
		return nil, err
	}
	k := newKnocked(l)
	a.doors = append(a.doors, k)
	return k, nil
}

func listenTCP(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, fs.ErrPermission) && isLow(address) {
		return nil, fmt.Errorf("%s: %w: a port below %d needs a capability; `edged service install` gives it to the service", key, err, lowPort)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

// maxHTTP is how many connections the page (pageshare.go) and the control socket have
// each; whoever comes further to the latter waits in the kernel. They must not take the
// descriptors that images need (P9); the DICOM port has bounds of its own.
const maxHTTP = 256

func bounded(l net.Listener, err error) (net.Listener, error) {
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, maxHTTP), nil
}

// stopWithin bounds how long an orderly stop may wait for associations.
const stopWithin = 30 * time.Second

// start serves a listener: DICOM in front, which stops first; page and control
// socket behind, which stay to the end.
func (l listener) start(a *appliance, front, back *group) {
	a.log.Info("listening", "on", l.name, "address", l.Addr().String())
	if l.handler == nil {
		front.Go(func(ctx context.Context) error { return a.serveDICOM(ctx, l) })
		return
	}
	back.Go(func(ctx context.Context) error { return serveHTTP(ctx, l) })
}

func (a *appliance) serveDICOM(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		a.sayGoodbye()
		bounded, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		if err := a.server.Shutdown(bounded); err != nil {
			a.log.Warn("associations were cut", "err", err)
		}
	})
	defer stop()
	if err := a.server.Serve(l); !errors.Is(err, dimse.ErrServerClosed) {
		return fmt.Errorf("DICOM port: %w", err)
	}
	return nil
}

func serveHTTP(ctx context.Context, l listener) error {
	s := &http.Server{Handler: l.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.Shutdown(bounded) != nil {
			s.Close()
		}
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	return nil
}

// announce tells the service manager that the appliance is ready, and feeds its
// watchdog as long as images could be taken.
func (a *appliance) announce(ctx context.Context) error {
	if _, err := a.keeper.await(ctx); err != nil {
		return nil
	}
	a.manager.started()
	defer a.manager.stopping()
	a.log.Info("ready", "ae_title", a.cfg.Dicom.AETitle)
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		<-ctx.Done()
		return nil
	}
	a.watchdog(ctx, every/3, feedManager)
	return nil
}

// placeID is the name of this data directory, made at the first start.
func placeID(name string) ([]byte, error) {
	text, err := durable.ReadFile(name, 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		id := make([]byte, 16)
		rand.Read(id)
		return id, durable.WriteFile(name, []byte(hex.EncodeToString(id)), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	id, err := hex.DecodeString(string(text))
	if err != nil || len(id) != 16 {
		return nil, fmt.Errorf("%s does not hold 32 hexadecimal digits: was it edited?", name)
	}
	return id, nil
}
