package main

import (
	"cmp"
	"errors"
	"os"
	"regexp"
	"sync"
)

// several reports whether other nodes may share the rows.
func (c *Config) several() bool { return c.Database != "" }

var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// nodeID is who leases jobs.
func (c *Config) nodeID() string {
	host, _ := os.Hostname() // without one, check asks for a name
	return cmp.Or(c.Node, host)
}

// checkNode judges what several nodes need.
func (c *Config) checkNode(add func(key, format string, args ...any)) {
	if !nodeName.MatchString(c.nodeID()) && (c.Node != "" || c.several()) {
		add("node", "%q: want 1 to 64 letters, digits, dots, - and _, beginning with a letter or digit; each node has another one", c.nodeID())
	}
}

// absence is why a hub that works serves no appliance.
type absence struct {
	mu  sync.Mutex // guards what follows
	why map[string]bool
}

const (
	absentStopping = "the hub stops; appliances are sent to the other nodes, where there are any"
	absentCut      = "the database does not answer; appliances are sent to the other nodes, where there are any"
	absentOther    = "another node was started with other destinations, another conflict or other events; restart this node with the configuration of the others; appliances are there"
)

func (a *absence) set(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why == nil {
		a.why = map[string]bool{}
	}
	a.why[why] = true
}

func (a *absence) end(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.why, why)
}

// err is nil while appliances are served.
func (a *absence) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, why := range []string{absentStopping, absentOther, absentCut} {
		if a.why[why] {
			return errors.New(why)
		}
	}
	return nil
}
