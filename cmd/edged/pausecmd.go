package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"edged/agent/page"
	"edged/internal/audit"
)

// pauseCmd holds all objects back for a while, resumeCmd lets them go on. Both
// speak to the running daemon: a pause is kept nowhere and ends with the process.
// They end with 0 when it is so, 1 when no daemon answers or nothing is sent
// anyhow, 2 when the time is wrong.
type pauseCmd struct {
	configFlag
	For time.Duration `default:"1h" help:"How long, at most 24h; it ends by itself (${default})."`
}

type resumeCmd struct{ configFlag }

// longestPause is what the uplink grants.
const longestPause = 24 * time.Hour

func (c *pauseCmd) Run(p *process) error {
	if c.For < time.Second || c.For > longestPause {
		return usagef("--for %s is not between 1s and 24h", c.For)
	}
	until, err := c.hold(p.ctx, holdRequest{Seconds: int64(c.For / time.Second)})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "nothing is sent until %s, images are received and kept; `edged resume` ends that\n", until.Local().Format("2006-01-02 15:04:05 -07:00"))
	return err
}

func (c *resumeCmd) Run(p *process) error {
	if _, err := c.hold(p.ctx, holdRequest{}); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.stdout, "images are sent")
	return err
}

// holdRequest asks for a pause; of 0 seconds for its end.
type holdRequest struct{ Seconds int64 }

func (c *configFlag) hold(ctx context.Context, rq holdRequest) (until time.Time, err error) {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return until, err
	}
	d := findDaemon(ctx, &cfg)
	if d == nil {
		return until, fmt.Errorf("no daemon answers on %s: nothing is sent, and a pause would not outlive it", cfg.socketPath())
	}
	err = d.ask(ctx, http.MethodPost, "/pause", rq, &until)
	return until, err
}

// pause needs no spool: a line that is too full is too full also while the disk fails.
func (c *control) pause(w http.ResponseWriter, r *http.Request) {
	var rq holdRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&rq); err != nil || rq.Seconds < 0 || rq.Seconds > int64(longestPause/time.Second) {
		http.Error(w, "want seconds from 0 to 86400", http.StatusBadRequest)
		return
	}
	who := r.RemoteAddr // see knownListener
	if who == "" || who == "unknown" || who == "@" {
		fail(w, refusef("who asks is not known"))
		return
	}
	until, err := c.noted(who, time.Duration(rq.Seconds)*time.Second)
	if err != nil {
		fail(w, err)
		return
	}
	json.NewEncoder(w).Encode(until) // it is so also when the peer is gone
}

// noted pauses with a row in the audit log before and after it; without that log, as while
// the disk fails, the journal of the system alone has it: root could stop the daemon, too.
// What has been done is no failure because its second row is missing.
func (c *control) noted(who string, d time.Duration) (until time.Time, err error) {
	done := false
	act := func() (err error) {
		until, err = c.rest(who, d)
		done = err == nil
		return err
	}
	trail, err := c.trail()
	if err == nil {
		action, reason := pauseWords(d)
		err = recorded(trail, audit.Event{Who: who, Action: action, Object: "uplink", Reason: reason}, act)
	} else {
		err = page.ErrNotRecorded
	}
	if errors.Is(err, page.ErrNotRecorded) {
		err = act()
	}
	if done {
		err = nil
	}
	return until, err
}

// pauseWords are a pause, or its end, in the audit log.
func pauseWords(d time.Duration) (action, reason string) {
	if d == 0 {
		return "resume", ""
	}
	return "pause", "for " + d.String()
}

// rest pauses the uplink for d, or lets it go on.
func (s *sender) rest(who string, d time.Duration) (until time.Time, err error) {
	s.mu.Lock()
	link := s.link
	s.mu.Unlock()
	if link == nil {
		return until, refusedError{errNothingSent}
	}
	if d > 0 {
		until = time.Now().Add(d)
	}
	link.Pause(until)
	s.log.Warn("sending is paused or goes on", "by", who, "pause", d)
	return until, nil
}

var errNothingSent = errors.New("nothing is sent anyhow: there is no hub, or this appliance is not enrolled")
