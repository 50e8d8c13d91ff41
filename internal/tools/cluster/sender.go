package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// ledger is what senders know: what they made, and what was answered with Success.
type ledger struct {
	mu      sync.Mutex // guards what follows
	made    map[string]*instance
	twice   int // taken by two appliances
	urgent  int
	bytes   int64
	refused int
}

// modalityTitle is what package synth calls a modality of Bench.
const modalityTitle = "SIMOT"

// instance is one image, by its SOP Instance UID.
type instance struct {
	id     dicom.ID
	study  string
	digest [sha256.Size]byte // of the data set
	acked  map[int]bool      // by appliance
}

func newLedger() *ledger { return &ledger{made: map[string]*instance{}} }

// String implements fmt.Stringer.
func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d instances with Success (%d MiB), %d made, %d of them to two appliances, %d urgent, %d refused or cut off and sent again",
		len(l.ackedLocked()), l.bytes>>20, len(l.made), l.twice, l.urgent, l.refused)
}

// acked are those that somebody was told are safe.
func (l *ledger) acked() map[string]*instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ackedLocked()
}

func (l *ledger) ackedLocked() map[string]*instance {
	out := map[string]*instance{}
	for uid, i := range l.made {
		if len(i.acked) > 0 {
			out[uid] = i
		}
	}
	return out
}

// sendAll has a modality at each appliance until ctx ends.
func (s *site) sendAll(ctx context.Context) {
	for _, a := range s.sites {
		s.sending.Go(func() { s.modality(ctx, a) })
	}
}

// modality makes studies and stores their images, one after the other, some at a second
// appliance as well.
func (s *site) modality(ctx context.Context, a *appliance) {
	random := rand.New(rand.NewPCG(s.o.seed, uint64(a.number)+2))
	tick := time.NewTicker(time.Duration(float64(time.Second) / s.o.rate))
	defer tick.Stop()
	var study []synth.Instance
	for n := uint64(0); ; n++ {
		if len(study) == 0 {
			study = images(s.o.seed<<32+uint64(a.number)<<24+n, 1+random.IntN(mostImages), sizeOf(random))
		}
		in := study[0]
		study = study[1:]
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		title := "EDGED"
		if random.IntN(8) == 0 {
			title = "URGENT"
		}
		s.insist(ctx, a, title, in)
		if other := s.sites[random.IntN(len(s.sites))]; random.IntN(15) == 0 && other != a {
			s.insist(ctx, other, title, in)
		}
	}
}

// sizeOf: mostly slices, some radiographs, and now and then a clip.
func sizeOf(random *rand.Rand) int64 {
	switch n := random.IntN(100); {
	case n < 1:
		return 24 << 20
	case n < 8:
		return int64(1+random.IntN(4)) << 20
	}
	return 2 * int64(15<<10+random.IntN(250<<10))
}

// mostImages of a study.
const mostImages = 3

func images(seed uint64, n int, size int64) []synth.Instance {
	return synth.Studies(seed, synth.Bench(n, size))[0].Instances
}

// insist stores an image until it is answered with Success or ctx ends.
func (s *site) insist(ctx context.Context, a *appliance, title string, in synth.Instance) {
	r, _ := in.Open()
	data, err := io.ReadAll(r)
	if err != nil {
		return
	}
	i := s.sent.note(in, data)
	for ctx.Err() == nil {
		// Not cut off by the end of the run: what is under way is answered.
		err := store(context.WithoutCancel(ctx), a.Address, title, in, data)
		s.sent.answered(i, a.number, title == "URGENT", int64(len(data)), err)
		if err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (l *ledger) note(in synth.Instance, data []byte) *instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	uid := in.Names.SOPInstance
	if l.made[uid] == nil {
		i := &instance{study: in.Study, digest: sha256.Sum256(data), acked: map[int]bool{}}
		h := in.Names.NewHash()
		h.Write(data)
		copy(i.id[:], h.Sum(nil))
		l.made[uid] = i
	}
	return l.made[uid]
}

func (l *ledger) answered(i *instance, appliance int, urgent bool, size int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused++
		return
	}
	if len(i.acked) == 0 {
		l.bytes += size
		if urgent {
			l.urgent++
		}
	} else {
		l.twice++
	}
	i.acked[appliance] = true
}

// store is an association for one image.
func store(ctx context.Context, address, title string, in synth.Instance, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	contexts, _ := dimse.Propose(dimse.Need{SOPClassUID: in.Names.SOPClass, TransferSyntaxUID: in.Names.TransferSyntax})
	c, err := dimse.Dial(ctx, dimse.ClientConfig{Address: address, Called: title, Calling: in.Calling, Contexts: contexts,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
	if err != nil {
		return err
	}
	defer c.Release(ctx)
	answer, err := c.Store(ctx, dimse.StoreRequest{SOPClassUID: in.Names.SOPClass, SOPInstanceUID: in.Names.SOPInstance, TransferSyntaxUID: in.Names.TransferSyntax}, bytes.NewReader(data))
	if err == nil && answer.Status != dimse.StatusSuccess {
		err = fmt.Errorf("answered %04X", uint16(answer.Status))
	}
	return err
}
