package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"edged/hub/enrol"
	"edged/hub/ledger"
)

// operation is one thing that the API shows or does, and a page with it.
type operation struct {
	id      string // operationId, and the template of its page
	method  string
	path    string // below /api/v1; that of its page is the same, below /
	min     role
	summary string
	query   []param
	body    any // a struct of texts; nil: none
	answer  any // what do returns
	do      func(*console, *request) (any, error)
}

// param is one of the query.
type param struct{ name, about string }

// request is what an operation gets, from a program or from a page.
type request struct {
	*http.Request
	caller
	values url.Values // of the query
	form   bool       // the body is a form of a page

	whole context.Context // lasts until the answer is written; that of Request ends with do
}

// page is one of a list. Next, when there is more, is the cursor of what follows.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

var paging = []param{
	{"limit", "At most so many, 1 to 500; default 50."},
	{"cursor", "What next of the page before says; opaque. Without it, the first page."},
}

// limit of a list.
func (r *request) limit() (int, error) {
	text := r.values.Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, bad("limit %q: want a number from 1 to %d", text, maxLimit)
	}
	return n, nil
}

// cursor is opaque to who gets it: texts, joined.
func cursor(parts ...any) string {
	raw, _ := json.Marshal(parts) // of texts and numbers: it cannot fail
	return base64.RawURLEncoding.EncodeToString(raw)
}

// after takes a cursor of this list apart; without one into stays as it is.
func (r *request) after(into ...any) error {
	text := r.values.Get("cursor")
	if text == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > 1024 {
		return errCursor
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) != len(into) {
		return errCursor
	}
	for i := range parts {
		if json.Unmarshal(parts[i], into[i]) != nil {
			return errCursor
		}
	}
	return nil
}

var errCursor = bad("cursor: it is not one of this list; leave it out to begin anew")

// maxText bounds a filter.
const maxText = 200

// text is a filter of the query.
func (r *request) text(name string) (string, error) {
	s := strings.TrimSpace(r.values.Get(name))
	if len(s) > maxText || strings.ContainsRune(s, 0) {
		return "", bad("%s: it has more than %d bytes, or a zero byte", name, maxText)
	}
	return s, nil
}

// texts reads several of them.
func (r *request) texts(names ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range names {
		s, err := r.text(name)
		if err != nil {
			return nil, err
		}
		out[name] = s
	}
	return out, nil
}

// oneOf refuses what is not one of the words; "" is any.
func oneOf(name, got string, words ...string) error {
	for _, w := range append(words, "") {
		if got == w {
			return nil
		}
	}
	return bad("%s %q: want one of %s", name, got, strings.Join(words, ", "))
}

// decode reads the body into a struct of texts.
func (r *request) decode(into any) error {
	if r.form {
		v := reflect.ValueOf(into).Elem()
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			v.Field(i).SetString(strings.TrimSpace(r.PostForm.Get(name)))
		}
		return nil
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) { // an empty body has no wishes
		return bad("the body: %v", err)
	}
	if dec.More() {
		return bad("the body: more than one JSON value")
	}
	return nil
}

// problem is RFC 9457. Detail says what to do.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	retryAfter time.Duration
}

func (p *problem) Error() string { return p.Detail }

func bad(format string, args ...any) *problem {
	return &problem{Status: http.StatusBadRequest, Title: "the request is wrong", Detail: fmt.Sprintf(format, args...)}
}

func notFound(what string) *problem {
	return &problem{Status: http.StatusNotFound, Title: "there is none", Detail: what}
}

// refused is what the rows do not allow.
func refused(err error) *problem {
	return &problem{Status: http.StatusConflict, Title: "that cannot be done now", Detail: err.Error()}
}

func unavailable(detail string) *problem {
	return &problem{Status: http.StatusServiceUnavailable, Title: "not at the moment", Detail: detail + ": try again; the hub's log says why", retryAfter: 5 * time.Second}
}

func (p *problem) retry(w http.ResponseWriter) {
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.retryAfter.Seconds())+1))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="hubd"`)
	}
}

func (p *problem) answer(w http.ResponseWriter) {
	q := *p
	q.Type = "about:blank"
	p.retry(w)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(q) // who does not read it has gone
}

// problemOf says what an error of an operation is to whoever asked.
func (c *console) problemOf(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, ledger.ErrNotListed), errors.Is(err, enrol.ErrNoDevice), errors.Is(err, ledger.ErrNoToken):
		return notFound(err.Error())
	case errors.Is(err, ledger.ErrTokenExists), errors.Is(err, ledger.ErrCodeClosed):
		return refused(err)
	case errors.Is(err, context.Canceled):
		return unavailable("nobody waits for the answer")
	}
	c.h.log.Error("console", "err", err)
	return unavailable("the ledger cannot be asked")
}

// answerFor bounds how long an operation may take.
const answerFor = 20 * time.Second

// mount serves it to programs, at its path below /api/v1.
func (c *console) mount(mux *routes, o *operation) {
	mux.HandleFunc(o.method+" /api/v1"+o.path, func(w http.ResponseWriter, r *http.Request) {
		min := o.min
		if min == nobody {
			min = c.statusRole()
		}
		who, p := c.admit(r, min, c.bearer)
		if p != nil {
			p.answer(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		got, err := c.perform(o, &request{Request: r, caller: who, values: r.URL.Query()})
		if err != nil {
			c.problemOf(err).answer(w)
			return
		}
		c.reply(w, got)
	})
}

// perform does it within a bounded time.
func (c *console) perform(o *operation, r *request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerFor)
	defer cancel()
	r.whole, r.Request = r.Context(), r.WithContext(ctx)
	return o.do(c, r)
}

// stream is an answer that is not one JSON value.
type stream struct {
	kind, name string
	write      func(io.Writer) error
}

// patient gives each piece of a long answer the time that a short one has in all. Who
// does not read is cut off all the same.
type patient struct {
	w   io.Writer
	own *http.ResponseController
}

// pieceFor is how long one piece of a stream may take; streamPiece is its size.
const (
	pieceFor    = 30 * time.Second
	streamPiece = 32 << 10
)

// Write is of pieces, so that who reads slowly gets on. The server also stops reading
// after its ReadTimeout and takes that for the client's end.
func (p patient) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		until := time.Now().Add(pieceFor)
		if err := errors.Join(p.own.SetWriteDeadline(until), p.own.SetReadDeadline(until)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return n, err
		}
		var wrote int
		wrote, err = p.w.Write(b[:min(len(b), streamPiece)])
		n, b = n+wrote, b[wrote:]
	}
	return n, err
}

func (c *console) reply(w http.ResponseWriter, got any) {
	if s, ok := got.(stream); ok {
		w.Header().Set("Content-Type", s.kind)
		w.Header().Set("Content-Disposition", `attachment; filename="`+s.name+`"`)
		if err := s.write(patient{w, http.NewResponseController(w)}); err != nil {
			c.h.log.Warn("answer not finished", "what", s.name, "err", err)
			panic(http.ErrAbortHandler) // the client must not take half of it for all
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(got); err != nil {
		c.h.log.Debug("answer not sent", "err", err)
	}
}

// next is the cursor of a page that may have another after it: one row more than
// the limit was asked for.
func next[R, T any](rows []R, limit int, of func(R) string, show func(R) T) page[T] {
	p := page[T]{Items: []T{}}
	for i, row := range rows {
		if i == limit {
			p.Next = of(rows[i-1])
			break
		}
		p.Items = append(p.Items, show(row))
	}
	return p
}
