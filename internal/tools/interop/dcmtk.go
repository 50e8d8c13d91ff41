package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

var dcmtk = &peer{name: "DCMTK", title: "DCMTK", from: "Debian: dcmtk", required: true,
	ready: func(ctx context.Context, l *lab) (string, error) {
		if err := debian(ctx, l, "storescu", "dcmtk"); err != nil {
			return "", err
		}
		return versionIn(ctx, l, `dcmtk: storescu v(\S+)`, "storescu", "--version")
	},
	checks: dcmtkChecks,
}

func dcmtkChecks(ctx context.Context, l *lab) (all []check, stop func(), err error) {
	all = append(all, dcmtkEcho(l)...)
	all = append(all, l.storeInTLS("DCMTK storescu", func(ctx context.Context, o object) error {
		_, err := l.call(ctx, "storescu", "-xe", "+tls", l.tls.clientKey, l.tls.clientCert, "+cf", l.tls.ca, "-aet", tlsMutual, "-aec", ourTitle, "127.0.0.1", l.edged.tlsPort, o.path)
		return err
	}))
	all = append(all, l.storeChecks(sender{"DCMTK storescu", func(ctx context.Context, port string, o object) error {
		args := []string{"-aet", "DCMTK", "-aec", ourTitle, "127.0.0.1", port, o.path}
		if o.syntax.storescu != "" {
			args = append([]string{o.syntax.storescu}, args...)
		}
		_, err := l.call(ctx, "storescu", args...)
		return err
	}})...)
	all = append(all, l.storeChecks(sender{"DCMTK dcmsend", func(ctx context.Context, port string, o object) error {
		_, err := l.call(ctx, "dcmsend", "-dn", "-aet", "DCMTK", "-aec", ourTitle, "127.0.0.1", port, o.path)
		return err
	}})...)
	all = append(all, l.queryChecks(l.dcmtkQuerier())...)
	archive, err := l.storescp(ctx, "DCMTK storescp", "+xa", "--promiscuous")
	if err != nil {
		return nil, nil, err
	}
	secure, err := l.storescp(ctx, "DCMTK storescp", "+tls", l.tls.serverKey, l.tls.serverCert, "+cf", l.tls.ca)
	if err != nil {
		return nil, nil, err
	}
	qr, stopQR, err := l.dcmqrscp(ctx)
	if err != nil {
		return nil, nil, err
	}
	all = append(all, l.echoOut(qr.name, qr.title, qr.port))
	all = append(all, l.askChecks(qr)...)
	lax, err := l.storescp(ctx, "DCMTK storescp", "+tls", l.tls.serverKey, l.tls.serverCert, "+cf", l.tls.ca, "--ignore-peer-cert")
	if err != nil {
		return nil, nil, err
	}
	all = append(all, l.echoOut(archive.name, archive.title, archive.port), l.echoOutTLS(lax.name, lax.title, lax.port, false),
		l.echoOutTLS(secure.name, secure.title, secure.port, true), l.storeOutTLS(secure.receiver))
	all = append(all, l.receiveChecks(archive.receiver)...)
	return all, func() { archive.stop(); secure.stop(); lax.stop(); stopQR() }, nil
}

// dcmtkEcho is echoscu on the plain port, and on the TLS port as a device that
// needs no certificate, as one that does and has it, and as one that lacks it.
func dcmtkEcho(l *lab) (all []check) {
	echo := func(title, port string, options ...string) func(ctx context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			_, err := l.call(ctx, "echoscu", append(options, "-aet", title, "-aec", ourTitle, "127.0.0.1", port)...)
			return "", err
		}
	}
	withCert := []string{"+tls", l.tls.clientKey, l.tls.clientCert, "+cf", l.tls.ca}
	without := []string{"+tla", "+cf", l.tls.ca}
	tls := l.edged.tlsPort
	return []check{
		{echoIn, rowEcho, "DCMTK echoscu", echo("DCMTK", l.edged.port, "--propose-pc", "128", "--propose-ts", "3")},
		{echoIn, rowTLS, "DCMTK echoscu", echo(tlsServer, tls, without...)},
		{echoIn, rowMutual, "DCMTK echoscu", echo(tlsMutual, tls, withCert...)},
		{echoIn, rowNoCert, "DCMTK echoscu", refused(echo(tlsMutual, tls, without...))},
		{echoIn, rowNotPlain, "DCMTK echoscu", refused(echo(tlsServer, l.edged.port))},
	}
}

// archive is a storescp that runs.
type archive struct {
	receiver
	stop func()
}

func (l *lab) storescp(ctx context.Context, name string, options ...string) (*archive, error) {
	dir, err := l.folder("storescp")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := l.start(ctx, "storescp", "storescp", append(options, "--bit-preserving", "-od", dir, port)...)
	if err != nil {
		return nil, err
	}
	return &archive{receiver{name, "STORESCP", port, fileIn(dir), false}, p.stop}, p.listens(ctx, port)
}

// fileIn finds the file of an instance, whose name has its UID, in a folder.
func fileIn(dir string) func(ctx context.Context, uid string) ([]byte, error) {
	return func(ctx context.Context, uid string) (b []byte, err error) {
		err = settle(ctx, "the file of the instance", func() error {
			path, err := findIn(dir, uid)
			if err == nil {
				b, err = os.ReadFile(path)
			}
			return err
		})
		return b, err
	}
}

func findIn(dir, uid string) (found string, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), uid) {
			found = path
		}
		return err
	})
	if err == nil && found == "" {
		err = os.ErrNotExist
	}
	return found, err
}

// dcmtkQuerier is findscu, movescu and getscu.
func (l *lab) dcmtkQuerier() querier {
	ask := func(program string) func(ctx context.Context, port string, q question) error {
		return func(ctx context.Context, port string, q question) error {
			dir, err := l.folder(program)
			if err != nil {
				return err
			}
			args := []string{"-S"}
			if q.patientRoot {
				args[0] = "-P"
			}
			switch program {
			case "movescu":
				args = append(args, "-aem", q.destination, "+P", q.listen, "-od", dir)
			case "getscu":
				args = append(args, "-od", dir)
				if q.syntax != explicitLE {
					args = append(args, "+xy")
				}
			}
			args = append(args, keyed("-k", q.keys)...)
			_, err = l.call(ctx, program, append(args, "-aet", "DCMTK", "-aec", ourTitle, "127.0.0.1", port)...)
			return err
		}
	}
	return querier{name: "DCMTK findscu, movescu, getscu", title: "DCMTK", own: true, find: ask("findscu"), move: ask("movescu"), get: ask("getscu")}
}
