package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/internal/identity"
	"edged/internal/synth"
)

const day = 24 * time.Hour

// yearFrom is a certificate as a hub gives it, without its cryptography.
func yearFrom(t time.Time) *identity.Bundle {
	return &identity.Bundle{Cert: &x509.Certificate{NotBefore: t, NotAfter: t.Add(366 * day)}}
}

// For three years of a clock: nothing is asked before two thirds of a life are
// gone; then daily, at moments of its own, until a hub gives a new certificate;
// when the old one has ended more often; and then all begins anew.
func TestCertificateIsRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex // guards what follows
		var id *identity.Bundle
		var asked []time.Duration // since the present certificate began
		failures := 5
		sleep := func(d time.Duration) { mu.Unlock(); time.Sleep(d); synctest.Wait(); mu.Lock() }
		r := renewal{log: slog.New(slog.DiscardHandler), current: func() *identity.Bundle { mu.Lock(); defer mu.Unlock(); return id }}
		r.renew = func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, time.Since(id.Cert.NotBefore))
			if failures--; failures >= 0 {
				return errors.New("the hub is away")
			}
			id = yearFrom(time.Now())
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.run(ctx) }()

		mu.Lock()
		sleep(time.Hour + time.Millisecond) // not enrolled
		id = yearFrom(time.Now())
		sleep(244*day - time.Hour)
		if len(asked) != 0 {
			t.Errorf("asked after %s already", asked)
		}
		sleep(10 * day)
		if len(asked) != 6 {
			t.Errorf("asked %d times within ten days, the hub was away for five: %s", len(asked), asked)
		}
		for i := 1; i < len(asked); i++ {
			if gap := asked[i] - asked[i-1]; gap < 18*time.Hour || gap > 30*time.Hour+renewalLook {
				t.Errorf("asked again after %s", gap)
			}
		}
		asked, failures = nil, 400 // away for longer than the rest of the life
		sleep(366 * day)
		before, ended := 0, 0
		for _, a := range asked {
			if a < 244*day {
				t.Errorf("asked after %s of the second life", a)
			} else if a < 366*day {
				before++
			} else {
				ended++
			}
		}
		if before < 100 || before > 160 || ended < 10 {
			t.Errorf("asked %d times before the end, %d times after it", before, ended)
		}
		failures = 0
		sleep(2 * time.Hour)
		if left := time.Until(id.Cert.NotAfter); left < 365*day {
			t.Errorf("%s after the start the certificate has %s left", time.Since(began), left)
		}
		mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// age gives the appliance a certificate that the hub made so long ago.
func (r *rig) age(by time.Duration) *identity.Bundle {
	r.t.Helper()
	b := r.bundle(r.identityFile())
	ca, err := identity.OpenAuthority(r.path("hub/ca"), time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, b.Key)
	if err != nil {
		r.t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err == nil {
		b.Cert, err = ca.SignDevice(csr, b.Device(), time.Now().Add(-by))
	}
	if err == nil {
		err = b.Save(r.identityFile())
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// The programs themselves: a certificate that is old, or has ended while the
// appliance was off, is renewed without anybody's help, once, and what waited
// goes to the archive with the new one.
func TestApplianceRenewsItself(t *testing.T) {
	t.Parallel()
	for name, age := range map[string]time.Duration{"old": 250 * day, "ended": 365*day + 2*time.Hour} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "", "")
			r.startHub()
			r.enroll()
			old := r.age(age)
			r.startEdged()
			r.await("a new certificate", func() bool { return r.bundle(r.identityFile()).Cert.NotAfter.After(old.Cert.NotAfter) })
			objects := synthetic(t, 1, synth.Bench(3, 64<<10))
			r.mustStore(r.associate("CT1", objects[0].need()), objects...)
			r.mustArriveOnce(r.keep(objects...))
			r.hubd.kill() // a new connection, with the new certificate
			r.startHub()
			more := synthetic(t, 2, synth.Bench(3, 64<<10))
			r.mustStore(r.associate("CT1", more[0].need()), more...)
			r.mustArriveOnce(r.keep(append(objects, more...)...))
			if n := strings.Count(r.edged.said.String(), `msg="certificate renewed"`); n != 1 {
				t.Errorf("the log says %d times that the certificate was renewed", n)
			}
			if b := r.bundle(r.identityFile()); b.Device() != old.Device() || b.Key.Equal(old.Key) {
				t.Errorf("it is %v now, with the same key: %v", b.Device(), b.Key.Equal(old.Key))
			}
		})
	}
}
