package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edged/internal/dicom"
)

// appliance is an edged that lists every peer as a device.
type appliance struct {
	*process
	config, port, tlsPort, page string
	ports                       map[string]string // where a device listens, by AE title
}

// ourTitle is what peers call.
const ourTitle = "EDGED"

// The devices that come by TLS.
const (
	tlsServer = "TLSSERVER" // without a certificate
	tlsMutual = "TLSMUTUAL" // with one
)

func (l *lab) startAppliance(ctx context.Context) error {
	dir, err := l.folder("edged")
	if err != nil {
		return err
	}
	a := &appliance{config: filepath.Join(dir, "edged.yaml"), ports: map[string]string{}}
	for _, p := range []*string{&a.port, &a.tlsPort, &a.page} {
		if *p, err = freePort(); err != nil {
			return err
		}
	}
	text, err := a.text(dir, l.tls)
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.config, []byte(text), 0o600); err != nil {
		return err
	}
	if a.process, err = l.start(ctx, "edged", l.program("edged"), "run", "-c", a.config); err != nil {
		return err
	}
	l.edged = a
	return a.ready(ctx)
}

// ready waits until it takes images: its ports open before its spool does, and until then
// every association is answered with temporary congestion.
func (a *appliance) ready(ctx context.Context) error {
	err := await(ctx, time.Minute, "edged to be ready", func() bool {
		var s struct{ DICOM struct{ Ready bool } }
		err := fetch(ctx, http.MethodGet, "http://127.0.0.1:"+a.page+"/api/v1/status", nil, &s)
		return err == nil && s.DICOM.Ready
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, a.said())
	}
	return nil
}

// text is edged.yaml: storage commitment is answered from the spool, because there
// is no archive behind this appliance.
func (a *appliance) text(dir string, tls certificates) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "data_dir: %s\nspool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}\npage: {listen: \"127.0.0.1:%s\"}\nlog: {level: debug}\n", filepath.Join(dir, "data"), a.page)
	fmt.Fprintf(&b, "dicom:\n  listen: \"127.0.0.1:%s\"\n  tls: {listen: \"127.0.0.1:%s\", cert: %s, key: %s, client_ca: %s}\n  devices:\n", a.port, a.tlsPort, tls.serverCert, tls.serverKey, tls.ca)
	for _, p := range peers {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		a.ports[p.title] = port
		fmt.Fprintf(&b, "    - {ae_title: %s, address: 127.0.0.1, port: %s, services: [store, query, move, get], commitment: received}\n", p.title, port)
	}
	fmt.Fprintf(&b, "    - {ae_title: %s, tls: server}\n    - {ae_title: %s, tls: mutual}\n", tlsServer, tlsMutual)
	return b.String(), nil
}

func (a *appliance) address() string { return "127.0.0.1:" + a.port }

// find gives the ID of the one object of a SOP instance.
func (l *lab) find(ctx context.Context, uid string) (id string, err error) {
	said, err := l.call(ctx, l.program("edged"), "spool", "ls", "--json", "-c", l.edged.config)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(said) {
		var o struct {
			ID  string `json:"id"`
			UID string `json:"sop_instance_uid"`
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			return "", fmt.Errorf("spool ls: %w: %.200s", err, line)
		}
		if o.UID != uid {
			continue
		}
		if id != "" {
			return "", fmt.Errorf("there are two objects of instance %s", uid)
		}
		id = o.ID
	}
	if id == "" {
		return "", fmt.Errorf("the spool does not have instance %s", uid)
	}
	return id, nil
}

// export reads an instance back out of the spool.
func (l *lab) export(ctx context.Context, uid string) (dicom.Names, []byte, error) {
	id, err := l.find(ctx, uid)
	if err != nil {
		return dicom.Names{}, nil, err
	}
	dir := filepath.Join(os.TempDir(), filepath.Base(l.dir)+"-"+id[:8])
	defer os.RemoveAll(dir)
	if _, err := l.call(ctx, l.program("edged"), "spool", "export", "-c", l.edged.config, dir, id); err != nil {
		return dicom.Names{}, nil, err
	}
	return readFile(filepath.Join(dir, id+".dcm"))
}

// readFile reads a DICOM file: the names and the data set.
func readFile(path string) (dicom.Names, []byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return dicom.Names{}, nil, err
	}
	return readPart10(b)
}

func readPart10(b []byte) (dicom.Names, []byte, error) {
	names, size, err := dicom.ReadPreface(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return names, nil, err
	}
	return names, b[size:], nil
}

// same compares what arrived with what was sent.
func same(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Errorf("%d bytes arrived, %d were sent; they differ from byte %d on", len(got), len(want), at)
}

// settle waits for what happens in another process.
func settle(ctx context.Context, what string, ok func() error) (err error) {
	if timeout := await(ctx, 30*time.Second, what, func() bool { err = ok(); return err == nil }); timeout != nil {
		return fmt.Errorf("%w: %w", timeout, err)
	}
	return nil
}
