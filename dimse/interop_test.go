package dimse

import (
	"bytes"
	"context"
	"edged/internal/ports"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Real DCMTK on the other side, on loopback.

// TestDCMTKEchoes: echoscu gets its answer, and an orderly release.
func TestDCMTKEchoes(t *testing.T) {
	w := &watcher{}
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Titles: []string{"EDGED"}, Observer: w})
	mustRun(t, "echoscu", "-aec", "EDGED", "--propose-ts", "3", "--propose-pc", "128", "--repeat", "3", "127.0.0.1", port)
	waitFor(t, func() bool { _, _, closed, _ := w.snapshot(); return len(closed) == 1 })
	if _, _, closed, _ := w.snapshot(); closed[0] != nil {
		t.Errorf("association closed with %v, want an orderly release", closed[0])
	}
}

// TestDCMTKStoresUnchanged: what storescu and dcmsend read from a file is, byte
// for byte, what the handler reads (P3), uncompressed and encapsulated.
func TestDCMTKStoresUnchanged(t *testing.T) {
	for _, sender := range []string{"storescu", "dcmsend"} {
		t.Run(sender, func(t *testing.T) {
			k := &keeper{}
			_, port := serveTCP(t, ServerConfig{Handler: k})
			dir := t.TempDir()
			sent := []instance{
				makeInstance(t, dir, 1, 512<<10, ExplicitVRLE),
				makeInstance(t, dir, 2, 1024, ExplicitVRLE),
				makeInstance(t, dir, 3, 300<<10, jpegLossy),
			}
			send(t, sender, port, sent[:2])
			send(t, sender, port, sent[2:], jpegOption[sender]...)
			compare(t, sent, k.all())
		})
	}
}

var jpegOption = map[string][]string{"storescu": {"-xy"}, "dcmsend": nil}

func send(t *testing.T, sender, port string, files []instance, options ...string) {
	t.Helper()
	args := append(options, "-aec", "EDGED", "127.0.0.1", port)
	for _, f := range files {
		args = append(args, f.path)
	}
	mustRun(t, sender, args...)
}

func compare(t *testing.T, sent []instance, got []received) {
	t.Helper()
	if len(got) != len(sent) {
		t.Fatalf("got %d instances, want %d", len(got), len(sent))
	}
	byUID := map[string]received{}
	for _, g := range got {
		byUID[g.rq.SOPInstanceUID] = g
	}
	for _, s := range sent {
		g := byUID[s.uid]
		if g.err != nil || g.rq.SOPClassUID != s.need.SOPClassUID || g.rq.TransferSyntaxUID != s.need.TransferSyntaxUID {
			t.Errorf("instance %s: got %+v, %v, want %+v", s.uid, g.rq, g.err, s.need)
		}
		if !bytes.Equal(g.data, s.data) {
			t.Errorf("instance %s: %d bytes received differ from the %d sent", s.uid, len(g.data), len(s.data))
		}
	}
}

