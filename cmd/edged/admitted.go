package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"edged/internal/durable"
)

// admittedFile is where devices are kept that were admitted on the page, and
// strangers that somebody there wants to hear no more of, below data_dir:
//
//	{"version":1,
//	 "devices":[{"ae_title":"CT1","address":"10.0.0.5","name":"TC 1","priority":"routine","services":["store"]},...],
//	 "ignored":[{"ae_title":"WHO","address":"10.0.0.9","until":"2026-12-22T..."},...]}
//
// What edged.yaml says of the same title and address holds, and this not. A file of
// which something cannot be read is moved to admitted.json.unread before it is written anew,
// and an earlier one of that name stays: this is .unread.2 then, and so on.
const admittedFile = "admitted.json"

const (
	maxAdmitted   = 1024    // devices
	maxIgnored    = 256     // strangers; the one that ends first gives way
	maxAdmittance = 1 << 20 // bytes of the file
	ignoreFor     = 30 * 24 * time.Hour
)

type admittedDevice struct {
	AETitle  string   `json:"ae_title"`
	Address  string   `json:"address"`
	Name     string   `json:"name,omitempty"`
	Priority string   `json:"priority"`
	Services []string `json:"services"`
}

type ignoredCaller struct {
	AETitle string    `json:"ae_title,omitempty"`
	Address string    `json:"address"`
	Until   time.Time `json:"until"`
}

type admittance struct {
	Version int              `json:"version"`
	Devices []admittedDevice `json:"devices"`
	Ignored []ignoredCaller  `json:"ignored"`
}

// unreadMark ends the name of a file that could not be read whole.
const unreadMark = ".unread"

const maxUnread = 9 // such files that are kept

// admitted keeps the file. What it says is on the disk before it is in force. Images ask
// it: whoever only reads never waits for the disk.
type admitted struct {
	file   string
	now    func() time.Time
	unread error // why not all is in force that somebody has admitted; nil: all is

	writing sync.Mutex  // one change at a time, with its file
	broken  atomic.Bool // the file could not be read whole, and still lies there
	in      atomic.Pointer[admittance]
}

// openAdmitted reads the file. One that cannot be read does not end the start, which would
// shut out every device: what can be read of it holds, and unread says what is wrong.
func openAdmitted(file string, now func() time.Time) *admitted {
	a := &admitted{file: file, now: now}
	in, err := readAdmitted(file)
	a.in.Store(&in)
	if a.broken.Store(err != nil); err != nil {
		a.unread = fmt.Errorf("%s: %w; it holds devices that were admitted on the page: put it right and start again, or admit them again", file, err)
	} else if names := a.setAside(); len(names) > 0 {
		a.unread = fmt.Errorf("%s: devices that were admitted on the page: admit them again, and remove the file", strings.Join(names, ", "))
	}
	return a
}

