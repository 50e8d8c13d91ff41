package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/synth"
)

// Of everybody who calls it is remembered what they proposed and what they were
// answered, also of who was turned away; and what broke the protocol, spoke
// something else or had nothing in common is told apart.
func TestWhoCalledAndWhatForIsRemembered(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", max_associations_per_device: 2, devices: [{ae_title: CT1, address: 127.0.0.1}, {ae_title: US1, address: 127.0.0.3, services: [query]}, {ae_title: ODD, address: 127.0.0.4, quirks: [any-called-title]}]}`+"\n"+alone, "")
	r.startEdged()
	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	private := dimse.Need{SOPClassUID: "1.2.3.4.5", TransferSyntaxUID: explicitLE}
	worklist := dimse.Need{SOPClassUID: "1.2.840.10008.5.1.4.31", TransferSyntaxUID: explicitLE}

	r.rejected(r.dimseConfig("STRANGER", "EDGED", o.need(), private), dimse.RejectCalling)
	d := r.negotiated("STRANGER")
	if d.Negotiation == nil || d.Negotiation.Accepted || len(d.Negotiation.Contexts) != 3 || d.Implementation == nil || d.Implementation.Version != "TEST" {
		t.Fatalf("of the stranger is known %+v", d)
	}
	if c := d.Negotiation.Contexts[0]; c.Name == "" || c.Result != status.ContextUnanswered || !slices.Equal(c.TransferSyntaxes, []string{o.names.TransferSyntax}) {
		t.Errorf("its first context is shown as %+v", c)
	}

	c := r.associate("CT1", o.need(), worklist)
	d = r.negotiated("CT1")
	results := func(d status.Device) (all []status.ContextResult) {
		for _, c := range d.Negotiation.Contexts {
			all = append(all, c.Result)
		}
		return all
	}
	if want := []status.ContextResult{status.ContextAccepted, status.ContextAbstractSyntax, status.ContextAccepted}; !d.Negotiation.Accepted || !slices.Equal(results(d), want) {
		t.Errorf("CT1 was answered %v, want %v", results(d), want)
	}
	second := r.associate("CT1")
	r.rejected(r.dimseConfig("CT1", "EDGED"), dimse.RejectLocalLimit)
	r.hasCode("CT1", status.TooMany)
	ok(t, c.Release(t.Context()))
	ok(t, second.Release(t.Context()))

	us := r.dimseConfig("US1", "EDGED", o.need())
	us.DialContext = from("127.0.0.3")
	us.Contexts = us.Contexts[:1] // without Verification
	mustDial(t, us)
	r.hasCode("US1", status.NothingInCommon)

	odd := r.dimseConfig("ODD", "WHATEVER")
	odd.DialContext = from("127.0.0.4")
	mustDial(t, odd)

	// The only device at an address is who spoke nonsense there.
	r.say("127.0.0.1", []byte("GET / HTTP/1.1\r\nHost: dicom\r\n\r\n"))
	r.hasCode("CT1", status.NotDICOM)
	r.say("127.0.0.8", bytes.Repeat([]byte{0x80}, 64))
	r.await("the nameless to be shown", func() bool {
		d := r.device("")
		return d.Address == "127.0.0.8" && d.LastRefusal != nil && d.LastRefusal.Code == status.NotDICOM && !d.Known
	})

	// A broken protocol in mid-association.
	var conn net.Conn
	cfg := r.dimseConfig("ODD", "EDGED")
	cfg.DialContext = from("127.0.0.4")
	dial := cfg.DialContext
	cfg.DialContext = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
		conn, err = dial(ctx, network, address)
		return conn, err
	}
	mustDial(t, cfg)
	conn.Write([]byte{4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 99, 3}) // a fragment of a context that there is not
	r.hasCode("ODD", status.BadData)

	page := r.page0("/?lang=en")
	for _, want := range []string{"What it asked for", "What it asked for is not switched on for this device", "127.0.0.8", "It did not speak DICOM"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	said := r.must("edged", "devices", "ls", "-c", r.path("edged.yaml"))
	if !strings.Contains(said, "STRANGER") || !strings.Contains(said, "It is not on the list of admitted devices.") {
		t.Errorf("edged devices ls: %s", said)
	}
	r.admits()
}

// admits takes the line that `edged devices admit` prints into the configuration,
// also when the daemon is down.
func (r *rig) admits() {
	r.t.Helper()
	r.edged.stop()
	said := r.must("edged", "devices", "admit", "STRANGER", "-c", r.path("edged.yaml"))
	_, line, found := strings.Cut(said, "- {")
	if !found || !strings.Contains(line, `"127.0.0.1"`) {
		r.t.Fatalf("edged devices admit: %s", said)
	}
	r.rewrite("edged.yaml", fmt.Sprintf(`dicom: {listen: %q, devices: [{%s]}`, r.dicom, strings.TrimSpace(line)))
	r.must("edged", "check", "-c", r.path("edged.yaml"))
	r.startEdged()
	r.mustEcho("STRANGER")
	if said, code := r.call("edged", "devices", "admit", "NOBODY", "-c", r.path("edged.yaml")); code != 2 || !strings.Contains(said, "nobody has called") {
		r.t.Errorf("edged devices admit NOBODY: %d %s", code, said)
	}
}

