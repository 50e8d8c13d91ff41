package page

import (
	"testing"
	"time"
)

// A page that is left open asks for itself all day; that nobody looks at it any more ends
// the session all the same, while who does something stays logged in.
func TestAnOpenPageKeepsNobodyLoggedIn(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []string
		in     bool
	}{{"somebody", nil, true}, {"the page itself", []string{freshHeader, build}, false}} {
		d := newDoor(t, func(c *Config) { *c = allDesks(*c) })
		b := d.in("tea")
		for range 4 {
			d.now = d.now.Add(20 * time.Minute)
			b.send("GET", "/line", nil, c.header...)
		}
		r := b.send("GET", "/password", nil)
		if in := r.StatusCode == 200; in != c.in {
			t.Errorf("%s asks every 20 minutes: logged in is %t", c.name, in)
		}
	}
}
