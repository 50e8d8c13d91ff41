package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"edged/dimse"
	"edged/dimse/dataset"
)

// pacs is a query/retrieve service of others that runs, and knows us as EDGED at
// the appliance's port.
type pacs struct {
	name, title, port string
	// prepare, if not nil, tells it anew where we are.
	prepare func(ctx context.Context) error
}

const byLibrary = "package `dimse`"

func (l *lab) askChecks(p pacs) []check {
	row := func(name string, run func(ctx context.Context, p pacs, o object) (string, error)) check {
		return check{queryOut, name, p.name, func(ctx context.Context) (string, error) {
			o, err := l.object(syntaxes[1], p.name, queryOut, name)
			if err != nil {
				return "", err
			}
			if _, err := l.call(ctx, l.program("edged"), "send", "--to", p.title+"@127.0.0.1:"+p.port, o.path); err != nil {
				return "", err
			}
			if p.prepare != nil {
				if err := p.prepare(ctx); err != nil {
					return "", err
				}
			}
			return run(ctx, p, o)
		}}
	}
	return []check{
		row("C-FIND, Study Root", l.findThere), row("C-GET, Study Root", l.getFromThere), row("C-MOVE, Study Root, to `edged`", l.moveFromThere),
		row("`edged backfill` by C-MOVE", l.backfill("move")), row("`edged backfill` by C-GET", l.backfill("get")),
	}
}

// Tags of an identifier.
const (
	tagLevel dataset.Tag = 0x00080052
	tagStudy dataset.Tag = 0x0020000D
	tagName  dataset.Tag = 0x00100010
)

func identifier(o object) (dimse.DataSet, error) {
	var s dataset.Set
	s.Set(tagLevel, "CS", "STUDY")
	s.Set(tagStudy, "UI", o.study)
	s.Set(tagName, "PN", "")
	b, err := s.Append(nil, dimse.ExplicitVRLE)
	return dimse.DataSet{TransferSyntaxUID: dimse.ExplicitVRLE, Bytes: b}, err
}

// query opens an association for a model, and asks.
func (l *lab) query(ctx context.Context, p pacs, o object, model string, more []dimse.Proposal, roles []dimse.Role, ask func(c *dimse.Client, q dimse.Query) error) error {
	cfg := l.dial(p.title, p.port)
	cfg.Contexts = append([]dimse.Proposal{{AbstractSyntax: model, TransferSyntaxes: []string{dimse.ExplicitVRLE}}}, more...)
	cfg.Roles = roles
	c, err := dimse.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	if !c.Accepts(dimse.Need{SOPClassUID: model, TransferSyntaxUID: dimse.ExplicitVRLE}) {
		return errors.Join(unable("it does not accept the SOP class "+model), c.Release(ctx))
	}
	id, err := identifier(o)
	if err == nil {
		err = ask(c, dimse.Query{SOPClassUID: model, Identifier: id, Destination: ourTitle})
	}
	return errors.Join(err, c.Release(ctx))
}

func (l *lab) findThere(ctx context.Context, p pacs, o object) (string, error) {
	return byLibrary, l.query(ctx, p, o, dimse.StudyRootFind, nil, nil, func(c *dimse.Client, q dimse.Query) error {
		matches := 0
		r, err := c.Find(ctx, q, func(d dimse.DataSet) error {
			matches++
			s, err := dataset.Parse(d.Bytes, d.TransferSyntaxUID)
			if err == nil && s.UID(tagStudy) != o.study {
				err = fmt.Errorf("a match for study %q", s.UID(tagStudy))
			}
			return err
		})
		if err == nil && (matches != 1 || r.Status != dimse.StatusSuccess) {
			err = fmt.Errorf("%d matches, status %v", matches, r.Status)
		}
		return err
	})
}

