package main

import (
	"context"
	"net/http"
	"time"
)

// DestinationList is every archive, with what it has not got yet.
type DestinationList struct {
	Items []DestinationStatus `json:"items"`
}

func (c *console) destinations(r *request) (any, error) {
	s, err := c.statusFor(r)
	return DestinationList{s.Destinations}, err
}

// statusFor shows what others said, archives and receivers of events, to whom their words
// are for: they may name a patient.
func (c *console) statusFor(r *request) (Status, error) {
	s, err := c.status(r.Context())
	if r.role < operator {
		s = s.inOwnWords()
	}
	return s, err
}

// Node is one hubd of several that share the rows.
type Node struct {
	ID        string    `json:"id"`
	Address   string    `json:"address"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at,omitzero"`
	SeenAt    time.Time `json:"seen_at,omitzero"`
	Alive     bool      `json:"alive"`
	Here      bool      `json:"here"` // the one that answers
}

// NodeList is all that there were lately.
type NodeList struct {
	Items []Node `json:"items"`
}

func (c *console) nodes(r *request) (any, error) {
	all, err := c.allNodes(r.Context())
	return NodeList{all}, err
}

func (c *console) allNodes(ctx context.Context) ([]Node, error) {
	here := Node{ID: c.h.cfg.nodeID(), Address: c.h.tcp.Addr().String(), Version: programVersion(), StartedAt: c.h.started, SeenAt: time.Now(), Alive: true, Here: true}
	rows, err := c.h.ledger.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out := []Node{}
	for _, n := range rows {
		if n.ID == here.ID {
			out, here.ID = append(out, Node{n.ID, n.Address, n.Version, n.Started, n.Seen, n.Alive, true}), ""
			continue
		}
		out = append(out, Node{n.ID, n.Address, n.Version, n.Started, n.Seen, n.Alive, false})
	}
	if here.ID != "" { // one that is alone does not beat
		out = append(out, here)
	}
	return out, nil
}

var statusOperations = []operation{
	{id: "status", method: http.MethodGet, path: "/status", min: nobody, summary: "State, counters, disk and destinations: figures and names of appliances, no study and no object. Without a token on a loopback address.",
		answer: Status{}, do: func(c *console, r *request) (any, error) { return c.statusFor(r) }},
	{id: "destinations", method: http.MethodGet, path: "/destinations", min: viewer, summary: "The archives, and what waits for each.", answer: DestinationList{}, do: (*console).destinations},
	{id: "nodes", method: http.MethodGet, path: "/nodes", min: viewer, summary: "The nodes of this hub.", answer: NodeList{}, do: (*console).nodes},
}

// operations are all of the API.
var operations = join(statusOperations, applianceOperations, troubleOperations, studyOperations, findingOperations, eventOperations, auditOperations, tokenOperations, kpiOperations)

func join(lists ...[]operation) (all []operation) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
