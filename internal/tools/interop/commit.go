package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// committer asks for storage commitment.
type committer struct {
	name, title string
	same        bool // it keeps its association for the report
	listens     bool // it can take the report on an association of ours
	// ask requests commitment of pairs of class and instance, waits for the report
	// and prints lines: "committed UID...", "failed UID REASON", "type N". Listen is
	// the port at which the report is awaited, or "-" for the same association.
	ask func(ctx context.Context, listen string, references ...string) (string, error)
}

// The rows of storage commitment and procedure steps.
const (
	rowSame  = "report on the same association, event type 1"
	rowNew   = "report on an association that we open, event type 1"
	rowWrong = "an instance asked for under another class: event type 2, reason 0119"
	rowStep  = "N-CREATE, N-SET COMPLETED; a further N-SET is refused (0110)"
)

func (l *lab) commitChecks(c committer) []check {
	var all []check
	if c.same {
		all = []check{{commitIn, rowSame, c.name, func(ctx context.Context) (string, error) { return l.commit(ctx, c, "-", false) }}}
	}
	if c.listens {
		all = append(all, check{commitIn, rowNew, c.name, func(ctx context.Context) (string, error) { return l.commit(ctx, c, l.edged.ports[c.title], false) }})
	}
	listen := "-"
	if !c.same {
		listen = l.edged.ports[c.title]
	}
	return append(all, check{commitIn, rowWrong, c.name, func(ctx context.Context) (string, error) { return l.commit(ctx, c, listen, true) }})
}

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7"

// commit has two instances in the spool, and may ask for one as what it is not. One
// that was never sent would be waited for.
func (l *lab) commit(ctx context.Context, c committer, listen string, wrong bool) (string, error) {
	var references, want []string
	for i := range 2 {
		o, err := l.object(syntaxes[1], c.name, commitIn, listen, fmt.Sprint(wrong, i))
		if err != nil {
			return "", err
		}
		if err := l.give(ctx, o); err != nil {
			return "", err
		}
		references, want = append(references, o.SOPClass, o.SOPInstance), append(want, o.SOPInstance)
	}
	slices.Sort(want)
	said, lines := "type 1", []string{"committed " + strings.Join(want, " ")}
	if wrong { // the last one is there, but is of another class
		references[2] = secondaryCapture
		lines, said = []string{"committed " + references[1], "failed " + references[3] + " 0119"}, "type 2"
	}
	out, err := c.ask(ctx, listen, references...)
	if err != nil {
		return "", err
	}
	for _, line := range append(lines, said) {
		if !strings.Contains(out, line) {
			return "", fmt.Errorf("the report has no %q: %s", line, out)
		}
	}
	return "", nil
}

// give puts an object into the spool.
func (l *lab) give(ctx context.Context, o object) error {
	_, err := l.call(ctx, l.program("edged"), "send", "--again", "--calling", "DCMTK", "--to", ourTitle+"@"+l.edged.address(), o.path)
	return err
}