func (l *lab) getFromThere(ctx context.Context, p pacs, o object) (string, error) {
	storage := []dimse.Proposal{{AbstractSyntax: o.SOPClass, TransferSyntaxes: []string{o.TransferSyntax}}}
	roles := []dimse.Role{{SOPClassUID: o.SOPClass, SCP: true}}
	return byLibrary, l.query(ctx, p, o, dimse.StudyRootGet, storage, roles, func(c *dimse.Client, q dimse.Query) error {
		var got []byte
		r, err := c.Get(ctx, q, func(_ context.Context, _ dimse.StoreRequest, data io.Reader) dimse.Status {
			got, _ = io.ReadAll(data) // what was cut is not the same
			return dimse.StatusSuccess
		}, nil)
		if err == nil && r.Status != dimse.StatusSuccess {
			err = fmt.Errorf("status %v", r.Status)
		}
		return errors.Join(err, same(got, o.data))
	})
}

func (l *lab) moveFromThere(ctx context.Context, p pacs, o object) (string, error) {
	err := l.query(ctx, p, o, dimse.StudyRootMove, nil, nil, func(c *dimse.Client, q dimse.Query) error {
		r, err := c.Move(ctx, q, nil)
		if err == nil && (r.Status != dimse.StatusSuccess || r.Completed != 1) {
			err = fmt.Errorf("status %v, %d completed", r.Status, r.Completed)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return byLibrary, l.here(ctx, o)
}

// here compares an object with what the spool has of it.
func (l *lab) here(ctx context.Context, o object) error {
	names, data, err := l.export(ctx, o.SOPInstance)
	if err != nil {
		return err
	}
	if names != o.Names {
		return fmt.Errorf("kept as %v", names)
	}
	return same(data, o.data)
}

func (l *lab) backfill(method string) func(ctx context.Context, p pacs, o object) (string, error) {
	return func(ctx context.Context, p pacs, o object) (string, error) {
		_, err := l.call(ctx, l.program("edged"), "backfill", "-c", l.edged.config, "--from", p.title+"@127.0.0.1:"+p.port, "--calling", ourTitle,
			"--study-date", "20260101-20261231", "--patient-id", o.patient, "--method", method, "--as", "DCMTK", "--retry", "1s")
		if err != nil {
			return "", err
		}
		return "", l.here(ctx, o)
	}
}

// dcmqrscp starts DCMTK's archive.
func (l *lab) dcmqrscp(ctx context.Context) (p pacs, stop func(), err error) {
	dir, err := l.folder("dcmqrscp")
	if err != nil {
		return p, nil, err
	}
	port, err := freePort()
	if err != nil {
		return p, nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "NetworkTCPPort = %s\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nedged = (%s, 127.0.0.1, %s)\nHostTable END\n", port, ourTitle, l.edged.port)
	fmt.Fprintf(&b, "VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nDCMTK %s RW (200, 1024mb) ANY\nAETable END\n", dir)
	config := filepath.Join(dir, "dcmqrscp.cfg")
	if err := os.WriteFile(config, b.Bytes(), 0o600); err != nil {
		return p, nil, err
	}
	run, err := l.start(ctx, "dcmqrscp", "dcmqrscp", "-c", config)
	if err != nil {
		return p, nil, err
	}
	return pacs{name: "DCMTK dcmqrscp", title: "DCMTK", port: port}, run.stop, run.listens(ctx, port)
}

// qrscp starts pynetdicom's archive.
func (p pyScript) qrscp(ctx context.Context) (archive pacs, stop func(), err error) {
	dir, err := p.l.folder("qrscp")
	if err != nil {
		return archive, nil, err
	}
	port, err := freePort()
	if err != nil {
		return archive, nil, err
	}
	config := filepath.Join(dir, "qrscp.ini")
	text := fmt.Sprintf("[DEFAULT]\nae_title: PYNETDICOM\nport: %s\nmax_pdu: 16382\nacse_timeout: 30\ndimse_timeout: 30\nnetwork_timeout: 30\nbind_address: 127.0.0.1\ninstance_location: %s/instances\ndatabase_location: %s/instances.sqlite\nlog_identifier: False\n\n[%s]\naddress: 127.0.0.1\nport: %s\n",
		port, dir, dir, ourTitle, p.l.edged.port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return archive, nil, err
	}
	run, err := p.l.start(ctx, "qrscp", p.python(), "-m", "pynetdicom", "qrscp", "-c", config)
	if err != nil {
		return archive, nil, err
	}
	return pacs{name: "pynetdicom qrscp", title: "PYNETDICOM", port: port}, run.stop, run.listens(ctx, port)
}
