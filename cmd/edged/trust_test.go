package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/internal/identity"
	"edged/internal/synth"
)

// To whom the appliance does not know, or who does not know the appliance, no
// byte of any object is sent (P11). What was received stays, and the page says
// why nothing leaves.
func TestNoCertificateNoByte(t *testing.T) {
	t.Parallel()
	stories := map[string]struct {
		identity func(r, other *rig)
		says     []string // one of these must stand in the status
	}{
		"never enrolled":               {func(_, _ *rig) {}, []string{"not enrolled"}},
		"enrolled at another hub":      {func(r, other *rig) { other.enroll(); r.takeIdentity(other) }, []string{"certificate", "unknown authority", "CA"}},
		"revoked by the administrator": {func(r, _ *rig) { r.enroll(); r.revoke() }, []string{"refused", "revoked", "certificate", "access"}},
		"another hub took the address": {func(r, other *rig) { r.enroll(); r.hubd.kill(); r.pretend(other) }, []string{"certificate", "unknown authority", "CA"}},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			r, other := newRig(t, "", ""), newRig(t, "", "")
			r.startHub()
			other.startHub()
			story.identity(r, other)
			line := newRelay(t, r.hub)
			r.rewrite("edged.yaml", `uplink: {hubs: ["`+line.address()+`"]}`)
			r.startEdged()
			objects := synthetic(t, 1, synth.Bench(1, 8<<20)) // far more than all handshakes together
			c := r.associate("CT1", objects[0].need())
			r.mustStore(c, objects...)
			r.await("the reason to be shown", func() bool { return containsOne(r.status().Uplink.LastError, story.says) })
			stays(t, 3*time.Second, "everything waits here", func() bool { return r.waiting() == len(objects) })
			// A handshake has some kilobytes, and each attempt has a socket of its own.
			line.mu.Lock()
			attempts := int64(len(line.lines))
			line.mu.Unlock()
			if n := line.toHub.Load(); n > attempts*16<<10 {
				t.Errorf("%d bytes went to the hub in %d attempts", n, attempts)
			}
			st := r.status()
			if st.State == "ok" || st.Uplink.BacklogObjects != int64(len(objects)) || st.Counters.AtHub != 0 {
				t.Errorf("shown as %+v", st)
			}
			if said := r.must("edged", "status", "-c", r.path("edged.yaml")); !containsOne(said, story.says) {
				t.Errorf("edged status says nothing of it: %s", said)
			}
			if len(other.archived())+len(r.archived()) != 0 {
				t.Error("something is in an archive")
			}
			t.Logf("%d bytes to the hub in %d attempts, the status says %q", line.toHub.Load(), attempts, st.Uplink.LastError)
			r.mustHold(objects)
		})
	}
}

func containsOne(s string, any []string) bool {
	for _, a := range any {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}

func (r *rig) identityFile() string { return r.path("edge/identity/identity.pem") }

// takeIdentity gives this appliance the identity that another has.
func (r *rig) takeIdentity(other *rig) {
	r.t.Helper()
	if err := os.MkdirAll(r.path("edge/identity"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := r.bundle(other.identityFile()).Save(r.identityFile()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) revoke() {
	r.t.Helper()
	device := strings.Fields(lastLine(r.must("hubd", "devices", "ls", "-c", r.path("hubd.yaml"))))[0]
	r.must("hubd", "devices", "revoke", device, "-c", r.path("hubd.yaml"))
}

func lastLine(s string) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return all[len(all)-1]
}

// pretend puts the other hub at this one's address.
func (r *rig) pretend(other *rig) {
	r.t.Helper()
	other.hubd.kill()
	other.rewrite("hubd.yaml", `listen: "`+r.hub+`"`)
	other.startHub()
}

// The hub speaks with nobody whose certificate it has not made itself.
func TestHubRefusesForeignCertificates(t *testing.T) {
	t.Parallel()
	r, other := newRig(t, "", ""), newRig(t, "", "")
	for _, x := range []*rig{r, other} {
		x.startHub()
		x.enroll()
	}
	own, foreign := r.bundle(r.identityFile()), r.bundle(other.identityFile())
	trusting := func(b *identity.Bundle) *tls.Config {
		c := b.ClientTLS()
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(own.CA)
		return c
	}
	bare := trusting(own)
	bare.Certificates, bare.GetClientCertificate = nil, nil
	if err := r.knock(trusting(own)); err != nil {
		t.Fatalf("its own appliance is refused: %v", err)
	}
	for name, c := range map[string]*tls.Config{"another hub's certificate": trusting(foreign), "no certificate": bare} {
		err := r.knock(c)
		t.Logf("%s: %v", name, err)
		if !refusedByTLS(err) {
			t.Errorf("%s: the hub speaks with it: %v", name, err)
		}
	}
}

func (r *rig) bundle(path string) *identity.Bundle {
	r.t.Helper()
	b, err := identity.LoadBundle(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// refusedByTLS tells a handshake that was refused from a connection that was ended
// because it said nothing (RFC 9001 §4.8).
func refusedByTLS(err error) bool {
	var t *quic.TransportError
	return errors.As(err, &t) && t.Remote && t.ErrorCode.IsCryptoError()
}

// knock opens a connection, says nothing, and tells what the hub ends it with: nil
// for the farewell of one who speaks. Here the handshake is over before the hub has
// looked at the certificate.
func (r *rig) knock(c *tls.Config) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, r.hub, c, &quic.Config{Versions: []quic.Version{quic.Version1}})
	if err != nil {
		return err
	}
	defer conn.CloseWithError(0, "")
	select {
	case <-conn.Context().Done():
	case <-ctx.Done():
		r.t.Fatal("the hub holds a connection that says nothing")
	}
	var farewell *quic.ApplicationError
	if err := context.Cause(conn.Context()); !errors.As(err, &farewell) || !farewell.Remote {
		return err
	}
	return nil
}
