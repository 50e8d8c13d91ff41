package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/hub"
)

// What an archive had refused for good while it was out of order is freed with one
// command, page after page, each in the audit trail; other words stay refused.
func TestAllThatAnArchiveHadRefusedIsRetriedAtOnce(t *testing.T) {
	const n = retryPage + 7
	s := newSite(t)
	k := s.hubless()
	var all []hub.Object
	for i := range n + 1 {
		all = append(all, instance("a", "1.2.3", i))
	}
	if err := k.ledger.Receive(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	jobs, err := k.ledger.Lease(t.Context(), "archive", n+1, time.Hour)
	if err != nil || len(jobs) != n+1 {
		t.Fatal(len(jobs), err)
	}
	var wg sync.WaitGroup
	for i, j := range jobs {
		words := "0122 SOP class not supported: licence expired"
		if i == 5 {
			words = "A900 data set does not match"
		}
		wg.Go(func() {
			if err := k.ledger.Refuse(t.Context(), j, words); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	k.end()
	if out := s.do("objects", "retry", "--destination", "archive", "--words", "licence"); out != fmt.Sprintf("%d objects are tried again\n", n) {
		t.Errorf("got %q", out)
	}
	if left := s.do("objects", "ls"); strings.Count(left, "permanent") != 1 || !strings.Contains(left, "A900") {
		t.Errorf("left: %s", left)
	}
	if trail := s.do("audit", "export"); strings.Count(trail, `"retry"`) != n {
		t.Errorf("%d lines of the trail", strings.Count(trail, `"retry"`))
	}
	for args, want := range map[string]string{"": "want the ID", "--destination vna": "no destination", "--words x": "want the ID", strings.Repeat("0", 64) + " --destination archive": "want the ID"} {
		c := s.command(append([]string{"objects", "retry"}, strings.Fields(args)...)...)
		if out, _ := c.CombinedOutput(); c.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), want) {
			t.Errorf("%q: exit %d: %s", args, c.ProcessState.ExitCode(), out)
		}
	}
}
