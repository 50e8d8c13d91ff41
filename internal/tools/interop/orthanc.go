package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

var orthanc = &peer{name: "Orthanc", title: "ORTHANC", from: "Debian: orthanc", required: true,
	ready: func(ctx context.Context, l *lab) (string, error) {
		if err := debian(ctx, l, "Orthanc", "orthanc"); err != nil {
			return "", err
		}
		return versionIn(ctx, l, `Orthanc (\d\S+)`, "Orthanc", "--version")
	},
	checks: orthancChecks,
}

// server is an Orthanc that runs.
type server struct {
	*process
	title, port, page string
}

func orthancChecks(ctx context.Context, l *lab) (all []check, stop func(), err error) {
	o, err := l.startOrthanc(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	secure, err := l.startOrthanc(ctx, true)
	if err != nil {
		return nil, nil, err
	}
	all = []check{
		{echoIn, rowEcho, "Orthanc", o.echo(l.edged.port, "ORTHANC", false)},
		{echoIn, rowMutual, "Orthanc", o.echo(l.edged.tlsPort, tlsMutual, true)},
		l.storeInTLS("Orthanc", func(ctx context.Context, sent object) error {
			return o.storeAt(ctx, l.edged.tlsPort, tlsMutual, true, sent)
		}),
		l.echoOut("Orthanc", o.title, o.port),
		l.echoOutTLS("Orthanc", secure.title, secure.port, true),
		l.storeOutTLS(receiver{"Orthanc", secure.title, secure.port, secure.file, false}),
	}
	all = append(all, l.storeChecks(sender{"Orthanc", o.store})...)
	all = append(all, l.commitChecks(committer{"Orthanc", "ORTHANC", false, true, func(ctx context.Context, listen string, refs ...string) (string, error) {
		return o.commit(ctx, l, refs)
	}})...)
	all = append(all, l.queryChecks(o.querier())...)
	all = append(all, l.receiveChecks(receiver{"Orthanc", o.title, o.port, o.file, false})...)
	all = append(all, l.askChecks(pacs{"Orthanc", o.title, o.port, func(ctx context.Context) error { return o.point(ctx, l.edged.port, o.title, false) }})...)
	all = append(all, check{commitOut, rowCommitNew, "Orthanc", func(ctx context.Context) (string, error) { return byLibrary, o.committed(ctx, l) }})
	return all, func() { o.stop(); secure.stop() }, nil
}

func (l *lab) startOrthanc(ctx context.Context, tls bool) (*server, error) {
	dir, err := l.folder("orthanc")
	if err != nil {
		return nil, err
	}
	s := &server{title: "ORTHANC"}
	for _, p := range []*string{&s.port, &s.page} {
		if *p, err = freePort(); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(config, s.config(l, dir, tls), 0o600); err != nil {
		return nil, err
	}
	if s.process, err = l.start(ctx, "orthanc", "Orthanc", config); err != nil {
		return nil, err
	}
	if err := s.listens(ctx, s.page); err != nil {
		return nil, err
	}
	return s, s.listens(ctx, s.port)
}

func (s *server) config(l *lab, dir string, tls bool) []byte {
	b, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"StorageDirectory": dir, "IndexDirectory": dir, "Plugins": []string{}, "DicomAet": s.title,
		"DicomPort": json.Number(s.port), "HttpPort": json.Number(s.page), "RemoteAccessAllowed": false,
		"UnknownSopClassAccepted": true, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true,
		"DicomAlwaysAllowMove": true, "DicomCheckModalityHost": false, "DicomTlsEnabled": tls, "TranscodeDicomProtocol": false,
		"DicomTlsCertificate": l.tls.serverCert, "DicomTlsPrivateKey": l.tls.serverKey, "DicomTlsTrustedCertificates": l.tls.ca,
		"DicomModalities":          map[string]any{"edged": s.modality(l.edged.port, s.title, false)},
		"AcceptedTransferSyntaxes": []string{"1.*", "2.*"},
	})
	return b
}

// modality is how Orthanc knows us.
func (s *server) modality(port, local string, tls bool) map[string]any {
	return map[string]any{"AET": ourTitle, "Host": "127.0.0.1", "Port": json.Number(port), "LocalAet": local, "UseDicomTls": tls,
		"AllowEcho": true, "AllowFind": true, "AllowGet": true, "AllowMove": true, "AllowStore": true,
		"AllowStorageCommitment": true, "AllowTranscoding": false, "Timeout": 30}
}

func (s *server) url(path string) string { return "http://127.0.0.1:" + s.page + path }

// point tells Orthanc where we are.
func (s *server) point(ctx context.Context, port, local string, tls bool) error {
	return fetch(ctx, http.MethodPut, s.url("/modalities/edged"), s.modality(port, local, tls), nil)
}

func (s *server) echo(port, local string, tls bool) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if err := s.point(ctx, port, local, tls); err != nil {
			return "", err
		}
		return "", fetch(ctx, http.MethodPost, s.url("/modalities/edged/echo"), map[string]any{}, nil)
	}
}

// upload puts a file into Orthanc and gives its identifier there.
func (s *server) upload(ctx context.Context, o object) (string, error) {
	b, err := os.ReadFile(o.path)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url("/instances"), bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(rq)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var made struct{ ID string }
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || made.ID == "" {
		return "", fmt.Errorf("no such file is taken by Orthanc: %s", answer.Status)
	}
	return made.ID, nil
}

func (s *server) store(ctx context.Context, port string, o object) error {
	return s.storeAt(ctx, port, s.title, false, o)
}

func (s *server) storeAt(ctx context.Context, port, local string, tls bool, o object) error {
	id, err := s.upload(ctx, o)
	if err != nil {
		return err
	}
	if err := s.point(ctx, port, local, tls); err != nil {
		return err
	}
	return fetch(ctx, http.MethodPost, s.url("/modalities/edged/store"), map[string]any{"Resources": []string{id}, "Timeout": 30}, nil)
}

// file reads what Orthanc keeps.
func (s *server) file(ctx context.Context, uid string) (b []byte, err error) {
	var found []struct{ ID string }
	if err := fetch(ctx, http.MethodPost, s.url("/tools/find"), map[string]any{"Level": "Instance", "Query": map[string]string{"SOPInstanceUID": uid}, "Expand": true}, &found); err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("the instance is %d times in Orthanc", len(found))
	}
	err = fetch(ctx, http.MethodGet, s.url("/instances/"+found[0].ID+"/file"), nil, &b)
	return b, err
}
