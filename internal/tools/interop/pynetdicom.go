package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

var pynetdicom = &peer{name: "pynetdicom", title: "PYNETDICOM", from: "PyPI: pynetdicom",
	ready: func(ctx context.Context, l *lab) (string, error) {
		p := pyScript{l: l}
		if err := p.fetch(ctx); err != nil {
			return "", err
		}
		return versionIn(ctx, l, `(\d\S*)`, p.python(), "-c", "import pynetdicom; print(pynetdicom.__version__)")
	},
	checks: pynetdicomChecks,
}

// pyScript calls pynetdicom's applications and our script for the rest.
type pyScript struct {
	l    *lab
	path string
}

func (p pyScript) python() string { return filepath.Join(p.l.cache, "pynetdicom", "bin", "python") }

// fetch makes a virtual environment with pynetdicom in it.
func (p pyScript) fetch(ctx context.Context) error {
	if _, err := p.l.call(ctx, p.python(), "-c", "import pynetdicom"); err == nil {
		return nil
	}
	if !p.l.install {
		return errNotInstalled
	}
	if _, err := exec.LookPath("python3"); err != nil {
		return fmt.Errorf("python3: %w", errNotInstalled)
	}
	if _, err := p.l.call(ctx, "python3", "-m", "venv", filepath.Join(p.l.cache, "pynetdicom")); err != nil {
		return fmt.Errorf("python3 makes no virtual environment here")
	}
	if _, err := p.l.call(ctx, p.python(), "-m", "pip", "install", "-q", "pynetdicom", "sqlalchemy"); err != nil {
		return fmt.Errorf("PyPI gave no pynetdicom")
	}
	return nil
}

func (p pyScript) run(ctx context.Context, args ...string) (string, error) {
	return p.l.call(ctx, p.python(), append([]string{p.path}, args...)...)
}

func (p pyScript) app(ctx context.Context, name string, args ...string) (string, error) {
	return p.l.call(ctx, p.python(), append([]string{"-m", "pynetdicom", name, "-aet", "PYNETDICOM", "-aec", ourTitle}, args...)...)
}

func pynetdicomChecks(ctx context.Context, l *lab) (all []check, stop func(), err error) {
	p := pyScript{l: l}
	if p.path, err = l.script("pynetdicom_peer.py"); err != nil {
		return nil, nil, err
	}
	served, err := p.serve(ctx)
	if err != nil {
		return nil, nil, err
	}
	qr, stopQR, err := p.qrscp(ctx)
	if err != nil {
		return nil, nil, err
	}
	all = p.echoes()
	all = append(all, l.storeChecks(sender{"pynetdicom", func(ctx context.Context, port string, o object) error {
		_, err := p.run(ctx, "store", "127.0.0.1", port, "PYNETDICOM", o.path)
		return err
	}})...)
	all = append(all, l.commitChecks(committer{"pynetdicom", "PYNETDICOM", true, true, func(ctx context.Context, listen string, refs ...string) (string, error) {
		return p.run(ctx, append([]string{"commit", "127.0.0.1", l.edged.port, "PYNETDICOM", listen}, refs...)...)
	}})...)
	all = append(all, check{stepIn, rowStep, "pynetdicom", func(ctx context.Context) (string, error) {
		_, err := p.run(ctx, "step", "127.0.0.1", l.edged.port, "PYNETDICOM")
		return "", err
	}})
	all = append(all, l.queryChecks(p.querier())...)
	all = append(all, l.echoOut("pynetdicom", served.title, served.port))
	all = append(all, l.receiveChecks(served.receiver)...)
	all = append(all,
		check{commitOut, rowCommitSame, "pynetdicom", func(ctx context.Context) (string, error) {
			return byLibrary, l.askCommitment(ctx, served.title, served.port, rowCommitSame, onSame)
		}},
		check{stepOut, rowStepOut, "pynetdicom", func(ctx context.Context) (string, error) {
			return byLibrary, l.reportStep(ctx, served.title, served.port)
		}})
	all = append(all, l.askChecks(qr)...)
	return all, func() { served.stop(); stopQR() }, nil
}

func (p pyScript) echoes() []check {
	echo := func(title string, more ...string) func(ctx context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			_, err := p.run(ctx, append([]string{"echo", "127.0.0.1", p.l.edged.tlsPort, title, p.l.tls.ca}, more...)...)
			return "", err
		}
	}
	return []check{
		{echoIn, rowEcho, "pynetdicom", func(ctx context.Context) (string, error) {
			_, err := p.app(ctx, "echoscu", "127.0.0.1", p.l.edged.port)
			return "", err
		}},
		{echoIn, rowTLS, "pynetdicom", echo(tlsServer)},
		{echoIn, rowMutual, "pynetdicom", echo(tlsMutual, p.l.tls.clientCert, p.l.tls.clientKey)},
		{echoIn, rowNoCert, "pynetdicom", refused(echo(tlsMutual))},
	}
}

// serve starts the script as an SCP.
func (p pyScript) serve(ctx context.Context) (*archive, error) {
	dir, err := p.l.folder("pynetdicom")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	run, err := p.l.start(ctx, "pynetdicom", p.python(), p.path, "serve", port, "PYNETSCP", dir)
	if err != nil {
		return nil, err
	}
	return &archive{receiver{"pynetdicom", "PYNETSCP", port, fileIn(dir), false}, run.stop}, run.listens(ctx, port)
}

// querier asks with the applications.
func (p pyScript) querier() querier {
	ask := func(app string, more ...string) func(ctx context.Context, port string, q question) error {
		return func(ctx context.Context, port string, q question) error {
			dir, err := p.l.folder(app)
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			args := []string{"-S"}
			if q.patientRoot {
				args[0] = "-P"
			}
			for _, k := range q.keys {
				args = append(args, "-k", k)
			}
			if app == "movescu" {
				args = append(args, "-aem", q.destination, "--store", "--store-port", q.listen, "--store-aet", "PYNETDICOM", "-od", dir)
			}
			if app == "getscu" {
				args = append(args, "-od", dir)
			}
			_, err = p.app(ctx, app, append(append(args, more...), "127.0.0.1", port)...)
			return err
		}
	}
	return querier{name: "pynetdicom", title: "PYNETDICOM", own: true, find: ask("findscu"), move: ask("movescu"), get: ask("getscu")}
}
