package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edged/agent/status"
)

// What support needs, in one file: DIR/NAME for each name below, in a gzip'd tar.
//
//	about.txt       version, Go, machine, time
//	status.json     as /api/v1/status
//	devices.json    those that are configured, and how many strangers
//	alarms.json     open and over
//	config.txt      every key and its value; of proxies the host only
//	files.txt       what lies below data_dir: kind, size, mode; names of our own only
//	disk.txt        statfs of data_dir, and its line of /proc/mounts
//	goroutines.txt, memory.txt
//	journal.txt     of the last lines what this program says itself, where the journal may be read
//
// It has no object, no name, no number of a person, no UID. What could have come over
// the wire is left out or struck out: names that devices gave themselves stand there
// only where the configuration has them.

const (
	bundleJournal = 2000 // lines
	bundleText    = 8 << 20
	bundleFiles   = 2000
)

// bundle is written whole or not at all by who calls it.
func (a *appliance) bundle(w io.Writer, now time.Time) error {
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	dir := "edged-support-" + now.UTC().Format("20060102-150405") + "/"
	for _, f := range a.bundleParts(now) {
		text := f.text()
		if len(text) > bundleText {
			text = text[len(text)-bundleText:]
		}
		if err := out.WriteHeader(&tar.Header{Name: dir + f.name, Mode: 0o600, Size: int64(len(text)), ModTime: now, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), zip.Close())
}

type bundlePart struct {
	name string
	text func() []byte
}

func (a *appliance) bundleParts(now time.Time) []bundlePart {
	return []bundlePart{
		{"about.txt", func() []byte { return a.about(now) }},
		{"status.json", func() []byte { return indented(a.publicStatus()) }},
		{"devices.json", func() []byte { return indented(a.publicDevices()) }},
		{"alarms.json", func() []byte { return indented(a.publicAlarms()) }},
		{"config.txt", func() []byte { return []byte(settings(reflect.ValueOf(a.cfg), "")) }},
		{"files.txt", func() []byte { return filesBelow(a.cfg.DataDir) }},
		{"disk.txt", func() []byte { return diskFacts(a.cfg.DataDir) }},
		{"goroutines.txt", func() []byte { return profile("goroutine") }},
		{"memory.txt", memoryFacts},
		{"journal.txt", func() []byte { return journal(a.cfg.Log.Level) }},
	}
}

func indented(v any) []byte {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

func (a *appliance) about(now time.Time) []byte {
	var b bytes.Buffer
	var host unix.Utsname
	_ = unix.Uname(&host) // what is missing stays empty
	fmt.Fprintf(&b, "edged %s\n%s %s/%s, %d processors\nkernel %s\nstarted %s\nnow %s\nappliance %s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		unix.ByteSliceToString(host.Release[:]), a.view.started.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), a.serial())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			fmt.Fprintf(&b, "%s %s\n", d.Path, d.Version)
		}
	}
	return b.Bytes()
}

// publicStatus keeps errors, without what looks like a UID.
func (a *appliance) publicStatus() status.Status {
	st := a.view.Status()
	st.Uplink.LastError = withoutUIDs(st.Uplink.LastError)
	st.DICOM.NotReady = withoutUIDs(st.DICOM.NotReady)
	for i := range st.Uplink.Carriers {
		st.Uplink.Carriers[i].LastError = withoutUIDs(st.Uplink.Carriers[i].LastError)
	}
	return st
}

// publicDevice has nothing that a device has said but when it was seen.
type publicDevice struct {
	AETitle  string             `json:"ae_title"`
	Address  string             `json:"address"` // as configured
	LastSeen time.Time          `json:"last_seen,omitzero"`
	Stored   int64              `json:"stored"`
	Refused  int64              `json:"refused"`
	Why      status.RefusalCode `json:"why,omitempty"`
	Quiet    time.Duration      `json:"quiet"`
}

func (a *appliance) publicDevices() any {
	out := struct {
		Devices   []publicDevice `json:"devices"`
		Strangers int            `json:"strangers"`
	}{Devices: []publicDevice{}}
	met := make(map[string]status.Device)
	for _, d := range a.roster.list() {
		if !d.Known {
			out.Strangers++
		}
		met[d.AETitle] = d
	}
	for _, d := range a.roster.listed() {
		x := publicDevice{AETitle: d.AETitle, Address: d.Address, LastSeen: met[d.AETitle].LastSeen, Stored: met[d.AETitle].Stored, Refused: met[d.AETitle].Refused, Quiet: d.Quiet}
		if r := met[d.AETitle].LastRefusal; r != nil {
			x.Why = r.Code
		}
		out.Devices = append(out.Devices, x)
	}
	return out
}

// publicAlarms name configured devices only.
func (a *appliance) publicAlarms() any {
	known := make(map[string]bool)
	for _, d := range a.roster.listed() {
		known[d.AETitle] = true
	}
	strike := func(all []status.Alarm) []status.Alarm {
		for i := range all {
			all[i].AckedBy = ""
			if !known[all[i].Device] && all[i].Device != "" {
				all[i].Device = "(a stranger)"
			}
		}
		return all
	}
	open, over := a.alarms.book.alarms()
	return struct {
		Open []status.Alarm `json:"open"`
		Over []status.Alarm `json:"over"`
	}{strike(open), strike(over)}
}

// secret are the last words of keys whose values nobody outside is to see.
var secret = []string{"password", "secret", "token", "pin"}

// settings writes a configuration as key: value lines.
func settings(v reflect.Value, key string) string {
	switch v.Kind() {
	case reflect.Struct:
		var b strings.Builder
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" && f.IsExported() {
				b.WriteString(settings(v.Field(i), strings.TrimPrefix(key+"."+name, ".")))
			}
		}
		return b.String()
	case reflect.Slice:
		var b strings.Builder
		for i := range v.Len() {
			b.WriteString(settings(v.Index(i), fmt.Sprintf("%s[%d]", key, i)))
		}
		return b.String()
	}
	text := fmt.Sprint(v.Interface())
	for _, word := range secret {
		if strings.HasSuffix(key, word) && text != "" {
			text = "(not shown)"
		}
	}
	return key + ": " + withoutUser(text) + "\n"
}

