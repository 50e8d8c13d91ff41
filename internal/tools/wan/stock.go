package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edged/internal/tools/lab"
)

// stock is the objects of one size: as files for the peers, and in the spool of
// an appliance that has never met its hub's data port.
type stock struct {
	size
	count    int
	files    string    // one folder with all
	few      [4]string // DCMTK's part, in four folders; a C-STORE of more takes longer to plan than to cut off
	pair     string    // folder of an appliance and a hub that know each other
	overhead int64     // bytes of a file that are not the data set
}

// fewObjects is what DCMTK is given at most.
const fewObjects = 3000

func (s *stock) profile() string {
	return fmt.Sprintf("bench:%dx%s", s.count, s.id)
}

// prepare makes the stock of a size, once.
func (b *bench) prepare(ctx context.Context, z size, megabytes int64) (*stock, error) {
	if s := b.stock[z.id]; s != nil {
		return s, nil
	}
	s := &stock{size: z, count: z.count(megabytes)}
	if err := lab.RoomFor(b.Dir, 4*int64(s.count)*z.bytes); err != nil {
		return nil, err
	}
	if err := s.makeFiles(ctx, b); err != nil {
		return nil, err
	}
	if err := s.makePair(ctx, b); err != nil {
		return nil, fmt.Errorf("fill a spool with %s: %w", z.id, err)
	}
	b.stock[z.id] = s
	return s, nil
}

func (s *stock) makeFiles(ctx context.Context, b *bench) error {
	made := filepath.Join(b.Dir, "made-"+s.id)
	if _, err := lab.Call(ctx, nil, b.Program("modsim"), "make", "--profile", s.profile(), "--out", made); err != nil {
		return err
	}
	s.files = filepath.Join(b.Dir, "files-"+s.id)
	folders := []string{s.files}
	for i := range s.few {
		s.few[i] = filepath.Join(b.Dir, fmt.Sprintf("quarter-%s-%d", s.id, i+1))
		folders = append(folders, s.few[i])
	}
	for _, f := range folders {
		if err := os.Mkdir(f, 0o700); err != nil {
			return err
		}
	}
	i := 0
	err := filepath.WalkDir(made, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := fmt.Sprintf("%06d.dcm", i)
		if err := os.Link(name, filepath.Join(s.files, to)); err != nil {
			return err
		}
		if i++; i > fewObjects {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s.overhead = info.Size() - s.bytes
		return os.Link(name, filepath.Join(s.few[i%4], to))
	})
	if err == nil && i != s.count {
		err = fmt.Errorf("modsim made %d files, want %d", i, s.count)
	}
	return err
}

// prepareEmpty is an appliance that has nothing to send.
func (b *bench) prepareEmpty(ctx context.Context) (*stock, error) {
	s := &stock{size: sizes[1]}
	return s, s.makePair(ctx, b)
}

// makePair enrols an appliance and fills its spool while it has no hub.
func (s *stock) makePair(ctx context.Context, b *bench) (err error) {
	if s.pair, err = b.Folder(b.Dir, "pair-"+s.id); err != nil {
		return err
	}
	h, a, err := b.programs(s.pair, b.loop, b.loop, "{hubs: []}")
	if err != nil {
		return err
	}
	if err := h.Start(ctx, b.Lab); err != nil {
		return err
	}
	err = lab.Enrol(ctx, b.Lab, h, a)
	h.Stop()
	if err != nil {
		return err
	}
	if s.count == 0 {
		return nil
	}
	if err := a.Start(ctx, b.Lab); err != nil {
		return err
	}
	defer a.Stop()
	return s.fill(ctx, b, a)
}

func (s *stock) fill(ctx context.Context, b *bench, a *lab.Appliance) error {
	if _, err := lab.Call(ctx, a.Prefix, b.Program("modsim"), "send", "--to", "EDGED@"+a.Address, "--profile", s.profile(), "--associations", "4"); err != nil {
		return err
	}
	state, err := a.State(ctx)
	if err == nil && state.Counters.Received != int64(s.count) {
		err = fmt.Errorf("%d objects were sent, edged counts %d", s.count, state.Counters.Received)
	}
	return err
}

// programs is a hub at one end and an appliance at the other, with their data in
// dir. Nothing is started.
func (b *bench) programs(dir string, near, far end, uplink string) (*lab.Hub, *lab.Appliance, error) {
	h, err := lab.NewHub(dir, lab.Place{Prefix: far.prefix(), Address: far.at(hubPort), Page: loopAddress + ":" + consolePort})
	if err != nil {
		return nil, nil, err
	}
	a, err := lab.NewAppliance(dir, lab.Place{Prefix: near.prefix(), Client: near.client(), Address: loopAddress + ":" + dicomPort, Page: loopAddress + ":" + pagePort}, uplink)
	return h, a, err
}

// clone copies the pair. Files of the spool are never written again once they are
// named, so a link is a copy.
func (s *stock) clone(to string) error {
	return filepath.WalkDir(s.pair, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(name, s.pair))
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case filepath.Ext(name) == ".obj":
			return os.Link(name, target)
		case !d.Type().IsRegular(): // a socket of a process that has ended
			return nil
		}
		return copyFile(target, name)
	})
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}

// carried is what lies below dir: files that hold a whole object, and the bytes of
// data sets in all.
func (s *stock) carried(dir string) (objects int, bytes int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files come and go while it is looked at
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if info.Size() >= s.bytes {
			objects++
		}
		bytes += min(info.Size(), s.bytes)
		return nil
	})
	return objects, bytes
}

// tick is how often a process is looked at.
const tick = 5 * time.Millisecond
