package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"edged/internal/identity"
	"edged/internal/s3lab"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// While the bucket is full no appliance is told that anything is safe, the hub goes on
// and says what is wrong, and what it has received stays with it. When there is room again
// all goes on without anybody's help, and no byte travels twice (R18).
func TestAFullBucketIsWaitedFor(t *testing.T) {
	for name, fault := range map[string]s3lab.Fault{"full": s3lab.Full, "away": s3lab.Broken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := s3lab.Start(t)
			line := bucket.Proxy(t)
			s := newSite(t)
			s.more = fmt.Sprintf("objects: %s\nobjects_credentials: %s\n", line.URL(), bucket.Credentials(t))
			s.configure()
			p := s.start()
			b, source := s.enrol(), uplinktest.NewSource()
			const objects, size = 20, 200_000
			for n := range objects {
				source.Add(uint64(n), size, 1)
			}
			line.Refuse(fault, s3lab.Writes)
			u := s.send(b, source)
			awaitThat(t, "bytes", func() bool { return u.Status().BytesSent >= size })
			time.Sleep(2 * time.Second) // also older than what the console shows
			if n := source.Count(uplinktest.AtHub) + source.Count(uplinktest.Archived); n > 0 {
				t.Errorf("%d receipts for what no bucket has", n)
			}
			if st := s.status(p).Counters; st.Objects != 0 {
				t.Errorf("%+v: rows of what no bucket has", st)
			}
			line.Heal()
			awaitThat(t, "everything to be archived", func() bool { return source.Count(uplinktest.Archived) == objects })
			source.Each(func(it *uplinktest.Item) {
				s.identical(filepath.Join(s.archive, it.Study, it.ID.String()+".dcm"), it.Data)
			})
			if sent := u.Status().BytesSent; sent > objects*size {
				t.Errorf("%d bytes were sent of %d", sent, objects*size)
			}
		})
	}
}

// send has an appliance send until the test ends.
func (s *site) send(b *identity.Bundle, source *uplinktest.Source) *uplink.Uplink {
	s.Helper()
	u, err := uplink.New(uplink.Config{
		Hubs: []string{s.listen}, Transport: "tcp", LanesMin: 1, LanesMax: 1, TLS: b.ClientTLS(), Source: source, Keeper: source, BootID: []byte("boot"), DataDirID: []byte("dir"),
		RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, Idle: 5 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- u.Run(s.Context()) }()
	s.Cleanup(func() {
		if err := <-ended; err != nil {
			s.Error(err)
		}
	})
	return u
}