func readAdmitted(file string) (admittance, error) {
	nothing := admittance{Version: 1, Devices: []admittedDevice{}, Ignored: []ignoredCaller{}}
	text, err := durable.ReadFile(file, maxAdmittance)
	if errors.Is(err, fs.ErrNotExist) {
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	return parseAdmitted(text)
}

// parseAdmitted returns what can be read, with an error if that is not all. Of another
// version nothing is: what it says may mean something else.
func parseAdmitted(text []byte) (in admittance, err error) {
	in = admittance{Version: 1, Devices: []admittedDevice{}, Ignored: []ignoredCaller{}}
	var raw struct {
		Version int               `json:"version"`
		Devices []json.RawMessage `json:"devices"`
		Ignored []json.RawMessage `json:"ignored"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return in, err
	}
	if raw.Version != 1 {
		return in, fmt.Errorf("version %d", raw.Version)
	}
	var wrong [2]error
	in.Devices, wrong[0] = eachAdmitted(raw.Devices, maxAdmitted, func(d admittedDevice) error { _, err := d.device(); return err })
	in.Ignored, wrong[1] = eachAdmitted(raw.Ignored, maxIgnored, func(ignoredCaller) error { return nil })
	return in, errors.Join(wrong[:]...)
}

// eachAdmitted are those that can be read, at most so many, and what is wrong with one of the others.
func eachAdmitted[T any](raw []json.RawMessage, most int, check func(T) error) (out []T, wrong error) {
	out = []T{}
	for i, r := range raw {
		var x T
		err := json.Unmarshal(r, &x)
		if err == nil {
			err = check(x)
		}
		switch {
		case err != nil:
			wrong = fmt.Errorf("entry %d: %w", i+1, err)
		case len(out) == most:
			return out, fmt.Errorf("more than %d entries", most)
		default:
			out = append(out, x)
		}
	}
	return out, wrong
}

// device is d as the configuration would have it, checked like that.
func (d admittedDevice) device() (Device, error) {
	var dev Device
	dev.SetDefaults()
	dev.AETitle, dev.Address, dev.Name, dev.Priority, dev.Services = d.AETitle, d.Address, d.Name, d.Priority, d.Services
	var wrong error
	dev.check(func(key, format string, args ...any) {
		wrong = fmt.Errorf(strings.TrimPrefix(key, ".")+": "+format, args...)
	}, "")
	services := []string{serviceStore, serviceQuery, serviceMove, serviceGet}
	switch {
	case wrong != nil:
		return dev, wrong
	case !dev.bound():
		return dev, errors.New("address: a device is admitted from one address or network")
	case !slices.Contains([]string{"urgent", "routine", "backfill"}, d.Priority):
		return dev, fmt.Errorf("priority %q", d.Priority)
	case slices.ContainsFunc(d.Services, func(s string) bool { return !slices.Contains(services, s) }):
		return dev, fmt.Errorf("services %q", d.Services)
	case len(d.Name) > 64:
		return dev, errors.New("name: longer than 64 bytes")
	}
	return dev, nil
}

// beside are the devices of the file that the configuration does not have.
func (a *admitted) beside(configured []Device) []Device {
	all := slices.Clone(configured)
	for _, d := range a.in.Load().Devices {
		if dev, err := d.device(); err == nil && !clashes(all, dev) {
			all = append(all, dev)
		}
	}
	return all
}

// clashes says that a caller could be dev and another of these.
func clashes(all []Device, dev Device) bool {
	return slices.ContainsFunc(all, func(d Device) bool { return sameTitle(d.AETitle) == sameTitle(dev.AETitle) && d.overlaps(dev) })
}

// admit keeps one more.
func (a *admitted) admit(d admittedDevice) error {
	return a.change(func(in *admittance) error {
		if len(in.Devices) == maxAdmitted {
			return refusef("%d devices were admitted on the page: put some of them into edged.yaml", maxAdmitted)
		}
		in.Devices = append(in.Devices, d)
		in.Ignored = slices.DeleteFunc(in.Ignored, func(i ignoredCaller) bool { return i.AETitle == d.AETitle })
		return nil
	})
}

// ignore keeps quiet about a stranger at this address, for a month.
func (a *admitted) ignore(title, address string) error {
	return a.change(func(in *admittance) error {
		now := a.now()
		in.Ignored = slices.DeleteFunc(in.Ignored, func(i ignoredCaller) bool {
			return i.AETitle == title && i.Address == address || !i.Until.After(now)
		})
		if len(in.Ignored) == maxIgnored {
			in.Ignored = slices.Delete(in.Ignored, 0, 1) // they are in the order of their ends
		}
		in.Ignored = append(in.Ignored, ignoredCaller{title, address, now.Add(ignoreFor)})
		return nil
	})
}

// hear lets a stranger be shown again.
func (a *admitted) hear(title, address string) error {
	return a.change(func(in *admittance) error {
		in.Ignored = slices.DeleteFunc(in.Ignored, func(i ignoredCaller) bool { return i.AETitle == title && i.Address == address })
		return nil
	})
}

// change is in force when the file is on the disk, and not before.
func (a *admitted) change(how func(*admittance) error) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	now := a.in.Load()
	next := admittance{Version: 1, Devices: slices.Clone(now.Devices), Ignored: slices.Clone(now.Ignored)}
	if err := how(&next); err != nil {
		return err
	}
	text, err := json.MarshalIndent(next, "", " ")
	if err != nil {
		return err
	}
	if a.broken.Load() {
		if _, err := readAdmitted(a.file); err == nil { // its devices are not in force before the next start
			return refusef("%s has been put right: start edged again first", admittedFile)
		}
		if err := os.Rename(a.file, a.aside()); err != nil {
			return err
		}
		a.broken.Store(false)
	}
	if err := durable.WriteFile(a.file, append(text, '\n'), 0o600); err != nil {
		return err
	}
	a.in.Store(&next)
	return nil
}

// aside is a name that no file has yet: each may hold devices that the others do not.
// Of more than nine the latest gives way.
func (a *admitted) aside() string {
	names := a.unreadNames()
	for _, name := range names {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
	return names[len(names)-1]
}

// unreadNames are those that a file may be set aside by.
func (a *admitted) unreadNames() []string {
	names := []string{a.file + unreadMark}
	for n := 2; n <= maxUnread; n++ {
		names = append(names, fmt.Sprintf("%s%s.%d", a.file, unreadMark, n))
	}
	return names
}

// setAside are those of them that there are.
func (a *admitted) setAside() []string {
	return slices.DeleteFunc(a.unreadNames(), func(name string) bool {
		_, err := os.Lstat(name)
		return err != nil
	})
}

// lacks says that not all is in force which somebody has admitted, until the file that
// could not be read is put right, or has been set aside and is removed: no start is needed
// to be rid of the reason on the page.
func (a *admitted) lacks() bool {
	if a.unread == nil {
		return false
	}
	return a.broken.Load() || len(a.setAside()) > 0
}

// ignores says that this stranger, calling from there, is not to be shown.
func (a *admitted) ignores(title, address string) bool {
	now := a.now()
	return slices.ContainsFunc(a.in.Load().Ignored, func(i ignoredCaller) bool {
		return i.AETitle == title && i.Address == address && i.Until.After(now)
	})
}

// silent lists who is ignored now.
func (a *admitted) silent() []ignoredCaller {
	now := a.now()
	return slices.DeleteFunc(slices.Clone(a.in.Load().Ignored), func(i ignoredCaller) bool { return !i.Until.After(now) })
}
