package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// flow is one way of the bytes from a file to a file.
type flow struct {
	name             string
	objects          int
	bytes            int64
	seconds          float64
	sender, receiver time.Duration // CPU
}

func (f flow) rate() float64 { return per(float64(f.bytes)/1e6, f.seconds) }

func (f flow) cpuPerGB(d time.Duration) float64 { return per(d.Seconds(), float64(f.bytes)/1e9) }

// endToEnd is the section on the way from the spool to the hub.
func endToEnd(ctx context.Context, l *lab, o options, r *report) error {
	if err := roomFor(l.dir, 3*int64(o.e2e)*objectBytes); err != nil {
		return err
	}
	dir, err := l.folder(l.dir, "e2e")
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
	r.figures["e2e_MBps"] = fmt.Sprintf("%.0f", up.rate())
	r.add(flowTable(o, l.dir, flows))
	return nil
}

func flowTable(o options, dir string, flows []flow) section {
	s := section{
		title: fmt.Sprintf("Spool to hub over loopback, %d objects of 512 KiB, on %s", o.e2e, fileSystem(dir)),
		head:  []string{"way", "MB/s", "objects/s", "CPU s/GB, sender", "CPU s/GB, receiver", "edged → hubd to this"},
	}
	for i, f := range flows {
		ratio := "–"
		if i > 0 {
			ratio = fmt.Sprintf("%.2f×", per(flows[0].rate(), f.rate()))
		}
		s.row(f.name, fmt.Sprintf("%.0f", f.rate()), fmt.Sprintf("%.0f", float64(f.objects)/f.seconds),
			fmt.Sprintf("%.2f", f.cpuPerGB(f.sender)), fmt.Sprintf("%.2f", f.cpuPerGB(f.receiver)), ratio)
	}
	s.note("edged → hubd: the spool is full before the hub starts; the clock runs from the first sight of the connection (every 20 ms) until edged counts the last receipt as at_hub. The plain copy takes the same files from the same spool, through one TLS 1.3 connection, into files.")
	return s
}

// uplinkFlow fills the spool of an appliance whose hub is away, brings the hub
// back, and watches the backlog go. It returns the folder of the spool as well.
func uplinkFlow(ctx context.Context, l *lab, o options, dir string) (f flow, edge string, err error) {
	h, a, err := pair(ctx, l, dir)
	if err != nil {
		return f, "", err
	}
	h.stop()
	if err := a.start(ctx, l); err != nil {
		return f, "", err
	}
	defer a.stop()
	if err := fill(ctx, l, a, o.e2e); err != nil {
		return f, "", err
	}
	settle(dir)
	if err := h.start(ctx, l); err != nil {
		return f, "", err
	}
	defer h.stop()
	f = flow{name: "edged → hubd, QUIC, durable", objects: o.e2e, bytes: int64(o.e2e) * objectBytes}
	err = f.watch(ctx, h, a)
	return f, a.dir, err
}

// fill sends n objects and makes sure that they are there.
func fill(ctx context.Context, l *lab, a *appliance, n int) error {
	if _, err := call(ctx, l.program("modsim"), "send", "--to", "EDGED@"+a.dicom, "--profile", spec(n), "--associations", "4"); err != nil {
		return err
	}
	s, err := a.state(ctx)
	if err == nil && s.Counters.Received != int64(n) {
		err = fmt.Errorf("%d objects were sent, edged counts %d", n, s.Counters.Received)
	}
	return err
}

func (f *flow) watch(ctx context.Context, h *hub, a *appliance) error {
	var s state
	look := func(ok func() bool) func() bool {
		return func() bool {
			next, err := a.state(ctx)
			s = next
			return err == nil && ok()
		}
	}
	if err := await(ctx, 90*time.Second, "edged to reach the hub", look(func() bool { return s.Uplink.Connected })); err != nil {
		return fmt.Errorf("%w: %s", err, h.said())
	}
	began, before := time.Now(), s.Counters.AtHub
	edged0, err0 := a.cpu()
	hubd0, err1 := h.cpu()
	if err := await(ctx, 2*time.Minute, "everything to be at the hub", look(func() bool { return s.Counters.AtHub == int64(f.objects) })); err != nil {
		return fmt.Errorf("%w: %d of %d are: %s", err, s.Counters.AtHub, f.objects, a.said())
	}
	f.seconds = time.Since(began).Seconds()
	edged1, err2 := a.cpu()
	hubd1, err3 := h.cpu()
	f.sender, f.receiver = edged1-edged0, hubd1-hubd0
	f.objects -= int(before) // what was through before the first look
	f.bytes = int64(f.objects) * objectBytes
	return errors.Join(err0, err1, err2, err3)
}

// plainFlow copies the object files below edge with two processes of this program.
func plainFlow(ctx context.Context, l *lab, edge, dir, mode string) (f flow, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	to, err := l.folder(dir, "plain")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(to)
	address, err := freeAddress()
	if err != nil {
		return f, err
	}
	settle(dir)
	receiver := command(ctx, nil, self, tlsCopyVerb, "receive", address, to, mode)
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
	err := await(ctx, 10*time.Second, "the plain receiver", func() bool {
		cmd := command(ctx, nil, self, tlsCopyVerb, "send", address, edge)
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
