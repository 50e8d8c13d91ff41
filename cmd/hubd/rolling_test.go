package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/uplink"
	"edged/uplink/uplinktest"
)

// A node is restarted with one more archive that must have everything, the other one
// runs on: it is not ready, its appliances go to the new one, and nothing is archived
// that the new archive does not have. Restarted with the same configuration it serves again.
func TestARollingChangeOfDestinationsLosesNothing(t *testing.T) {
	t.Parallel()
	c := newSeveral(t, 2, "")
	source := uplinktest.NewSource()
	u, _ := c.connect(c.enrolAt(1), source, uplink.Shape{}, 1, 0)
	c.await("a connection to the second node", func() bool { return u.Status().Connected && u.Status().Hub == c.nodes[1].listen })

	second := filepath.Join(t.TempDir(), "second")
	c.running[0].stop(t)
	c.add(0, "- {name: second, type: dir, path: "+second+", create: true}\n")
	c.running[0] = c.nodes[0].start()
	c.await("the second node not to be ready", func() bool {
		code, body := get(t, "http://"+c.running[1].console+"/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "restart this node with the configuration of the others")
	})
	c.await("the appliance to be at the first node", func() bool { return u.Status().Connected && u.Status().Hub == c.nodes[0].listen })
	source.Add(1, 100_000, 1)
	c.await("what came to be archived", func() bool { return source.Count(uplinktest.Archived) == 1 })
	files := 0
	err := filepath.WalkDir(second, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in the new archive: %v", files, err)
	}

	c.running[1].stop(t)
	c.add(1, "- {name: second, type: dir, path: "+second+", create: true}\n")
	c.running[1] = c.nodes[1].start()
	for _, p := range c.running {
		c.await("both nodes to be ready", func() bool { code, _ := get(t, "http://"+p.console+"/readyz"); return code == http.StatusOK })
	}
}

// add appends to the configuration of a node.
func (c *several) add(node int, lines string) {
	c.Helper()
	text, err := os.ReadFile(c.nodes[node].config)
	if err == nil {
		err = os.WriteFile(c.nodes[node].config, append(text, lines...), 0o600)
	}
	if err != nil {
		c.Fatal(err)
	}
}
