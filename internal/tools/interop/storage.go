package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// sender is a program that stores a file at 127.0.0.1:port by C-STORE. Its error
// counts only when the wire shows that it could have done it.
type sender struct {
	name string
	send func(ctx context.Context, port string, o object) error
}

// storeChecks has a row for each transfer syntax.
func (l *lab) storeChecks(s sender) (all []check) {
	for _, ts := range syntaxes {
		all = append(all, check{storeIn, ts.name, s.name, func(ctx context.Context) (string, error) { return l.storeIn(ctx, s, ts) }})
	}
	return all
}

// storeIn lets a peer send an instance to the appliance, and compares what the
// spool has with what was on the wire.
func (l *lab) storeIn(ctx context.Context, s sender, ts syntax) (string, error) {
	o, err := l.object(ts, s.name, storeIn)
	if err != nil {
		return "", err
	}
	t, err := newTap("127.0.0.1:0", l.edged.address())
	if err != nil {
		return "", err
	}
	sendErr := s.send(ctx, t.port(), o)
	wire := t.close()
	m, syntax, ok := stored(wire, o.SOPInstance)
	if !ok {
		return "", neverSent(wire, o, sendErr)
	}
	if sendErr != nil {
		return "", sendErr
	}
	if err := ended(wire, cStoreResponse); err != nil {
		return "", err
	}
	names, data, err := l.export(ctx, o.SOPInstance)
	if err != nil {
		return "", err
	}
	if names.TransferSyntax != syntax || names.SOPClass != o.SOPClass {
		return "", fmt.Errorf("negotiated %s, kept as %s", syntax, names.TransferSyntax)
	}
	if err := same(data, m.data); err != nil {
		return "", err
	}
	if syntax != ts.uid {
		return "", unable("it sent the object in " + syntaxName(syntax) + " instead; that arrived byte for byte")
	}
	return "", nil
}

// neverSent tells a peer that cannot from one that was not let.
func neverSent(wire []dialogue, o object, sendErr error) error {
	for _, d := range wire {
		if d.rejected || d.err != nil {
			return fmt.Errorf("the association was rejected or cut: %w: %w", d.err, sendErr)
		}
	}
	proposed, accepted, another := proposes(wire, o.SOPClass, o.TransferSyntax)
	switch {
	case another:
		return unable("it let the receiver choose, and could not convert the object to what was chosen")
	case proposed && !accepted:
		return fmt.Errorf("proposed and not accepted: %w", sendErr)
	case proposed:
		return unable("it proposed the transfer syntax, was accepted, and sent nothing: it cannot read or encode the object")
	case len(wire) > 0:
		return unable("it does not propose the transfer syntax")
	}
	return unable("it does not call: it refuses the file")
}

// receiver is a Storage SCP of others that runs.
type receiver struct {
	name, title, port string
	// file gives the Part 10 file of an instance that it has received.
	file func(ctx context.Context, uid string) ([]byte, error)
	// converts means that its files are written from what it has decoded, also in
	// another character set: only the wire and its answer can be looked at.
	converts bool
}

// receiveChecks has a row for each transfer syntax.
func (l *lab) receiveChecks(r receiver) (all []check) {
	for _, ts := range syntaxes {
		all = append(all, check{storeOut, ts.name, r.name, func(ctx context.Context) (string, error) { return l.storeOut(ctx, r, ts) }})
	}
	return all
}

// storeOut sends a file with `edged send`: what goes over the wire is the file, and
// the peer has it.
func (l *lab) storeOut(ctx context.Context, r receiver, ts syntax) (string, error) {
	o, err := l.object(ts, r.name, storeOut)
	if err != nil {
		return "", err
	}
	t, err := newTap("127.0.0.1:0", "127.0.0.1:"+r.port)
	if err != nil {
		return "", err
	}
	_, sendErr := l.call(ctx, l.program("edged"), "send", "--retry", "1s", "--to", r.title+"@127.0.0.1:"+t.port(), o.path)
	wire := t.close()
	proposed, accepted, _ := proposes(wire, o.SOPClass, o.TransferSyntax)
	if proposed && !accepted {
		return "", unable("it does not accept the transfer syntax; `edged send` says so")
	}
	if sendErr != nil {
		return "", sendErr
	}
	m, syntax, ok := stored(wire, o.SOPInstance)
	if !ok || syntax != ts.uid {
		return "", fmt.Errorf("on the wire in %q", syntax)
	}
	if err := same(m.data, o.data); err != nil {
		return "", fmt.Errorf("on the wire: %w", err)
	}
	if err := ended(wire, cStoreResponse); err != nil {
		return "", err
	}
	if r.converts {
		return "it decodes what it gets, and writes files of its own making; what counts here is what was on the wire, and its success", nil
	}
	return l.kept(ctx, r, o)
}

// kept looks at what the receiver made of it.
func (l *lab) kept(ctx context.Context, r receiver, o object) (string, error) {
	b, err := r.file(ctx, o.SOPInstance)
	if err != nil {
		return "", err
	}
	names, data, err := readPart10(b)
	if err != nil || names.TransferSyntax != o.TransferSyntax {
		return "", errors.Join(err, fmt.Errorf("the peer has it in %s", syntaxName(names.TransferSyntax)))
	}
	if same(data, o.data) == nil {
		return "", nil
	}
	return l.reencoded(ctx, r, o, b)
}

// reencoded compares element by element, as DCMTK shows them, what a peer has
// written in its own way: lengths and their form may be others.
func (l *lab) reencoded(ctx context.Context, r receiver, o object, b []byte) (string, error) {
	theirs, err := l.dump(ctx, b)
	if err != nil {
		return "", err
	}
	ours, err := l.dump(ctx, append(preface(o), o.data...))
	if err != nil {
		return "", err
	}
	if theirs != ours {
		return "", fmt.Errorf("the peer has other elements: %s", difference(ours, theirs))
	}
	return "the file that it keeps is encoded anew (lengths of sequences, group lengths); element by element it is the same", nil
}

func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("%.160q became %.160q", x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines became %d", len(x), len(y))
}