func (r *rig) hasCode(title string, code status.RefusalCode) {
	r.t.Helper()
	r.await(fmt.Sprintf("%s to be shown with %s", title, code), func() bool {
		d := r.device(title)
		return d.LastRefusal != nil && d.LastRefusal.Code == code
	})
}

// say writes something to the DICOM port from an address, and waits for the end.
func (r *rig) say(address string, text []byte) {
	r.t.Helper()
	c, err := from(address)(r.t.Context(), "tcp", r.dicom)
	ok(r.t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write(text)
	io.Copy(io.Discard, c)
}

// What is called by the title of the emergency department is urgent, whoever sends
// it, and leaves first: end to end, a queue that was there before is overtaken.
func TestTheCalledTitleMakesItUrgent(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", accept_unknown: true, ae_titles: [{title: URGENT, priority: urgent}, {title: OLD, priority: backfill}]}`, "")
	r.startHub()
	r.enroll()
	r.hubd.kill()
	r.rewrite("edged.yaml", `uplink: {hubs: ["`+r.hub+`"], rate: 20Mbit/s}`) // receipts that wait for a slow disk have one time: a class takes two seconds
	r.startEdged()
	objects := synthetic(t, 5, synth.Bench(30, 512<<10))
	for i, called := range []string{"OLD", "EDGED", "URGENT"} {
		r.storeTo(called, objects[10*i:10*i+10])
	}
	rows := r.rows()
	for i, want := range []string{"backfill", "routine", "urgent"} {
		for _, o := range objects[10*i : 10*i+10] {
			if got := rows[o.id()].Priority; got != want {
				t.Fatalf("priority %q, want %q", got, want)
			}
		}
	}
	r.startHub()
	r.await("everything to be archived", func() bool { return r.count("archived") == len(objects) })
	last := func(of []object) (at time.Time) {
		rows := r.rows()
		for _, o := range of {
			if t := rows[o.id()].AtHubAt; t.After(at) {
				at = t
			}
		}
		return at
	}
	old, routine, urgent := last(objects[:10]), last(objects[10:20]), last(objects[20:])
	if urgent.IsZero() || !urgent.Before(routine) || !routine.Before(old) {
		t.Errorf("the last urgent one was at the hub at %s, the last routine one at %s, the last one of the back-fill at %s", urgent, routine, old)
	}
}

// What is remembered of negotiations is bounded, whatever they are, and so is the
// file; hostile text in them comes back as plain ASCII (P9).
func TestRememberedNegotiationsAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), devicesFile)
	many := Dicom{AETitle: "EDGED"}
	for i := range 600 {
		many.Devices = append(many.Devices, Device{AETitle: fmt.Sprint("DEV", i)})
	}
	r, _ := remembering(many, file)
	rq := dimse.AssociateRQ{Called: "<b>\x1b\u202e", User: dimse.UserInfo{ImplementationClassUID: strings.Repeat("9", 300), ImplementationVersion: "\x00\xff<i>"}}
	for i := range 128 {
		p := dimse.Proposal{ID: byte(2*i + 1), AbstractSyntax: strings.Repeat("\x02<", 200)}
		for range 100 {
			p.TransferSyntaxes = append(p.TransferSyntaxes, strings.Repeat("\xff", 200))
		}
		rq.Contexts = append(rq.Contexts, p)
	}
	i, n := negotiationOf(dimse.Peer{}, dimse.Negotiation{Request: rq})
	text, err := json.Marshal(n)
	ok(t, err)
	if len(text) > 48<<10 || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Contains(string(text), "<i>") {
		t.Errorf("a negotiation takes %d bytes", len(text))
	}
	for k := range len(many.Devices) + 3*maxStrangers {
		c := caller{calling: fmt.Sprint("DEV", k), called: "EDGED", address: "10.0.0.9"}
		r.met(c)
		copied := *n
		r.negotiated(c, i, &copied)
	}
	r.save()
	again, log := remembering(many, file)
	kept := 0
	for _, d := range again.list() {
		if d.Negotiation != nil {
			kept++
			if !d.Known && len(d.Negotiation.Contexts) > maxStrangeContexts {
				t.Errorf("%d contexts of a stranger", len(d.Negotiation.Contexts))
			}
		}
	}
	if log.Len() > 0 || kept < 50 {
		t.Errorf("%d negotiations are read back: %s", kept, log)
	}
}
