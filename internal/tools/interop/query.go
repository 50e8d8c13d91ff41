package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// question is what a peer is to ask.
type question struct {
	patientRoot bool
	level       string
	keys        []string // "Keyword=value", the level first
	study       string
	destination string // of a move
	syntax      string // of the object, for a get
	listen      string // the port at which the peer is to receive it, if querier.own
}

// querier asks our query/retrieve service. The errors of its functions count.
type querier struct {
	name, title     string
	find, move, get func(ctx context.Context, port string, q question) error // nil: not there
	own             bool                                                     // move listens by itself
	listens         string                                                   // port at which the peer always listens
	bound           bool                                                     // move names no other destination than itself
}

// Command fields and statuses of responses (PS3.7 §E.1, Annex C).
const (
	cEchoResponse  = 0x8030
	cFindResponse  = 0x8020
	cMoveResponse  = 0x8021
	cGetResponse   = 0x8010
	cStoreResponse = 0x8001
	status         = 0x0900
	pending        = 0xFF00
	pendingWarning = 0xFF01
	unknownMoveAE  = 0xA801
)

func studyQuestion(o object) question {
	return question{level: "STUDY", study: o.study, keys: []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=" + o.study}}
}

// questions are the rows of C-FIND.
var questions = []struct {
	row string
	ask func(o object) question
}{
	{"C-FIND, Study Root, study by UID", func(o object) question {
		q := studyQuestion(o)
		q.keys = append(q.keys, "PatientName=", "StudyDate=", "ModalitiesInStudy=", "NumberOfStudyRelatedInstances=")
		return q
	}},
	{"C-FIND, Study Root, instances of a series", func(o object) question {
		return question{level: "IMAGE", study: o.study, keys: []string{"QueryRetrieveLevel=IMAGE", "StudyInstanceUID=" + o.study, "SeriesInstanceUID=" + o.series, "SOPInstanceUID="}}
	}},
	{"C-FIND, Patient Root, patient by ID", func(o object) question {
		return question{patientRoot: true, level: "PATIENT", keys: []string{"QueryRetrieveLevel=PATIENT", "PatientID=" + o.patient, "PatientName="}}
	}},
}

// ended is an error unless the last response was success.
func ended(wire []dialogue, field uint16) error {
	s, err := last(wire, field)
	if err == nil && s != 0 {
		err = fmt.Errorf("response %04X has status %04X", field, s)
	}
	return err
}

func (l *lab) queryChecks(q querier) (all []check) {
	for _, one := range questions {
		all = append(all, check{queryIn, one.row, q.name, func(ctx context.Context) (string, error) { return l.found(ctx, q, one.row, one.ask) }})
	}
	if q.move != nil {
		all = append(all, check{queryIn, "C-MOVE, Study Root, to the device that asks", q.name, func(ctx context.Context) (string, error) { return l.moved(ctx, q) }})
	}
	if q.move != nil && !q.bound {
		all = append(all, check{queryIn, "C-MOVE to a title that is not listed: refused (A801)", q.name, func(ctx context.Context) (string, error) { return l.notMoved(ctx, q) }})
	}
	if q.get != nil {
		all = append(all, check{queryIn, "C-GET, Study Root", q.name, func(ctx context.Context) (string, error) { return l.got(ctx, q, explicitLE) }},
			check{queryIn, "C-GET, Study Root, of a JPEG Baseline object", q.name, func(ctx context.Context) (string, error) { return l.got(ctx, q, syntaxes[4].uid) }})
	}
	return all
}

// asked puts an object into the spool and lets the peer ask through a recorder.
func (l *lab) asked(ctx context.Context, q querier, row, syntax string, run func(port string, o object) error) (object, []dialogue, error) {
	var ts = syntaxes[1]
	for _, s := range syntaxes {
		if s.uid == syntax {
			ts = s
		}
	}
	o, err := l.object(ts, q.name, queryIn, row)
	if err != nil {
		return o, nil, err
	}
	if err := l.give(ctx, o); err != nil {
		return o, nil, err
	}
	t, err := newTap("127.0.0.1:0", l.edged.address())
	if err != nil {
		return o, nil, err
	}
	err = run(t.port(), o)
	return o, t.close(), err
}

// found looks at the matches on the wire: exactly one, and it names what was asked
// for.
func (l *lab) found(ctx context.Context, q querier, row string, ask func(o object) question) (string, error) {
	o, wire, err := l.asked(ctx, q, row, explicitLE, func(port string, o object) error { return q.find(ctx, port, ask(o)) })
	if err != nil {
		return "", err
	}
	name := map[string]string{"STUDY": o.study, "IMAGE": o.SOPInstance, "PATIENT": o.patient}[ask(o).level]
	matches := 0
	for _, m := range responses(wire, cFindResponse) {
		switch s := m.number(status); {
		case s == pending || s == pendingWarning:
			if !bytes.Contains(m.data, []byte(name)) {
				return "", fmt.Errorf("a match without %s", name)
			}
			matches++
		case s != 0:
			return "", fmt.Errorf("C-FIND ended with %04X", s)
		}
	}
	if matches != 1 {
		return "", fmt.Errorf("%d matches, want 1", matches)
	}
	return "", nil
}

func responses(wire []dialogue, field uint16) (all []message) {
	for _, d := range wire {
		for _, m := range d.messages {
			if m.number(commandField) == field {
				all = append(all, m)
			}
		}
	}
	return all
}

// last is the status of the last response.
func last(wire []dialogue, field uint16) (uint16, error) {
	all := responses(wire, field)
	if len(all) == 0 {
		return 0, fmt.Errorf("there is no response %04X", field)
	}
	return all[len(all)-1].number(status), nil
}

// got compares what a C-GET brought with the object: the C-STORE-RQs of us are on
// the same association.
func (l *lab) got(ctx context.Context, q querier, syntax string) (string, error) {
	o, wire, err := l.asked(ctx, q, "get", syntax, func(port string, o object) error {
		question := studyQuestion(o)
		question.syntax = syntax
		return q.get(ctx, port, question)
	})
	if proposed, _, _ := proposes(wire, o.SOPClass, o.TransferSyntax); wire != nil && !proposed {
		return "", unable("it does not propose the transfer syntax, and we convert nothing")
	}
	if err != nil {
		return "", err
	}
	if err := ended(wire, cGetResponse); err != nil {
		return "", err
	}
	return "", arrived(wire, o)
}

// arrived says that the object was stored with success, byte for byte.
func arrived(wire []dialogue, o object) error {
	m, syntax, ok := stored(wire, o.SOPInstance)
	if !ok || syntax != o.TransferSyntax {
		return fmt.Errorf("it was not sent (%q)", syntax)
	}
	if err := ended(wire, cStoreResponse); err != nil {
		return err
	}
	return same(m.data, o.data)
}

// moved lets a peer move a study to itself. Where it has no receiver of its own a
// storescp listens for it; a recorder stands before either.
func (l *lab) moved(ctx context.Context, q querier) (string, error) {
	port, stop, err := l.destination(ctx, q)
	if err != nil {
		return "", err
	}
	defer stop()
	at, err := newTap("127.0.0.1:"+l.edged.ports[q.title], "127.0.0.1:"+port)
	if err != nil {
		return "", err
	}
	o, wire, err := l.asked(ctx, q, "move", explicitLE, func(through string, o object) error {
		question := studyQuestion(o)
		question.destination, question.listen = q.title, port
		return q.move(ctx, through, question)
	})
	there := at.close()
	if err != nil {
		return "", err
	}
	if err := ended(wire, cMoveResponse); err != nil {
		return "", err
	}
	return "", arrived(there, o)
}

// destination is where the device of a querier really listens.
func (l *lab) destination(ctx context.Context, q querier) (port string, stop func(), err error) {
	if q.listens != "" {
		return q.listens, func() {}, nil
	}
	if q.own {
		port, err = freePort()
		return port, func() {}, err
	}
	archive, err := l.storescp(ctx, "storescp", "+xa", "--promiscuous")
	if err != nil {
		return "", nil, err
	}
	return archive.port, archive.stop, nil
}

func (l *lab) notMoved(ctx context.Context, q querier) (string, error) {
	var err error
	_, wire, _ := l.asked(ctx, q, "notmoved", explicitLE, func(port string, o object) error {
		question := studyQuestion(o)
		question.destination = "NOWHERE"
		if question.listen, err = freePort(); err != nil {
			return err
		}
		return q.move(ctx, port, question) // that it fails is what we look for on the wire
	})
	s, missing := last(wire, cMoveResponse)
	if err = errors.Join(err, missing); err == nil && s != unknownMoveAE {
		err = fmt.Errorf("C-MOVE ended with %04X", s)
	}
	return "", err
}

// keyed joins keys as a command line has them.
func keyed(option string, keys []string) (args []string) {
	for _, k := range keys {
		args = append(args, option, strings.TrimSuffix(k, "="))
	}
	return args
}
