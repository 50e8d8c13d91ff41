package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"edged/agent/status"
)

func (p *Page) serveHealth(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "alive")
}

// serveReady answers the question of a load balancer or an installer: would an
// image sent now be taken?
func (p *Page) serveReady(w http.ResponseWriter, _ *http.Request) {
	s := p.cfg.Source.Status()
	switch {
	case !s.DICOM.Ready:
		plain(w, http.StatusServiceUnavailable, cmp.Or(status.ShownError(s.DICOM.NotReady), "not ready to receive"))
	case p.cfg.now().Sub(s.At) >= staleAfter:
		plain(w, http.StatusServiceUnavailable, "not known: the last status is older than 25 seconds")
	default:
		plain(w, http.StatusOK, "ready")
	}
}

func plain(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, line) // a client that is gone needs no answer
}

func (p *Page) serveStatus(w http.ResponseWriter, r *http.Request) {
	s := p.status()
	s.Reasons, s.Warnings = nonNil(s.Reasons), nonNil(s.Warnings)
	s.Uplink.Carriers, s.Uplink.Nodes = nonNil(s.Uplink.Carriers), nonNil(s.Uplink.Nodes)
	p.answer(w, r, s)
}

func (p *Page) serveStudies(w http.ResponseWriter, r *http.Request) {
	limit := 50
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxStudies {
			plain(w, http.StatusBadRequest, fmt.Sprintf("limit must be a number from 1 to %d", maxStudies))
			return
		}
		limit = n
	}
	p.answer(w, r, studyList{nonNil(p.studies(limit))})
}

func (p *Page) serveDevices(w http.ResponseWriter, r *http.Request) {
	p.answer(w, r, deviceList{nonNil(p.cfg.Source.Devices())})
}

type studyList struct {
	Studies []status.Study `json:"studies"`
}

type deviceList struct {
	Devices []status.Device `json:"devices"`
}

// status fills in what only the page's configuration knows.
func (p *Page) status() status.Status {
	s := p.cfg.Source.Status()
	if s.Version == "" {
		s.Version = p.cfg.Version
	}
	return s
}

// studies holds the Source to the limit: what is rendered stays bounded (P9).
func (p *Page) studies(limit int) []status.Study {
	list := p.cfg.Source.Studies(limit)
	return list[:min(limit, len(list))]
}

func (p *Page) moving() []status.Study {
	list := p.cfg.Source.Moving(lookedAt)
	return list[:min(lookedAt, len(list))]
}

func (p *Page) answer(w http.ResponseWriter, r *http.Request, body any) {
	raw, err := json.MarshalIndent(body, "", "  ")
	if err != nil { // only a time with a year beyond 9999 comes here
		p.cfg.Logger.Error("encode answer", "path", r.URL.Path, "err", err)
		plain(w, http.StatusInternalServerError, "this answer could not be written; see the log")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(raw, '\n')) // a client that is gone needs no answer
}

// nonNil keeps null out of the answers: an empty list is [].
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
