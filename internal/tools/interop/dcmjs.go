package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

var dcmjs = &peer{name: "dcmjs-dimse", title: "DCMJS", from: "npm: dcmjs-dimse",
	ready: func(ctx context.Context, l *lab) (string, error) {
		if err := fetchDcmjs(ctx, l); err != nil {
			return "", err
		}
		return versionIn(ctx, l, `(\d\S*)`, "node", "-p", "require('"+filepath.Join(dcmjsModules(l), "dcmjs-dimse", "package.json")+"').version")
	},
	checks: dcmjsChecks,
}

func dcmjsModules(l *lab) string { return filepath.Join(l.cache, "dcmjs-dimse", "node_modules") }

func fetchDcmjs(ctx context.Context, l *lab) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s: %w", program, errNotInstalled)
		}
	}
	if _, err := l.call(ctx, "node", "-e", "require('"+filepath.Join(dcmjsModules(l), "dcmjs-dimse")+"')"); err == nil {
		return nil
	}
	if !l.install {
		return errNotInstalled
	}
	if _, err := l.call(ctx, "npm", "install", "--silent", "--prefix", filepath.Dir(dcmjsModules(l)), "dcmjs-dimse"); err != nil {
		return fmt.Errorf("npm gave no dcmjs-dimse")
	}
	return nil
}

// jsScript calls our script.
type jsScript struct {
	l    *lab
	path string
}

// env finds the modules beside nothing of ours.
func (j jsScript) args(args ...string) []string {
	return append([]string{"NODE_PATH=" + dcmjsModules(j.l), "node", j.path}, args...)
}

func (j jsScript) run(ctx context.Context, verb, port string, more ...string) (string, error) {
	return j.l.call(ctx, "env", j.args(append([]string{verb, "127.0.0.1", port, "DCMJS"}, more...)...)...)
}

func dcmjsChecks(ctx context.Context, l *lab) (all []check, stop func(), err error) {
	j := jsScript{l: l}
	if j.path, err = l.script("dcmjs_peer.cjs"); err != nil {
		return nil, nil, err
	}
	served, err := j.serve(ctx)
	if err != nil {
		return nil, nil, err
	}
	all = []check{
		{echoIn, rowEcho, "dcmjs-dimse", j.check("echo", l.edged.port)},
		{echoIn, rowMutual, "dcmjs-dimse", j.check("echo", l.edged.tlsPort, l.tls.ca, l.tls.clientCert, l.tls.clientKey)},
		{echoIn, rowNoCert, "dcmjs-dimse", refused(j.check("echo", l.edged.tlsPort, l.tls.ca))},
	}
	all = append(all, l.storeChecks(sender{"dcmjs-dimse", func(ctx context.Context, port string, o object) error {
		_, err := j.run(ctx, "store", port, o.path)
		return err
	}})...)
	all = append(all, l.commitChecks(committer{"dcmjs-dimse", "DCMJS", true, false, func(ctx context.Context, _ string, refs ...string) (string, error) {
		return j.run(ctx, "commit", l.edged.port, refs...)
	}})...)
	all = append(all, check{stepIn, rowStep, "dcmjs-dimse", j.check("step", l.edged.port)})
	all = append(all, l.queryChecks(j.querier())...)
	all = append(all, l.echoOut("dcmjs-dimse", served.title, served.port))
	all = append(all, l.receiveChecks(served.receiver)...)
	return all, served.stop, nil
}

func (j jsScript) check(verb, port string, more ...string) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		_, err := j.run(ctx, verb, port, more...)
		return "", err
	}
}

func (j jsScript) serve(ctx context.Context) (*archive, error) {
	dir, err := j.l.folder("dcmjs")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	run, err := j.l.start(ctx, "dcmjs", "env", j.args("serve", port, dir)...)
	if err != nil {
		return nil, err
	}
	return &archive{receiver{"dcmjs-dimse", "DCMJSSCP", port, fileIn(dir), true}, run.stop}, run.listens(ctx, port)
}

func (j jsScript) querier() querier {
	return querier{name: "dcmjs-dimse", title: "DCMJS",
		find: func(ctx context.Context, port string, q question) error {
			_, err := j.run(ctx, "find", port, append([]string{q.level}, q.keys...)...)
			return err
		},
		move: func(ctx context.Context, port string, q question) error {
			_, err := j.run(ctx, "move", port, q.destination, q.study)
			return err
		},
		get: func(ctx context.Context, port string, q question) error {
			_, err := j.run(ctx, "get", port, q.study)
			return err
		},
	}
}