// TestFourSendersAtOnce: associations do not disturb each other.
func TestFourSendersAtOnce(t *testing.T) {
	tool(t, "storescu")
	k := &keeper{}
	_, port := serveTCP(t, ServerConfig{Handler: k})
	var all []instance
	var senders []*exec.Cmd
	for i := range 4 {
		dir := t.TempDir()
		for n := range 10 {
			all = append(all, makeInstance(t, dir, 100*(i+1)+n, 256<<10, ExplicitVRLE))
		}
		c := exec.CommandContext(t.Context(), "storescu", "+sd", "-aec", "EDGED", "127.0.0.1", port, dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		senders = append(senders, c)
	}
	for _, c := range senders {
		if err := c.Wait(); err != nil {
			t.Errorf("storescu: %v", err)
		}
	}
	compare(t, all, k.all())
}

// storescp starts DCMTK's archive and returns its port and folder.
func storescp(t testing.TB, options ...string) (port, dir string) {
	t.Helper()
	path := tool(t, "storescp")
	dir = t.TempDir()
	port = freePort(t)
	startPeer(t, port, path, append(options, "--bit-preserving", "-od", dir, port)...)
	return port, dir
}

func freePort(t testing.TB) string {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// waitFor waits for something that happens in another process, at most a minute.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	for range 6000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited a minute in vain")
}

// TestStorescpReceivesIdentical: our client's bytes arrive at DCMTK as they were,
// several instances on one association, in their transfer syntaxes.
func TestStorescpReceivesIdentical(t *testing.T) {
	port, dir := storescp(t, "+xa", "-aet", "ARCHIVE")
	src := t.TempDir()
	sent := []instance{
		makeInstance(t, src, 1, 512<<10, ExplicitVRLE),
		makeInstance(t, src, 2, 64<<10, jpegLossy),
		makeInstance(t, src, 3, 1024, ExplicitVRLE),
	}
	proposals, _ := Propose(Need{Verification, ImplicitVRLE}, sent[0].need, sent[1].need)
	c := testDial(t, port, proposals...)
	if rsp, err := c.Echo(t.Context()); err != nil || rsp.Status != StatusSuccess {
		t.Fatalf("echo: %v, %v", rsp.Status, err)
	}
	for _, s := range sent {
		storeOne(t, c, s)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != len(sent) {
		t.Fatalf("storescp wrote %v, %v", files, err)
	}
	for _, s := range sent {
		got := findFile(t, files, s.uid)
		if !bytes.Equal(dataSetOf(t, got), s.data) {
			t.Errorf("instance %s arrived altered", s.uid)
		}
	}
}

func storeOne(t *testing.T, c *Client, s instance) {
	t.Helper()
	rq := StoreRequest{SOPClassUID: s.need.SOPClassUID, SOPInstanceUID: s.uid, TransferSyntaxUID: s.need.TransferSyntaxUID}
	rsp, err := c.Store(t.Context(), rq, bytes.NewReader(s.data))
	if err != nil || rsp.Status != StatusSuccess {
		t.Fatalf("store %s: %v, %v", s.uid, rsp.Status, err)
	}
}

func findFile(t *testing.T, files []string, uid string) string {
	t.Helper()
	for _, f := range files {
		if strings.HasSuffix(f, "."+uid) {
			return f
		}
	}
	names := []string{}
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	t.Fatalf("no file for %s among %v", uid, names)
	return ""
}

// TestSameAsStorescp: from a sender that re-encodes on the way, we get exactly
// the bytes that storescp gets.
func TestSameAsStorescp(t *testing.T) {
	port, dir := storescp(t)
	k := &keeper{}
	_, ours := serveTCP(t, ServerConfig{Handler: k})
	s := makeInstance(t, t.TempDir(), 1, 128<<10, ExplicitVRLE)
	mustRun(t, "storescu", "-xi", "127.0.0.1", port, s.path) // Implicit VR only: DCMTK re-encodes
	mustRun(t, "storescu", "-xi", "127.0.0.1", ours, s.path)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	got := k.all()
	if len(files) != 1 || len(got) != 1 {
		t.Fatalf("storescp has %d files, we have %d instances", len(files), len(got))
	}
	if got[0].rq.TransferSyntaxUID != ImplicitVRLE || !bytes.Equal(got[0].data, dataSetOf(t, files[0])) {
		t.Errorf("%s: our %d bytes differ from storescp's", got[0].rq.TransferSyntaxUID, len(got[0].data))
	}
}

// TestDCMTKIsRefused: DCMTK understands why.
func TestDCMTKIsRefused(t *testing.T) {
	admit := func(p Peer) *Reject {
		if p.Calling != "CT1" {
			return &RejectCalling
		}
		return nil
	}
	w := &watcher{}
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Titles: []string{"EDGED", "URGENT"}, Admit: admit, Observer: w})
	for _, c := range []struct{ calling, called, want string }{
		{"CT1", "URGENT", ""},
		{"CT1", "OTHER", "Called AE Title Not Recognized"},
		{"NOBODY", "EDGED", "Calling AE Title Not Recognized"},
	} {
		out, err := run(t, "echoscu", "-aet", c.calling, "-aec", c.called, "127.0.0.1", port)
		if (err == nil) != (c.want == "") || !strings.Contains(out, c.want) {
			t.Errorf("%s to %s: %v, %q, want %q", c.calling, c.called, err, out, c.want)
		}
	}
	if refused, _, _, _ := w.snapshot(); len(refused) != 2 || refused[0] != RejectCalled || refused[1] != RejectCalling {
		t.Errorf("observer saw %v", refused)
	}
}

// TestStorescpRefusesOrAborts: what DCMTK does to us arrives as what it is.
func TestStorescpRefusesOrAborts(t *testing.T) {
	s := makeInstance(t, t.TempDir(), 1, 4<<20, ExplicitVRLE)
	port, _ := storescp(t, "--refuse")
	if _, err := Dial(t.Context(), clientConfig(port, Proposal{AbstractSyntax: ctImage, TransferSyntaxes: []string{ExplicitVRLE}})); !isReject(err) {
		t.Errorf("got %v, want a Reject", err)
	}
	port, _ = storescp(t, "--abort-during")
	c := testDial(t, port, Proposal{AbstractSyntax: ctImage, TransferSyntaxes: []string{ExplicitVRLE}})
	rq := StoreRequest{SOPClassUID: ctImage, SOPInstanceUID: s.uid, TransferSyntaxUID: ExplicitVRLE}
	if _, err := c.Store(t.Context(), rq, bytes.NewReader(s.data)); !errors.Is(err, ErrAborted) && !errors.Is(err, ErrLost) {
		t.Errorf("a store into an abort: %v", err)
	}
	c.Abort()
	if _, err := c.Echo(t.Context()); err == nil {
		t.Error("an operation on an association that is over succeeded")
	}
}

func isReject(err error) bool {
	var r Reject
	return errors.As(err, &r)
}

// TestSenderDiesInMidObject: the handler sees that the object is incomplete,
// and the slot is free again.
func TestSenderDiesInMidObject(t *testing.T) {
	path := tool(t, "storescu")
	s := makeInstance(t, t.TempDir(), 1, 32<<20, ExplicitVRLE)
	halfway, end := make(chan struct{}), make(chan error, 1)
	h := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
		if _, err := io.CopyN(io.Discard, data, 64<<10); err != nil {
			t.Errorf("the first MiB: %v", err)
		}
		close(halfway)
		_, err := io.Copy(io.Discard, data)
		end <- err
		return StatusProcessingFailure
	})
	w := &watcher{}
	srv, port := serveTCP(t, ServerConfig{Handler: h, Observer: w})
	sender := exec.Command(path, "127.0.0.1", port, s.path)
	if err := sender.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-halfway:
	case <-time.After(time.Minute):
		t.Error("nothing arrived in a minute")
	}
	sender.Process.Kill()
	sender.Wait()
	waitFor(t, func() bool { _, _, closed, _ := w.snapshot(); return len(closed) == 1 && srv.Established() == 0 })
	if t.Failed() {
		return
	}
	if err := <-end; !errors.Is(err, ErrLost) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("handler got %v", err)
	}
	if _, _, _, counts := w.snapshot(); counts[0].Failed != 1 || counts[0].Stored != 0 {
		t.Errorf("counts %v", counts)
	}
}
