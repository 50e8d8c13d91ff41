package main

import (
	"context"
	"errors"

	"edged/dimse"
	"edged/internal/dicom"
)

// The rows of verification.
const (
	rowEcho     = "C-ECHO"
	rowTLS      = "TLS, no client certificate"
	rowMutual   = "TLS, client certificate"
	rowStoreTLS = "C-STORE by TLS, client certificate, read back and compared with the file"
	rowNoCert   = "refused: a device that must show a certificate, without one"
	rowNotPlain = "refused: a device that must come by TLS, by the plain port"
)

// refused turns a check round.
func refused(run func(ctx context.Context) (string, error)) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if _, err := run(ctx); err != nil {
			return "", ctx.Err()
		}
		return "", errors.New("it was let in")
	}
}

// echoOut calls a peer with `edged echo`.
func (l *lab) echoOut(column, title, port string) check {
	return check{echoOut, rowEcho, column, func(ctx context.Context) (string, error) {
		_, err := l.call(ctx, l.program("edged"), "echo", "--to", title+"@127.0.0.1:"+port)
		return "", err
	}}
}

// echoOutTLS calls a peer by TLS with `edged echo`, with our certificate or without.
func (l *lab) echoOutTLS(column, title, port string, certificate bool) check {
	row := rowTLS
	if certificate {
		row = rowMutual
	}
	return check{echoOut, row, column, func(ctx context.Context) (string, error) {
		_, err := l.call(ctx, l.program("edged"), append([]string{"echo", "--to", title + "@127.0.0.1:" + port}, l.clientTLS(certificate)...)...)
		return "", err
	}}
}

// storeOutTLS sends an object by TLS with `edged send`. There is no recorder: what
// the peer keeps is compared with the file.
func (l *lab) storeOutTLS(r receiver) check {
	return check{echoOut, rowStoreTLS, r.name, func(ctx context.Context) (string, error) {
		o, err := l.object(syntaxes[1], r.name, rowStoreTLS)
		if err != nil {
			return "", err
		}
		args := append([]string{"send", "--to", r.title + "@127.0.0.1:" + r.port}, l.clientTLS(true)...)
		if _, err := l.call(ctx, l.program("edged"), append(args, o.path)...); err != nil {
			return "", err
		}
		return l.kept(ctx, r, o)
	}}
}

// storeInTLS is the other way round.
func (l *lab) storeInTLS(column string, send func(ctx context.Context, o object) error) check {
	return check{echoIn, rowStoreTLS, column, func(ctx context.Context) (string, error) {
		o, err := l.object(syntaxes[1], column, rowStoreTLS)
		if err != nil {
			return "", err
		}
		if err := send(ctx, o); err != nil {
			return "", err
		}
		return "", l.here(ctx, o)
	}}
}

func (l *lab) clientTLS(certificate bool) []string {
	args := []string{"--tls", "--tls-ca", l.tls.ca}
	if certificate {
		args = append(args, "--tls-cert", l.tls.clientCert, "--tls-key", l.tls.clientKey)
	}
	return args
}

// dial is how package dimse calls a peer.
func (l *lab) dial(title, port string) dimse.ClientConfig {
	return dimse.ClientConfig{Address: "127.0.0.1:" + port, Called: title, Calling: ourTitle,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName}
}
