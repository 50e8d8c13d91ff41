package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"

	"edged/uplink"
)

// reloads reads the configuration again at each SIGHUP and takes over the rates
// of the uplink: rate, backfill_rate, schedule. A file that is wrong or away changes
// nothing; what else was changed in it waits for a restart, and is told.
func (a *appliance) reloads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.hangups:
			a.manager.reloading(a.reload)
		}
	}
}

// serviceManager is told where the daemon is (sd_notify(3)); without one nothing
// happens. READY=1 after a reload is for who has said it before: whoever comes up and
// still opens its spool is not ready, and who stops is not any more.
type serviceManager struct {
	mu    sync.Mutex // guards what follows, and the order in which things are told
	ready bool
}

func (m *serviceManager) started()  { m.tell(true, daemon.SdNotifyReady) }
func (m *serviceManager) stopping() { m.tell(false, daemon.SdNotifyStopping) }

func (m *serviceManager) tell(ready bool, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = ready
	daemon.SdNotify(false, state)
}

func (m *serviceManager) reloading(reload func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ready {
		reload()
		return
	}
	daemon.SdNotify(false, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
	reload()
	daemon.SdNotify(false, daemon.SdNotifyReady)
}

// reload reads the file that is in force. That it is away is an error and not the
// defaults, which have no cap. Where there was none at the start, one that is there now
// comes into force.
func (a *appliance) reload() {
	file := fileInForce(a.file, a.onCall)
	cfg, written, err := readWritten(file)
	if err == nil {
		err = cutShort(file, a.written, written)
	}
	if err != nil {
		a.log.Error("the configuration is wrong, the old one goes on", "err", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	for _, w := range cfg.warnings() {
		a.log.Warn(w)
	}
	if waits := a.cfg.differs(cfg); len(waits) > 0 {
		a.log.Warn("the configuration was changed in what needs a restart", "keys", strings.Join(waits, " "))
	}
	zoned := cfg
	zoned.Facility.TimeZone = a.cfg.Facility.TimeZone // needs a restart, and was told
	if err := a.sender.reshape(zoned.shape()); err != nil {
		a.log.Error("the rates are wrong, the old ones go on", "err", err)
		return
	}
	if a.file != file {
		a.log.Warn("there was no configuration file at the start, and there is one now: its rates are in force", "file", file)
		a.file = file
	}
	a.written = written
	a.log.Info("rates read again", "rate", cfg.Uplink.Rate, "backfill_rate", cfg.Uplink.BackfillRate, "schedule", len(cfg.Uplink.Schedule))
}

// rateKeys are what reload takes over.
var rateKeys = []string{"uplink.rate", "uplink.backfill_rate", "uplink.schedule"}

// cutShort says that a file with these keys is not what somebody wanted, who had a file
// with those before: a disk was full, or an editor is in the middle of it. A rate that is
// away means none, and the line is the facility's. Whoever takes out a rate and nothing
// else wants that. Whoever takes out more, to the end or together with a rate, has to
// restart, which takes the file as it is.
func cutShort(file string, before, now []string) error {
	gone := slices.DeleteFunc(slices.Clone(before), func(k string) bool { return slices.Contains(now, k) })
	if len(gone) > 0 && len(now) == 0 {
		return fmt.Errorf("%s is empty, or has no value any more", file)
	}
	others := slices.DeleteFunc(slices.Clone(gone), func(k string) bool { return slices.Contains(rateKeys, k) })
	cut := len(now) < len(before) && slices.Equal(now, before[:len(now)])
	if len(others) == 0 || !cut && len(others) == len(gone) {
		return nil
	}
	const most = 5 // keys that are named
	return fmt.Errorf("%s lacks what it had: %s: was it cut short? A restart takes it as it is", file, strings.Join(gone[:min(len(gone), most)], ", "))
}

// differs names the parts of the configuration that are not the same, those that
// reload takes over left out.
func (c Config) differs(other Config) (parts []string) {
	for _, u := range []*Uplink{&c.Uplink, &other.Uplink} {
		u.Rate, u.BackfillRate, u.Schedule = 0, 0, nil
	}
	a, b := reflect.ValueOf(c), reflect.ValueOf(other)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			parts = append(parts, a.Type().Field(i).Tag.Get("yaml"))
		}
	}
	return parts
}

// reshape takes new rates over, also before there is an uplink.
func (s *sender) reshape(shape uplink.Shape) error {
	if err := shape.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shape = shape
	if s.link == nil {
		return nil
	}
	return s.link.SetShape(shape)
}
