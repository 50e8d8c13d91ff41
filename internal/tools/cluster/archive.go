package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"sync"

	"edged/dimse"
	"edged/internal/dicom"
)

// archive is a Storage SCP that remembers the digest of every data set it ever got.
type archive struct {
	address string
	server  *dimse.Server
	ended   chan error

	mu      sync.Mutex // guards what follows
	has     map[string][sha256.Size]byte
	times   map[string]int
	other   int // other contents under a UID that was there
	repeats int // the same contents again
}

func newArchive() (a *archive, err error) {
	a = &archive{has: map[string][sha256.Size]byte{}, times: map[string]int{}, ended: make(chan error, 1)}
	a.server, err = dimse.NewServer(dimse.ServerConfig{Handler: a, ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a.address = l.Addr().String()
	go func() { a.ended <- a.server.Serve(l) }()
	return a, nil
}

// Echo implements dimse.Handler.
func (*archive) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

// Store implements dimse.Handler.
func (a *archive) Store(_ context.Context, _ *dimse.Association, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	h := sha256.New()
	if _, err := io.Copy(h, data); err != nil {
		return dimse.StatusProcessingFailure
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	got := [sha256.Size]byte(h.Sum(nil))
	a.times[rq.SOPInstanceUID]++
	switch old, again := a.has[rq.SOPInstanceUID]; {
	case !again:
		a.has[rq.SOPInstanceUID] = got
	case old == got:
		a.repeats++
	default:
		a.other++
	}
	return dimse.StatusSuccess
}

func (a *archive) close() error {
	a.server.Close()
	if err := <-a.ended; !errors.Is(err, dimse.ErrServerClosed) {
		return err
	}
	return nil
}
