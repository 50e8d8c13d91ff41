package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"edged/internal/tools/lab"
	"edged/internal/tools/tlscopy"
)

// flow is one way of the bytes from a file to a file.
type flow struct {
	name             string
	objects          int
	bytes            int64
	seconds          float64
	sender, receiver time.Duration // CPU
}

func (f flow) rate() float64 { return lab.Per(float64(f.bytes)/1e6, f.seconds) }

func (f flow) cpuPerGB(d time.Duration) float64 { return lab.Per(d.Seconds(), float64(f.bytes)/1e9) }

// endToEnd is the section on the way from the spool to the hub.
func endToEnd(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	if err := lab.RoomFor(l.Dir, 3*int64(o.e2e)*objectBytes); err != nil {
		return err
	}
	dir, err := l.Folder(l.Dir, "e2e")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	up, edge, err := uplinkFlow(ctx, l, o, dir)
	if err != nil {
		return err
	}
	flows := []flow{up}
	for _, mode := range []string{"flush", "no-flush"} {
		f, err := plainFlow(ctx, l, edge, dir, mode)
		if err != nil {
			return fmt.Errorf("plain copy, %s: %w", mode, err)
		}
		flows = append(flows, f)
	}
	r.Figures["e2e_MBps"] = fmt.Sprintf("%.0f", up.rate())
	r.Add(flowTable(o, l.Dir, flows))
	return nil
}

func flowTable(o options, dir string, flows []flow) lab.Section {
	s := lab.Section{
		Title: fmt.Sprintf("Spool to hub over loopback, %d objects of 512 KiB, on %s", o.e2e, lab.FileSystem(dir)),
		Head:  []string{"way", "MB/s", "objects/s", "CPU s/GB, sender", "CPU s/GB, receiver", "edged → hubd to this"},
	}
	for i, f := range flows {
		ratio := "–"
		if i > 0 {
			ratio = fmt.Sprintf("%.2f×", lab.Per(flows[0].rate(), f.rate()))
		}
		s.Row(f.name, fmt.Sprintf("%.0f", f.rate()), fmt.Sprintf("%.0f", float64(f.objects)/f.seconds),
			fmt.Sprintf("%.2f", f.cpuPerGB(f.sender)), fmt.Sprintf("%.2f", f.cpuPerGB(f.receiver)), ratio)
	}
	s.Note("edged → hubd: the spool is full before the hub starts; the clock runs from the first sight of the connection (every 20 ms) until edged counts the last receipt as at_hub. The plain copy takes the same files from the same spool, through one TLS 1.3 connection, into files.")
	return s
}

// uplinkFlow fills the spool of an appliance whose hub is away, brings the hub
// back, and watches the backlog go. It returns the folder of the spool as well.
func uplinkFlow(ctx context.Context, l *lab.Lab, o options, dir string) (f flow, edge string, err error) {
	h, a, err := lab.NewPair(ctx, l, dir)
	if err != nil {
		return f, "", err
	}
	h.Stop()
	if err := a.Start(ctx, l); err != nil {
		return f, "", err
	}
	defer a.Stop()
	if err := fill(ctx, l, a, o.e2e); err != nil {
		return f, "", err
	}
	lab.Settle(dir)
	if err := h.Start(ctx, l); err != nil {
		return f, "", err
	}
	defer h.Stop()
	f = flow{name: "edged → hubd, QUIC, durable", objects: o.e2e, bytes: int64(o.e2e) * objectBytes}
	err = f.watch(ctx, h, a)
	return f, a.Dir, err
}

// fill sends n objects and makes sure that they are there.
func fill(ctx context.Context, l *lab.Lab, a *lab.Appliance, n int) error {
	if _, err := lab.Call(ctx, nil, l.Program("modsim"), "send", "--to", "EDGED@"+a.Address, "--profile", spec(n), "--associations", "4"); err != nil {
		return err
	}
	s, err := a.State(ctx)
	if err == nil && s.Counters.Received != int64(n) {
		err = fmt.Errorf("%d objects were sent, edged counts %d", n, s.Counters.Received)
	}
	return err
}

func (f *flow) watch(ctx context.Context, h *lab.Hub, a *lab.Appliance) error {
	var s lab.State
	look := func(ok func() bool) func() bool {
		return func() bool {
			next, err := a.State(ctx)
			s = next
			return err == nil && ok()
		}
	}
	if err := lab.Await(ctx, 90*time.Second, "edged to reach the hub", look(func() bool { return s.Uplink.Connected })); err != nil {
		return fmt.Errorf("%w: %s", err, h.Said())
	}
	began, before := time.Now(), s.Counters.AtHub
	edged0, err0 := a.CPU()
	hubd0, err1 := h.CPU()
	if err := lab.Await(ctx, 2*time.Minute, "everything to be at the hub", look(func() bool { return s.Counters.AtHub == int64(f.objects) })); err != nil {
		return fmt.Errorf("%w: %d of %d are: %s", err, s.Counters.AtHub, f.objects, a.Said())
	}
	f.seconds = time.Since(began).Seconds()
	edged1, err2 := a.CPU()
	hubd1, err3 := h.CPU()
	f.sender, f.receiver = edged1-edged0, hubd1-hubd0
	f.objects -= int(before) // what was through before the first look
	f.bytes = int64(f.objects) * objectBytes
	return errors.Join(err0, err1, err2, err3)
}

// plainFlow copies the object files below edge with two processes of this program.
func plainFlow(ctx context.Context, l *lab.Lab, edge, dir, mode string) (f flow, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	to, err := l.Folder(dir, "plain")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(to)
	address, err := lab.FreeAddress()
	if err != nil {
		return f, err
	}
	lab.Settle(dir)
	receiver := lab.Command(ctx, nil, nil, self, tlscopy.Verb, "receive", address, to, mode)
	receiver.Stderr = os.Stderr
	if err := receiver.Start(); err != nil {
		return f, err
	}
	f.name = "plain TLS 1.3 copy, fsync of each file"
	if mode == "no-flush" {
		f.name = "plain TLS 1.3 copy, no fsync"
	}
	if err := f.plainSend(ctx, self, address, edge); err != nil {
		receiver.Process.Kill()
		return f, errors.Join(err, receiver.Wait())
	}
	if err := receiver.Wait(); err != nil {
		return f, err
	}
	f.receiver = receiver.ProcessState.UserTime() + receiver.ProcessState.SystemTime()
	f.objects = countFiles(to)
	return f, nil
}

// plainSend tries again while the receiver does not listen yet.
func (f *flow) plainSend(ctx context.Context, self, address, edge string) error {
	var said []byte
	var last error
	err := lab.Await(ctx, 10*time.Second, "the plain receiver", func() bool {
		cmd := lab.Command(ctx, nil, nil, self, tlscopy.Verb, "send", address, edge, fmt.Sprint(objectBytes))
		if said, last = cmd.Output(); last != nil {
			return false
		}
		f.sender = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		return true
	})
	if err != nil {
		return errors.Join(err, last)
	}
	_, err = fmt.Sscan(string(said), &f.seconds, &f.bytes)
	return err
}

func countFiles(dir string) int {
	entries, _ := os.ReadDir(dir) // none when it cannot be read
	return len(entries)
}
