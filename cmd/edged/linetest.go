package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"edged/agent/page"
	"edged/agent/status"
)

// lineTestCmd measures the line from the running daemon, which alone may call the hub.
type lineTestCmd struct {
	configFlag
	JSON bool `help:"The result as JSON, as in /api/v1/status."`
}

func (c *lineTestCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	d, err := theDaemon(p.ctx, &cfg)
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintln(p.stderr, "measuring the line for some seconds, beside what is being sent and within the cap")
	}
	result, err := d.lineTest(p.ctx)
	if err != nil {
		return err
	}
	result.At = result.At.In(cfg.zone())
	if c.JSON {
		out := json.NewEncoder(p.stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(result); err != nil {
			return err
		}
	} else {
		for _, said := range page.SayTest(result, "en") {
			fmt.Fprintln(p.stdout, said)
		}
	}
	if result.Error != "" {
		return errors.New("the line could not be measured")
	}
	return nil
}

func (c *client) lineTest(ctx context.Context) (t status.LineTest, err error) {
	err = c.ask(ctx, http.MethodPost, "/linetest", struct{}{}, &t)
	return t, err
}

// lineTests runs tests of the line, one at a time, and remembers the last.
type lineTests struct {
	run func(context.Context) (status.LineTest, error)

	mu   sync.Mutex // guards what follows
	busy bool
	done *status.LineTest
}

// last is nil when there was none since the start.
func (l *lineTests) last() *status.LineTest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// do runs one. That nothing came through is a result as well, and shown; a refusal,
// for which nothing was measured, is for who asked, and leaves the last result.
func (l *lineTests) do(ctx context.Context) (status.LineTest, error) {
	if !l.begin() {
		return status.LineTest{}, refusedError{errTesting}
	}
	t, err := l.run(ctx)
	if t.At = time.Now(); err != nil {
		t.Error = status.ShownError(err.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	if t.Carriers == nil {
		t.Carriers = []status.Carrier{}
	}
	if ctx.Err() != nil {
		return t, ctx.Err() // whoever asked went away: that says nothing of the line
	}
	var refused refusedError
	if errors.As(err, &refused) {
		return status.LineTest{}, err
	}
	l.done = &t
	return t, nil
}

var errTesting = errors.New("the line is being tested already: wait some seconds")

func (l *lineTests) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := !l.busy
	l.busy = true
	return free
}

// lineTest measures; it ends when the peer goes.
func (c *control) lineTest(w http.ResponseWriter, r *http.Request) {
	t, err := c.tests.do(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	json.NewEncoder(w).Encode(t) // the peer is gone when this fails
}
