package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"edged/internal/dicom"
)

// region is a hub and its archive, on another disk than the recorded one: the
// power of the appliance is cut, not theirs.
type region struct {
	*program
	bin, dir, config, address string
}

func newRegion(bin, dir string) (*region, error) {
	h := &region{bin: bin, dir: dir, config: filepath.Join(dir, "hubd.yaml")}
	var console string
	var err error
	if h.address, err = freeAddress(); err == nil {
		console, err = freeAddress()
	}
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("data_dir: %q\nlisten: %q\nconsole: {listen: %q}\ndestinations: [{name: vna, type: dir, confirm: dir, path: %q, create: true}]\n",
		filepath.Join(dir, "hub"), h.address, console, h.archive())
	if err := os.WriteFile(h.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	h.program, err = start(filepath.Join(bin, "hubd"), filepath.Join(dir, "hubd.log"), "run", "-c", h.config)
	return h, err
}

func (h *region) archive() string { return filepath.Join(h.dir, "archive") }

// hubKeys let an appliance forget at once what is archived.
func (h *region) hubKeys() string {
	return fmt.Sprintf("spool: {reserve_bytes: 1MiB, retain_archived: 0s}\nuplink: {hubs: [%q]}\n", h.address)
}

// enrol gives the appliance its certificate.
func (h *region) enrol(ctx context.Context, a *appliance) error {
	var code []string
	err := await(ctx, 2*time.Minute, "the hub to give a claim code", func() bool {
		out, err := exec.CommandContext(ctx, filepath.Join(h.bin, "hubd"), "code", "new", "--facility", "POWERCUT", "-c", h.config).Output()
		code = strings.Fields(string(out))
		return err == nil && len(code) > 0
	})
	if err != nil {
		return fmt.Errorf("%w; hubd said: %.1000s", err, h.said())
	}
	var said []byte
	err = await(ctx, 2*time.Minute, "the hub to enrol", func() bool {
		var err error
		said, err = exec.CommandContext(ctx, filepath.Join(h.bin, "edged"), "enroll", "-c", a.config, "--hub", h.address, "--code", code[0]).CombinedOutput()
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// takeAll waits until everything is archived and the appliance has forgotten it.
func (h *region) takeAll(ctx context.Context, disk string, n int) error {
	count := func(pattern string) int { names, _ := filepath.Glob(pattern); return len(names) }
	err := await(ctx, time.Minute, "everything to be archived", func() bool { return count(filepath.Join(h.archive(), "*", "*.dcm")) == n })
	if err != nil {
		return err
	}
	return await(ctx, 2*time.Minute, "everything to be forgotten", func() bool {
		return count(filepath.Join(spoolDir(disk), "objects", "*", "*.obj")) == 0
	})
}

// archived says since when the archive has which objects, byte for byte. The time
// is that of the rename, which the file system notes, inode(7).
func (h *region) archived(sent []object) (map[dicom.ID]time.Time, error) {
	since := make(map[dicom.ID]time.Time)
	for _, o := range sent {
		names, err := filepath.Glob(filepath.Join(h.archive(), "*", o.id.String()+".dcm"))
		if err != nil || len(names) != 1 {
			return nil, fmt.Errorf("%d files of %s in the archive: %v", len(names), o.id, err)
		}
		file, err := os.ReadFile(names[0])
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(names[0])
		if err != nil {
			return nil, err
		}
		if !bytes.HasSuffix(file, o.dataSet) {
			return nil, fmt.Errorf("%s in the archive: %w", o.id, errAltered)
		}
		changed := info.Sys().(*syscall.Stat_t).Ctim
		since[o.id] = time.Unix(changed.Unix())
	}
	return since, nil
}
