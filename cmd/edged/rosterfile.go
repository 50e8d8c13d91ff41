package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"edged/agent/status"
	"edged/internal/durable"
)

// devicesFile is where the roster is kept, below data_dir:
//
//	{"version":1,"devices":[{"ae_title":"CT1","address":"10.0.0.5","last_seen":...,"stored":7,...},...]}
//
// It holds what was met, not what is configured; it is lost without harm.
const devicesFile = "devices.json"

const (
	rosterEvery = 30 * time.Second // what a crash may forget
	maxRoster   = 8 << 20          // bytes; 4096 devices in the most spacious spelling, and maxTalk, are less
	maxTalk     = 4 << 20          // bytes of negotiations in the file; those seen last are kept
	maxMet      = 4096             // devices in the file
)

// rosterFile is the content of devicesFile.
type rosterFile struct {
	Version int             `json:"version"`
	Devices []status.Device `json:"devices"`
}

// keepIn makes the roster remember in file, and recalls what that holds. What
// cannot be read is told and left behind: devices are seen again.
func (r *roster) keepIn(file string, log *slog.Logger) {
	r.file, r.log = file, log
	met, err := readRoster(file)
	if err != nil {
		log.Warn("the devices seen so far are forgotten", "err", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range met {
		r.recall(d)
	}
}

// recall adds what is remembered of a device to what is configured. mu is held.
func (r *roster) recall(d status.Device) {
	known := r.seen[keyOfDevice(d)]
	if known == nil {
		r.forgetOldest()
		d.Known, d.Name = false, "" // names come from the configuration
		r.seen[keyOfDevice(d)] = &d
		return
	}
	d.Known, d.Name = known.Known, known.Name
	*known = d
}

func readRoster(file string) ([]status.Device, error) {
	text, err := durable.ReadFile(file, maxRoster)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseRoster(text)
}

// parseRoster is pure; what it does not understand as a whole it does not take.
func parseRoster(text []byte) ([]status.Device, error) {
	var in rosterFile
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("%s: %w", devicesFile, err)
	}
	if in.Version != 1 || len(in.Devices) > maxMet {
		return nil, fmt.Errorf("%s: version %d with %d devices; want version 1 with at most %d", devicesFile, in.Version, len(in.Devices), maxMet)
	}
	for _, d := range in.Devices {
		if len(d.AETitle) > 64 || len(d.Address) > 64 || d.Stored < 0 || d.Refused < 0 || d.LastRefusal != nil && len(d.LastRefusal.Detail) > 256 || tooMuch(d) {
			return nil, fmt.Errorf("%s: a device that cannot be", devicesFile)
		}
	}
	return in.Devices, nil
}

// tooMuch says that a device has more of a negotiation than this ever wrote.
func tooMuch(d status.Device) bool {
	if i := d.Implementation; i != nil && len(i.ClassUID)+len(i.Version) > 256 {
		return true
	}
	n := d.Negotiation
	if n == nil {
		return false
	}
	size, syntaxes := len(n.Called)+len(n.TLS), 0
	for _, c := range n.Contexts {
		size += len(c.AbstractSyntax) + len(c.Name) + len(c.TransferSyntax) + len(c.SyntaxName) + len(c.Result)
		for _, s := range c.TransferSyntaxes {
			size += len(s)
		}
		syntaxes += len(c.TransferSyntaxes)
	}
	return len(n.Contexts) > 128 || syntaxes > maxSyntaxes || size > 64<<10
}

// run writes the roster when it has changed, at most every half minute, and at
// the end. That it cannot be written stops nothing.
func (r *roster) run(ctx context.Context) error {
	for pause(ctx, rosterEvery) {
		r.save()
	}
	r.save()
	return nil
}

// save writes what was met, if there is news. A failure is told and tried again
// with the next one: the file is written anew each time (P8).
func (r *roster) save() {
	if !r.dirty.Swap(false) {
		return
	}
	if err := r.write(); err != nil {
		r.dirty.Store(true)
		r.log.Warn("the devices seen are not on the disk", "err", err)
	}
}

func (r *roster) write() error {
	out := rosterFile{Version: 1, Devices: []status.Device{}}
	talk := maxTalk
	for _, d := range r.list() {
		if d.LastSeen.IsZero() || len(out.Devices) == maxMet {
			continue
		}
		text, err := json.Marshal(d.Negotiation)
		if err != nil {
			return err
		}
		if talk -= len(text); talk < 0 {
			d.Negotiation = nil
		}
		out.Devices = append(out.Devices, d)
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return durable.WriteFile(r.file, append(text, '\n'), 0o600)
}
