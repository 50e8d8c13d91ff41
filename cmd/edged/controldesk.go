package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// What the control socket changes, and who asked for it. A request is a JSON body
// of a few lines; whoever is not known changes nothing (P11).

const maxRequest = 64 << 10

// decide reads a request and lets act answer it.
func decide[Q, A any](c *control, w http.ResponseWriter, r *http.Request, act func(desk, string, Q) (A, error)) {
	var rq Q
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&rq); err != nil {
		http.Error(w, "this request cannot be read: is the command as old as the daemon? "+err.Error(), http.StatusBadRequest)
		return
	}
	who := r.RemoteAddr // see knownListener
	if who == "" || who == "unknown" || who == "@" {
		fail(w, refusef("who asks is not known"))
		return
	}
	s, ok := c.spool(w)
	if !ok {
		return
	}
	trail, err := c.trail()
	if err != nil {
		fail(w, err)
		return
	}
	answer, err := act(desk{s, trail}, who, rq)
	if err != nil {
		fail(w, err)
		return
	}
	json.NewEncoder(w).Encode(answer) // it is done also when the peer is gone
}

// What is begun is done, also when the peer goes: the audit log says so already.
func lasting(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }

func (c *control) release(w http.ResponseWriter, r *http.Request) {
	decide(c, w, r, func(d desk, who string, rq releaseRequest) (releaseAnswer, error) {
		return d.release(lasting(r), who, rq)
	})
}

func (c *control) discard(w http.ResponseWriter, r *http.Request) {
	decide(c, w, r, func(d desk, who string, rq discardRequest) (struct{}, error) {
		return struct{}{}, d.discard(lasting(r), who, rq)
	})
}

func (c *control) exported(w http.ResponseWriter, r *http.Request) {
	decide(c, w, r, func(d desk, who string, n exportNote) (uint64, error) { return d.trail.Append(n.event(who)) })
}

func (c *client) exported(ctx context.Context, n exportNote) (seq uint64, err error) {
	err = c.ask(ctx, http.MethodPost, "/exported", n, &seq)
	return seq, err
}

// raw gives the file of an object as it is on the disk.
func (c *control) raw(w http.ResponseWriter, r *http.Request) {
	s, ok := c.spool(w)
	if !ok {
		return
	}
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f, err := s.Raw(seq)
	if err != nil {
		fail(w, err)
		return
	}
	defer f.Close()
	if _, err := io.Copy(w, f); err != nil {
		panic(http.ErrAbortHandler) // the reader must not take the half for the whole
	}
}

func (c *control) studies(w http.ResponseWriter, r *http.Request) {
	s, ok := c.spool(w)
	if !ok {
		return
	}
	out := json.NewEncoder(w)
	if err := eachStudy(r.Context(), s, func(row studyRow) error { return out.Encode(row) }); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (c *client) release(ctx context.Context, rq releaseRequest) (a releaseAnswer, err error) {
	err = c.ask(ctx, http.MethodPost, "/release", rq, &a)
	return a, err
}

func (c *client) discard(ctx context.Context, rq discardRequest) error {
	return c.ask(ctx, http.MethodPost, "/discard", rq, &struct{}{})
}

func (c *client) studies(ctx context.Context, visit func(studyRow) error) error {
	body, err := c.do(ctx, http.MethodGet, "/studies", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	for d := json.NewDecoder(body); ; {
		var row studyRow
		if err := d.Decode(&row); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("the running edged: %w", err)
		}
		if err := visit(row); err != nil {
			return err
		}
	}
}
