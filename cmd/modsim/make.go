package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"edged/internal/synth"
)

type makeCommand struct {
	Seed    uint64 `default:"1" help:"The same seed gives the same bytes."`
	Profile string `default:"demo" help:"demo, small, ct, mr, us, mg, sr, bench:NxSIZE or large:SIZE."`
	Alter   string `placeholder:"MARK" help:"Other contents under the same UIDs, marked with MARK."`
	Out     string `required:"" placeholder:"DIR" help:"Folder to write to; made when missing."`
}

// Run writes OUT/CT_01/S001_0001.dcm and so on.
func (c *makeCommand) Run(ctx context.Context) error {
	instances, err := instances(c.Seed, c.Profile, c.Alter)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, i := range instances {
		n, err := writeFile(ctx, filepath.Join(c.Out, i.File), i)
		if err != nil {
			return err
		}
		total += n
	}
	fmt.Printf("%d files, %d bytes, below %s\n", len(instances), total, c.Out)
	return nil
}

// instances is the usage-checked way to the generator.
func instances(seed uint64, profile, mark string) ([]synth.Instance, error) {
	p, err := synth.ParseProfile(profile)
	if err != nil {
		return nil, usageError{err}
	}
	if len(mark) > maxMark {
		return nil, usageError{fmt.Errorf("--alter %.40q: want at most %d bytes", mark, maxMark)}
	}
	all := synth.Instances(synth.Studies(seed, p))
	for i := range all {
		all[i] = all[i].Altered(mark)
	}
	return all, nil
}

// maxMark keeps the mark within the attributes of the smallest object.
const maxMark = 64

// writeFile writes one DICOM file. It does not flush to the disk: what can be
// made again from its seed needs no durability.
func writeFile(ctx context.Context, path string, i synth.Instance) (n int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, err
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(canceller{ctx, f}, 1<<20)
	n, err = i.WriteFile(w)
	if err == nil {
		err = w.Flush()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	return n, err
}

// canceller ends a long copy when the user interrupts it.
type canceller struct {
	ctx context.Context
	w   io.Writer
}

func (c canceller) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
