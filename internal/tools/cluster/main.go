// Command cluster is the proof of a hub of several nodes: three hubd over one
// PostgreSQL and one bucket of S3-compatible storage, appliances that are sent images
// all the time, archives, and somebody who kills a node every few seconds. In the end
// every image that an appliance has answered with Success is in every archive, the
// same bytes, once; one of the archives has committed itself to it, and who takes study
// events by HTTP was told of its study, and that it is archived, not before that.
//
// It promises that it believes nobody: what was sent is known to the sender, what an
// archive has is asked of that archive and compared byte by byte. What is delivered
// twice as the same bytes is counted and shown apart; it is no duplicate, because the
// archive has one.
//
// It deliberately installs nothing, and is no measurement: everything shares a machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what may be asked for.
type options struct {
	bin        string
	dir        string
	kills      int
	appliances int
	rate       float64 // objects a second to each appliance
	seed       uint64
	orthanc    bool
	calm       bool // nodes are killed and nothing else
}

func main() {
	o := options{}
	flag.StringVar(&o.bin, "bin", "bin", "folder with the programs")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where everything lies")
	flag.IntVar(&o.kills, "kills", 24, "how often a node is killed")
	flag.IntVar(&o.appliances, "appliances", 3, "how many appliances send")
	flag.Float64Var(&o.rate, "rate", 4, "objects a second to each appliance")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of what is sent, and of who is killed when")
	flag.BoolVar(&o.orthanc, "orthanc", true, "an Orthanc as a further archive, if it is installed")
	flag.BoolVar(&o.calm, "calm", false, "kill nodes and nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 45*time.Minute)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	s, err := newSite(ctx, o)
	if err != nil {
		return err
	}
	err = s.proof(ctx)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, s.lastWords())
	}
	return errors.Join(err, s.close())
}

// proof sends, kills, waits and compares.
func (s *site) proof(ctx context.Context) error {
	began := time.Now()
	send, enough := context.WithCancel(ctx)
	defer enough()
	s.sendAll(send)
	c := newChaos(s)
	err := c.run(ctx)
	enough()
	s.sending.Wait()
	if err != nil {
		return err
	}
	fmt.Printf("sent for %s: %s\n", time.Since(began).Round(time.Second), s.sent)
	if err := s.settle(ctx); err != nil {
		return err
	}
	fmt.Printf("all archived %s after the first image\n", time.Since(began).Round(time.Second))
	j, err := s.judge(ctx)
	if err != nil {
		return err
	}
	return j.print(c.kills)
}
