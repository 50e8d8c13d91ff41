package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/synth"
)

// Who is not in the list is turned away with the standard's reason, is counted,
// and is shown to the technician, who can then put it into the list (P11).
func TestUnknownCallerIsRejectedAndShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, address: 127.0.0.1, name: "TC 1"}]}`+"\n"+alone, "")
	r.startEdged()

	r.rejected(r.dimseConfig("STRANGER", "EDGED"), dimse.RejectCalling)
	r.rejected(r.dimseConfig("CT1", "NESSUNO"), dimse.RejectCalled)
	elsewhere := r.dimseConfig("CT1", "EDGED")
	elsewhere.DialContext = from("127.0.0.9")
	r.rejected(elsewhere, dimse.RejectCalling)
	said, code := r.call("edged", "echo", "--calling", "STRANGER", "--to", "EDGED@"+r.dicom)
	if code != 1 || !strings.Contains(said, "1/1/3") || strings.Count(said, "\n") != 1 {
		t.Errorf("edged echo: exit %d, %s", code, said)
	}

	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)

	stranger, known := r.device("STRANGER"), r.device("CT1")
	if stranger.Refused != 2 || stranger.Known || stranger.LastRefusal == nil || stranger.LastRefusal.Code != status.UnknownCalling {
		t.Errorf("the stranger is shown as %+v", stranger)
	}
	if known.Refused != 2 || !known.Known || known.Stored != 1 || known.LastRefusal.Code != status.WrongAddress {
		t.Errorf("the known device is shown as %+v", known)
	}
	if c := r.status().Counters; c.Refused != 4 || c.Received != 1 {
		t.Errorf("counters %+v, want 4 refused and 1 received", c)
	}
	if page := r.page0("/"); !strings.Contains(page, "STRANGER") || !strings.Contains(page, "TC 1") {
		t.Error("the page shows not who was turned away")
	}
	needs(t, "echoscu")
	host, port, _ := net.SplitHostPort(r.dicom)
	said, _ = run2(t, "echoscu", "-v", "-aet", "STRANGER2", "-aec", "EDGED", host, port)
	if !strings.Contains(said, "Calling AE Title Not Recognized") {
		t.Errorf("echoscu says %s", said)
	}
}

// strange is what else may come to a port.
func strange() map[string]func(net.Conn) {
	say := func(b []byte) func(net.Conn) { return func(c net.Conn) { c.Write(b) } }
	random := make([]byte, 4<<10)
	rand.Read(random)
	random[0] |= 0x80
	return map[string]func(net.Conn){
		"random bytes":                  say(random),
		"HTTP":                          say([]byte("GET / HTTP/1.1\r\nHost: dicom\r\nUser-Agent: scanner\r\n\r\n")),
		"SSH":                           say([]byte("SSH-2.0-OpenSSH_9.9\r\n")),
		"TLS":                           func(c net.Conn) { tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake() },
		"a request that declares 4 GiB": say(append([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0}, make([]byte, 4<<10)...)),
		"data that declares 4 GiB":      say(append([]byte{4, 0, 0xff, 0xff, 0xff, 0xff}, make([]byte, 4<<10)...)),
	}
}

// What is no DICOM is closed within a second, whoever speaks and however much
// they announce, and costs no memory (P9). A machine that is busy with other
// tests may lose a second by itself: one connection in four may take longer, but
// none anything like the 30 s of the ARTIM timer.
func TestGarbageIsClosedWithinASecond(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	r.mustEcho("WARM")
	before := residentBytes(t, r.edged.cmd.Process.Pid)
	var took []time.Duration
	for range 7 {
		took = append(took, r.garbage()...)
	}
	slices.Sort(took)
	grown := residentBytes(t, r.edged.cmd.Process.Pid) - before
	typical, slowest := took[len(took)*3/4], took[len(took)-1]
	t.Logf("%d strange connections, three of four closed within %s, all within %s, memory grew by %d KiB", len(took), typical, slowest, grown>>10)
	if typical > time.Second || slowest > 5*time.Second {
		t.Error("that is not soon")
	}
	if len(took) < 200 || grown > 16<<20 {
		t.Errorf("memory grew by %d bytes over %d connections", grown, len(took))
	}
	r.mustEcho("AFTER")
	if rows := r.rows(); len(rows) != 0 {
		t.Errorf("%d objects came out of it", len(rows))
	}
}

// garbage lets every stranger come five times at once, and says how long each
// was kept.
func (r *rig) garbage() (took []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 5 {
		for name, speak := range strange() {
			c, began := r.dial(), time.Now()
			wg.Go(func() {
				defer c.Close()
				speak(c)
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					r.t.Errorf("%s: the connection stays open", name)
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(began))
			})
		}
	}
	wg.Wait()
	return took
}

// An object that its sender did not finish leaves nothing: no row, no file, no
// byte in the counters. What came whole before stays.
func TestAbortInMidObjectLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	whole, half := synthetic(t, 1, synth.Bench(1, 64<<10))[0], noise(t, 8<<20)
	cuts := map[string]func(){
		"abort by our client": func() {
			c := r.associate("CT1", half.need())
			broken := io.MultiReader(bytes.NewReader(half.data[:5<<20]), iotest.ErrReader(errors.New("cable")))
			if _, err := c.Store(t.Context(), half.request(), broken); err == nil {
				t.Error("half an object was stored")
			}
		},
		"plain cut": func() {
			var conn net.Conn
			cfg := r.dimseConfig("CT1", "EDGED", half.need())
			cfg.DialContext = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
				conn, err = new(net.Dialer).DialContext(ctx, network, address)
				return conn, err
			}
			c, err := dimse.Dial(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			cut := readerFunc(func([]byte) (int, error) { return 0, errors.Join(conn.Close(), errors.New("cut")) })
			if _, err := c.Store(t.Context(), half.request(), io.MultiReader(bytes.NewReader(half.data[:5<<20]), cut)); err == nil {
				t.Error("half an object was stored")
			}
		},
		"modsim": func() { r.must("modsim", "misbehave", "--to", "EDGED@"+r.dicom, "abort-mid-object") },
	}
	r.mustStore(r.associate("CT1", whole.need()), whole)
	for name, cut := range cuts {
		cut()
		r.await("the rest of it to be removed: "+name, func() bool { return len(r.inSpool("tmp")) == 0 })
	}
	rows := r.rows()
	if len(rows) != 1 || rows[whole.id()].State != "received" || len(r.inSpool("objects")) != 1 {
		t.Errorf("rows %v, files %v, want the one object that came whole", rows, r.inSpool("objects"))
	}
	if c := r.status().Counters; c.Received != 1 {
		t.Errorf("counters %+v", c)
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
