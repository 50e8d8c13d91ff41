package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
)

// Two children: a Storage SCP that reads every object to its end and keeps nothing,
// and a sender whose objects come from memory, so that neither a disk nor a digest
// is measured, only DIMSE. Each is a process of its own, so that its CPU time is
// known.
const (
	sinkVerb  = "dimse-sink"
	blastVerb = "dimse-blast"
)

// sinkHandler answers success to whatever came whole.
type sinkHandler struct{}

func (sinkHandler) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (sinkHandler) Store(_ context.Context, _ *dimse.Association, _ dimse.StoreRequest, data io.Reader) dimse.Status {
	if _, err := io.Copy(io.Discard, data); err != nil {
		return dimse.StatusProcessingFailure
	}
	return dimse.StatusSuccess
}

// sink is `dimse-sink ADDRESS`. It ends with its parent, by a signal.
func sink(args []string) error {
	if len(args) != 1 {
		return errors.New("want ADDRESS")
	}
	s, err := dimse.NewServer(dimse.ServerConfig{
		Handler: sinkHandler{}, ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// blastSpec is what is sent: so many objects of a size over each association.
type blastSpec struct{ objects, size, associations int }

const (
	blastClass  = "1.2.840.10008.5.1.4.1.1.2" // CT Image Storage
	blastSyntax = "1.2.840.10008.1.2.1"       // Explicit VR Little Endian
	blastLimit  = 5 * time.Minute
)

// blast is `dimse-blast ADDRESS AET OBJECTS SIZE ASSOCIATIONS`. It prints the
// seconds from the moment when all associations stand to the last answer.
func blast(args []string) error {
	if len(args) != 5 {
		return errors.New("want ADDRESS AET OBJECTS SIZE ASSOCIATIONS")
	}
	var n [3]int
	for i, a := range args[2:] {
		v, err := strconv.Atoi(a)
		if err != nil || v < 1 {
			return fmt.Errorf("%q is not a positive number", a)
		}
		n[i] = v
	}
	ctx, cancel := context.WithTimeout(context.Background(), blastLimit)
	defer cancel()
	took, err := blastSpec{n[0], n[1], n[2]}.send(ctx, args[0], args[1])
	if err == nil {
		fmt.Printf("%.6f\n", took.Seconds())
	}
	return err
}

func (b blastSpec) send(ctx context.Context, address, aet string) (time.Duration, error) {
	clients := make([]*dimse.Client, b.associations)
	for i := range clients {
		c, err := dimse.Dial(ctx, dimse.ClientConfig{
			Address: address, Called: aet, Calling: "BLAST",
			Contexts:               []dimse.Proposal{{AbstractSyntax: blastClass, TransferSyntaxes: []string{blastSyntax}}},
			ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
		})
		if err != nil {
			return 0, err
		}
		defer c.Release(ctx)
		clients[i] = c
	}
	errs, start := make([]error, len(clients)), time.Now()
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { errs[i] = b.overOne(ctx, c, i) })
	}
	all.Wait()
	return time.Since(start), errors.Join(errs...)
}

// overOne sends one association's share. The bytes are the same each time, so that
// the sender does not compute; the command names another instance.
func (b blastSpec) overOne(ctx context.Context, c *dimse.Client, association int) error {
	object := blastObject(fmt.Sprintf("2.25.%d", association+1), b.size)
	for i := range b.objects {
		uid := fmt.Sprintf("2.25.%d.%d", association+1, i+1)
		rsp, err := c.Store(ctx, dimse.StoreRequest{SOPClassUID: blastClass, SOPInstanceUID: uid, TransferSyntaxUID: blastSyntax},
			bytes.NewReader(object))
		if err != nil {
			return err
		}
		if rsp.Status != dimse.StatusSuccess {
			return fmt.Errorf("object %d was answered %v", i+1, rsp.Status)
		}
	}
	return nil
}

// blastObject is a data set of that size which peers that read it understand: its
// two UIDs, and pixels.
func blastObject(uid string, size int) []byte {
	b := []byte{8, 0, 0x16, 0, 'U', 'I', byte(len(blastClass) + 1), 0}
	b = append(append(b, blastClass...), 0)
	if len(uid)%2 == 1 {
		uid += "\x00"
	}
	b = append(b, 8, 0, 0x18, 0, 'U', 'I', byte(len(uid)), 0)
	b = append(b, uid...)
	pixels := max(2, size-len(b)-12) &^ 1
	b = append(b, 0xE0, 0x7F, 0x10, 0, 'O', 'W', 0, 0, byte(pixels), byte(pixels>>8), byte(pixels>>16), byte(pixels>>24))
	return append(b, make([]byte, pixels)...)
}
