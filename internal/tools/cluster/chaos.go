package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"edged/internal/tools/lab"
)

// chaos is somebody who kills.
type chaos struct {
	*site
	watch    *watch
	kills    int
	rolling  int
	database int
	bucket   int
	fell     int // nodes that ended by themselves, and were started again
}

func newChaos(s *site) *chaos { return &chaos{site: s, watch: newWatch(s)} }

// every so many kills something else happens as well.
const every = 5

// run kills nodes until that was often enough, and leaves all of them ready.
func (c *chaos) run(ctx context.Context) error {
	watching, cancel := context.WithCancel(ctx) // of the watch alone: nodes end with the context they were started in
	defer func() {
		cancel()
		c.watch.wait()
	}()
	c.watch.start(watching)
	if !c.pause(ctx, 2000, 3000) {
		return ctx.Err()
	}
	for c.kills < c.o.kills {
		if err := c.killOne(ctx); err != nil {
			return err
		}
		if c.kills%every == 0 && !c.o.calm {
			if err := []func(context.Context) error{c.roll, c.restartDatabase, c.restartBucket}[c.kills/every%3](ctx); err != nil {
				return err
			}
		}
		if !c.pause(ctx, 1000, 4000) {
			return ctx.Err()
		}
	}
	if c.rolling == 0 {
		if err := c.roll(ctx); err != nil {
			return err
		}
	}
	if err := c.allReady(ctx); err != nil {
		return err
	}
	fmt.Printf("nodes killed: %d, rolling restarts: %d, PostgreSQL killed: %d, S3 server killed: %d, nodes that ended without their database and were started again: %d\n",
		c.kills, c.rolling, c.database, c.bucket, c.fell)
	fmt.Printf("the longest time of an appliance without a node: %s\n", c.watch.longest().Round(10*time.Millisecond))
	return nil
}

// pause is as long as it happens to be, in milliseconds.
func (c *chaos) pause(ctx context.Context, least, most int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(least+c.random.IntN(most-least)) * time.Millisecond):
		return true
	}
}

// killOne kills a node, while another one is ready, and starts it again after a while;
// it need not be ready before the next one is killed.
func (c *chaos) killOne(ctx context.Context) error {
	if err := c.someReady(ctx, 2); err != nil {
		return err
	}
	n := c.nodes[c.random.IntN(len(c.nodes))]
	began := time.Now()
	n.kill()
	c.kills++
	c.pause(ctx, 100, 2000)
	if err := c.start(ctx, n); err != nil {
		return err
	}
	c.watch.note("kill", began, time.Now())
	return nil
}

// roll restarts all nodes by SIGTERM, one after the other, each when the one before is
// ready.
func (c *chaos) roll(ctx context.Context) error {
	if err := c.allReady(ctx); err != nil {
		return err
	}
	began := time.Now()
	for _, n := range c.nodes {
		n.Stop()
		if code := n.Cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("%s ends on SIGTERM with %d: %s", n.name, code, n.Said())
		}
		if err := c.start(ctx, n); err != nil {
			return err
		}
		if err := c.ready(ctx, n); err != nil {
			return err
		}
		c.pause(ctx, 1000, 2000)
	}
	c.rolling++
	c.watch.note("rolling restart", began, time.Now())
	return nil
}

func (c *chaos) restartDatabase(ctx context.Context) error {
	began := time.Now()
	c.rows.Kill()
	c.pause(ctx, 500, 2000)
	err := c.rows.Start()
	c.database++
	c.watch.note("database restart", began, time.Now())
	return err
}

func (c *chaos) restartBucket(ctx context.Context) error {
	began := time.Now()
	if err := c.bytes.Stop(); err != nil {
		return err
	}
	c.pause(ctx, 500, 3000)
	err := c.bytes.Restart()
	c.bucket++
	c.watch.note("S3 restart", began, time.Now())
	return err
}

// someReady waits until so many nodes are ready. Those that have ended are started.
func (c *chaos) someReady(ctx context.Context, want int) error {
	return lab.Await(ctx, 90*time.Second, fmt.Sprintf("%d nodes to be ready", want), func() bool {
		ready := 0
		for _, n := range c.nodes {
			if lab.Ended(n.Cmd) {
				c.fell++
				fmt.Printf("%s ended by itself: %s\n", n.name, n.Said())
				n.Stop()
				if c.start(ctx, n) != nil {
					return false
				}
				time.Sleep(300 * time.Millisecond)
			}
			if n.isReady(ctx) {
				ready++
			}
		}
		return ready >= want
	})
}

func (c *chaos) allReady(ctx context.Context) error { return c.someReady(ctx, len(c.nodes)) }

// isReady asks as a load balancer does.
func (n *node) isReady(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Page+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(rq)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode == http.StatusOK
}
