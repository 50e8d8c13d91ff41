package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"edged/dimse"
	"edged/internal/dicom"
)

// The rows of verification.
const (
	rowEcho     = "C-ECHO"
	rowTLS      = "TLS, no client certificate"
	rowMutual   = "TLS, client certificate"
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

// echoOutTLS calls a peer by TLS with package dimse.
func (l *lab) echoOutTLS(column, title, port string, certificate bool) check {
	row := rowTLS
	if certificate {
		row = rowMutual
	}
	return check{echoOut, row, column, func(ctx context.Context) (string, error) {
		config, err := l.clientTLS(certificate)
		if err != nil {
			return "", err
		}
		return "package `dimse`", l.echoWith(ctx, l.dial(title, port, config))
	}}
}

func (l *lab) dial(title, port string, config *tls.Config) dimse.ClientConfig {
	return dimse.ClientConfig{Address: "127.0.0.1:" + port, Called: title, Calling: ourTitle, TLS: config,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName}
}

func (l *lab) echoWith(ctx context.Context, cfg dimse.ClientConfig) error {
	c, err := dimse.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	r, err := c.Echo(ctx)
	if err == nil && r.Status != dimse.StatusSuccess {
		err = fmt.Errorf("status %v", r.Status)
	}
	return errors.Join(err, c.Release(ctx))
}

func (l *lab) clientTLS(certificate bool) (*tls.Config, error) {
	pem, err := os.ReadFile(l.tls.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if certificate {
		pair, err := tls.LoadX509KeyPair(l.tls.clientCert, l.tls.clientKey)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
