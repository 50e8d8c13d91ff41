package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// What the tests say to the appliance themselves, where the answers matter.

const (
	ctClass    = "1.2.840.10008.5.1.4.1.1.2"
	explicitLE = "1.2.840.10008.1.2.1"
)

// alone is the configuration of an appliance without a hub.
const alone = "uplink: {hubs: []}\n"

// object is an instance in memory.
type object struct {
	names dicom.Names
	data  []byte
}

func (o object) id() string {
	h := o.names.NewHash()
	h.Write(o.data)
	return fmt.Sprintf("%x", h.Sum(nil))
}

func (o object) need() dimse.Need {
	return dimse.Need{SOPClassUID: o.names.SOPClass, TransferSyntaxUID: o.names.TransferSyntax}
}

func (o object) request() dimse.StoreRequest {
	return dimse.StoreRequest{SOPClassUID: o.names.SOPClass, SOPInstanceUID: o.names.SOPInstance, TransferSyntaxUID: o.names.TransferSyntax}
}

// noise is a data set that no parser can read, under the names of a CT image.
func noise(t *testing.T, size int) object {
	t.Helper()
	o := object{dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass}, make([]byte, size)}
	rand.Read(o.data)
	o.data[0], o.data[1] = 0xff, 0xff // certainly no group that a data set begins with
	o.names.SOPInstance = fmt.Sprintf("2.25.%d", uint32(o.data[2])<<24|uint32(o.data[3])<<16|uint32(o.data[4])<<8|uint32(o.data[5]))
	return o
}

// synthetic are readable objects.
func synthetic(t *testing.T, seed uint64, p synth.Profile) (all []object) {
	t.Helper()
	for _, i := range synth.Instances(synth.Studies(seed, p)) {
		r, _ := i.Open()
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, object{i.Names, b})
	}
	return all
}

// dimseConfig calls the appliance.
func (r *rig) dimseConfig(calling, called string, needs ...dimse.Need) dimse.ClientConfig {
	contexts, _ := dimse.Propose(append(needs, dimse.Need{SOPClassUID: dimse.Verification, TransferSyntaxUID: dicom.ImplicitVRLittleEndian})...)
	return dimse.ClientConfig{Address: r.dicom, Called: called, Calling: calling, Contexts: contexts, Associate: time.Minute,
		Response: 2 * time.Minute, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"}
}

// associate opens an association that must be accepted.
func (r *rig) associate(calling string, needs ...dimse.Need) *dimse.Client {
	r.t.Helper()
	return r.associateWith("EDGED", calling, needs...)
}

func (r *rig) associateWith(called, calling string, needs ...dimse.Need) *dimse.Client {
	r.t.Helper()
	c, err := dimse.Dial(r.t.Context(), r.dimseConfig(calling, called, needs...))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Abort)
	return c
}

// store sends o and gives the status.
func (r *rig) store(c *dimse.Client, o object) dimse.Status {
	r.t.Helper()
	rsp, err := c.Store(r.t.Context(), o.request(), bytes.NewReader(o.data))
	if err != nil {
		r.t.Fatal(err)
	}
	return rsp.Status
}

func (r *rig) mustStore(c *dimse.Client, objects ...object) {
	r.t.Helper()
	for _, o := range objects {
		if st := r.store(c, o); !st.IsSuccess() {
			r.t.Fatalf("C-STORE was answered %s", st)
		}
	}
}

// mustEcho proves that the appliance still answers, on a new association.
func (r *rig) mustEcho(calling string) {
	r.t.Helper()
	c := r.associate(calling)
	if rsp, err := c.Echo(r.t.Context()); err != nil || !rsp.Status.IsSuccess() {
		r.t.Fatalf("C-ECHO: %v, %v", rsp.Status, err)
	}
	if err := c.Release(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// rejected wants an association to be rejected.
func (r *rig) rejected(cfg dimse.ClientConfig, want dimse.Reject) {
	r.t.Helper()
	c, err := dimse.Dial(r.t.Context(), cfg)
	if err == nil {
		c.Abort()
	}
	if got, ok := err.(interface{ Unwrap() error }); !ok || got.Unwrap() != error(want) {
		r.t.Errorf("association of %s with %s: got %v, want %v", cfg.Calling, cfg.Called, err, want)
	}
}

// from is a dialer with a source address of its own; all of 127.0.0.0/8 is ours.
func from(ip string) func(context.Context, string, string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext
}

func (r *rig) page0(path string) string {
	r.t.Helper()
	c := http.Client{Timeout: time.Minute}
	rs, err := c.Get("http://" + r.page + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	if err != nil || rs.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s, %v", path, rs.Status, err)
	}
	return string(b)
}

func (r *rig) status() (st status.Status) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.page0("/api/v1/status")), &st); err != nil {
		r.t.Fatal(err)
	}
	return st
}

func (r *rig) device(title string) status.Device {
	r.t.Helper()
	var list struct{ Devices []status.Device }
	if err := json.Unmarshal([]byte(r.page0("/api/v1/devices")), &list); err != nil {
		r.t.Fatal(err)
	}
	for _, d := range list.Devices {
		if d.AETitle == title {
			return d
		}
	}
	return status.Device{}
}

// negotiated is a device once its last association is noted, which may be a
// moment after it has heard the answer.
func (r *rig) negotiated(title string) (d status.Device) {
	r.t.Helper()
	r.await(title+" to be noted", func() bool { d = r.device(title); return d.Negotiation != nil })
	return d
}

// inSpool are the files below a folder of the spool.
func (r *rig) inSpool(folder string) (names []string) {
	r.t.Helper()
	err := filepath.WalkDir(filepath.Join(r.dir, "edge", "spool", folder), func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// residentBytes of a process.
func residentBytes(t *testing.T, pid int) (n int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			return n << 10
		}
	}
	t.Fatal("no VmRSS in /proc")
	return 0
}

// stays wants ok to hold all the time.
func stays(t *testing.T, how time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(how); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !ok() {
			t.Fatalf("not true any more: %s", what)
		}
	}
}