// withoutUser strikes out who logs in to a proxy.
func withoutUser(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		u.User = nil
		return u.String() + " (with a name)"
	}
	if strings.Contains(text, "@") && strings.Contains(text, "://") {
		return "(not shown)" // no URL that can be read
	}
	return text
}

// ownName are the names of files that the appliance gives; others are not told.
var ownName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// filesBelow lists two levels: objects have numbers for names.
func filesBelow(dir string) []byte {
	var b bytes.Buffer
	n, left := 0, 0
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error { // what cannot be read is left out
		if err != nil || path == dir {
			return nil
		}
		name, _ := filepath.Rel(dir, path)
		if strings.Count(name, "/") > 1 || n == bundleFiles {
			left++
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		n++
		if !ownName.MatchString(d.Name()) {
			name = filepath.Join(filepath.Dir(name), "(another name)")
		}
		fmt.Fprintf(&b, "%s %12d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), name)
		return nil
	})
	fmt.Fprintf(&b, "and %d more\n", left)
	return b.Bytes()
}

func diskFacts(dir string) []byte {
	var b bytes.Buffer
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return []byte(err.Error())
	}
	fmt.Fprintf(&b, "type 0x%x, block %d, blocks %d, free %d, available %d, inodes %d, free %d, flags 0x%x\n", fs.Type, fs.Bsize, fs.Blocks, fs.Bfree, fs.Bavail, fs.Files, fs.Ffree, fs.Flags)
	mounts, _ := os.ReadFile("/proc/self/mounts")
	best := ""
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 3 && (dir == f[1] || strings.HasPrefix(dir, strings.TrimSuffix(f[1], "/")+"/")) && (best == "" || len(f[1]) >= len(strings.Fields(best)[1])) {
			best = line
		}
	}
	b.WriteString(best)
	return b.Bytes()
}

// profile of this program: functions and counts, no values.
func profile(name string) []byte {
	var b bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&b, 1); err != nil {
		return []byte(err.Error())
	}
	return b.Bytes()
}

func memoryFacts() []byte {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return fmt.Appendf(nil, "heap %d, in use %d, from the system %d, collections %d, goroutines %d\n", m.HeapAlloc, m.HeapInuse, m.Sys, m.NumGC, runtime.NumGoroutine())
}

// uid looks like one (PS3.5 §9.1), also where it is an IPv4 address that begins with 0,
// 1 or 2: better too much than too little.
var uid = regexp.MustCompile(`(^|[^.\d])[0-2](\.\d+){2,}`)

func withoutUIDs(s string) string { return uid.ReplaceAllString(s, "$1(uid)") }

// journal are the last lines of this service, where they may be read. At level debug
// UIDs and names that devices give stand in the log: then it is left out.
func journal(level string) []byte {
	if level == "debug" {
		return []byte("left out: log.level is debug, where UIDs are logged\n")
	}
	bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(bounded, "journalctl", "-u", "edged", "-n", fmt.Sprint(bundleJournal), "--no-pager", "-o", "short-iso", "-q").Output()
	if err != nil {
		return []byte("the journal cannot be read: " + err.Error() + "\n")
	}
	return []byte(ownJournal(string(out)))
}
