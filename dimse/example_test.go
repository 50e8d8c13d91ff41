package dimse_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"

	"edged/dimse"
)

// counter keeps nothing and counts.
type counter struct{}

func (counter) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (counter) Store(_ context.Context, a *dimse.Association, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	n, err := io.Copy(io.Discard, data)
	if err != nil {
		return dimse.StatusProcessingFailure // the association is over; nobody hears it
	}
	fmt.Printf("%s sent %d bytes of %s in %s\n", a.Peer().Calling, n, dimse.Name(rq.SOPClassUID), dimse.Name(rq.TransferSyntaxUID))
	return dimse.StatusSuccess
}

// A Storage SCP is a Handler and a listener; a Storage SCU is Dial, Store, Release.
func Example() {
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: counter{}, ImplementationClassUID: "2.25.1", ImplementationVersion: "EXAMPLE"})
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()

	const ct = "1.2.840.10008.5.1.4.1.1.2"
	ctx := context.Background()
	contexts, _ := dimse.Propose(dimse.Need{SOPClassUID: ct, TransferSyntaxUID: dimse.ExplicitVRLE})
	c, err := dimse.Dial(ctx, dimse.ClientConfig{
		Address: l.Addr().String(), Calling: "CT1", Called: "ANY", Contexts: contexts,
		ImplementationClassUID: "2.25.1", ImplementationVersion: "EXAMPLE",
	})
	if err != nil {
		panic(err)
	}
	dataSet := []byte{8, 0, 0x60, 0, 'C', 'S', 2, 0, 'C', 'T'} // (0008,0060) Modality
	rsp, err := c.Store(ctx, dimse.StoreRequest{SOPClassUID: ct, SOPInstanceUID: "2.25.7", TransferSyntaxUID: dimse.ExplicitVRLE}, bytes.NewReader(dataSet))
	fmt.Println(rsp.Status, err)
	fmt.Println(c.Release(ctx))
	s.Shutdown(ctx)
	fmt.Println(<-ended)
	// Output:
	// CT1 sent 10 bytes of CT Image Storage in Explicit VR Little Endian
	// 0000 success <nil>
	// <nil>
	// server closed
}
