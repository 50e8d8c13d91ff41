package forward

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"edged/dimse"
	"edged/hub"
	"edged/internal/dicom"
)

// Two destinations went wrong in the ways that block queues elsewhere: one takes
// associations and then says nothing, one refuses a presentation context and kills
// the association at another object. What they can take they get, what the third can
// take it gets at once, and what is refused is set aside at once, not tried again
// for minutes.
func TestDisaster23OneBadDestinationOrTransferSyntaxBlocksNobody(t *testing.T) {
	b := newBench(t, "vna", "hangs", "good")
	release := make(chan struct{})
	hanging := &archive{store: func(dimse.StoreRequest, []byte) dimse.Status { <-release; return dimse.StatusSuccess }}
	hangs := cstore(served(t, hanging))
	hangs.c.Name = "hangs"
	t.Cleanup(func() { close(release) }) // before the archive is stopped

	const mr = "1.2.840.10008.5.1.4.1.1.4"
	all, refused, poison := small(), 0, ""
	b.receive(all...)
	for _, in := range all {
		if in.Names.SOPClass == mr {
			refused++
		} else {
			poison = in.Names.SOPInstance
		}
	}
	var kept received
	picky := &archive{accepts: func(_ dimse.Peer, class string) bool { return class != mr }}
	picky.store = func(rq dimse.StoreRequest, data []byte) dimse.Status {
		if rq.SOPInstanceUID == poison {
			panic("the archive crashes on this one")
		}
		return kept.keep(rq, data)
	}
	vna := cstore(served(t, picky))
	var taken received
	good := cstore(served(t, &archive{store: taken.keep}))
	good.c.Name = "good"
	b.run(func() bool {
		s := b.stats().Backlog
		return s["good"].Objects == 0 && s["vna"].Objects == 1 && s["vna"].Quarantined == int64(refused)
	}, vna, hangs, good)
	kept.check(b)
	taken.check(b)
	if s := b.stats(); len(taken.by) != len(all) || len(kept.by) != len(all)-refused-1 || s.Backlog["hangs"].Objects != int64(len(all)) || s.Backlog["hangs"].Quarantined != 0 || refused == 0 {
		t.Errorf("good has %d, the picky one %d of %d: %+v", len(taken.by), len(kept.by), len(all), s)
	}
}

func served(t *testing.T, a *archive) string {
	t.Helper()
	addr, _ := a.serve(t, "127.0.0.1:0")
	return addr
}

// A transfer syntax that the archive does not accept is set aside when that is
// negotiated, without a byte of it being sent.
func TestDisaster23AnUnacceptableTransferSyntaxIsSetAsideAtOnce(t *testing.T) {
	b := newBench(t, "vna")
	const odd = "1.2.840.10008.5.1.4.1.1.7"
	for i, class := range []string{odd, "1.2.840.10008.5.1.4.1.1.2", odd, "1.2.840.10008.5.1.4.1.1.2"} {
		n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2.4.90", SOPClass: class, SOPInstance: fmt.Sprintf("2.25.990%d", i)}
		b.receiveBytes(hub.Object{Names: n, Length: 100, Study: "2.25.98", Device: "d"}, make([]byte, 100))
	}
	var kept received
	var odds atomic.Int32
	a := &archive{accepts: func(_ dimse.Peer, class string) bool { return class != odd }}
	a.store = func(rq dimse.StoreRequest, data []byte) dimse.Status {
		if rq.SOPClassUID == odd {
			odds.Add(1)
		}
		return kept.keep(rq, data)
	}
	b.run(func() bool { s := b.stats(); return s.Archived == 2 && s.Backlog["vna"].Quarantined == 2 }, cstore(served(t, a)))
	if odds.Load() != 0 || len(kept.by) != 2 {
		t.Errorf("%d refused ones were sent, the archive has %d", odds.Load(), len(kept.by))
	}
}

// The archive goes down in the middle of a backlog, its machine refuses
// connections for a while, and it comes back: everything arrives, by itself, with
// storage commitment as without.
func TestDisaster10TheArchiveGoesAndComesBack(t *testing.T) {
	for name, commitment := range map[string]bool{"confirm: success": false, "confirm: commitment": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "vna")
			if commitment {
				b = newCommittingBench(t)
				b.commit = Backoff{200 * time.Millisecond, 400 * time.Millisecond}
			}
			b.receive(small()...)
			total := len(b.data)
			b.config.Destinations[0].Required = true
			var kept received
			var calls atomic.Int32
			v, vna := newVault(b, func(v *vault, a *dimse.Association, _ int, rq dimse.CommitmentRequest) dimse.Answer {
				v.later(a, all(rq))
				return success
			})
			vna.c.Commitment = commitment
			down := make(chan struct{})
			v.store = func(rq dimse.StoreRequest, data []byte) dimse.Status {
				if calls.Add(1) == 4 {
					close(down)
					panic("the archive's machine goes down")
				}
				return kept.keep(rq, data)
			}
			v.admit = func(dimse.Peer) *dimse.Reject {
				if closed(down) && calls.Add(1) < 8 {
					return &dimse.RejectCongestion // it is starting
				}
				return nil
			}
			f := b.run(b.archived(total), vna)
			kept.check(b)
			if s := f.Status()[0]; s.Error != "" || s.Commitment != "" || len(kept.by) != total || !closed(down) {
				t.Errorf("%d of %d, status %+v", len(kept.by), total, s)
			}
		})
	}
}

// The archive takes connections and never says a word, or stops in the middle of
// one: there is a time limit to each, the status says so, and when it answers again
// everything arrives.
func TestDisaster08AnArchiveThatHangsIsGivenUpAndTriedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // a backlog that nobody accepts: the kernel connects, nobody answers
	b := newBench(t, "vna")
	b.receive(small()[:3]...)
	var kept received
	var calls atomic.Int32
	release := make(chan struct{})
	a := &archive{store: func(rq dimse.StoreRequest, data []byte) dimse.Status {
		if calls.Add(1) == 1 {
			<-release
		}
		return kept.keep(rq, data)
	}}
	vna := cstore(served(t, a))
	t.Cleanup(func() { close(release) }) // before the archive is stopped
	vna.c.Associations, vna.c.Response = 1, 300*time.Millisecond
	b.run(b.archived(3), vna)
	kept.check(b)
	if calls.Load() < 4 {
		t.Errorf("%d attempts for 3 objects, one of which hung", calls.Load())
	}
	b.receive(small()[3])
	silent := cstore(l.Addr().String())
	silent.c.Associate = 300 * time.Millisecond
	f := b.run(func() bool { return b.forwarder.Status()[0].Error != "" }, silent)
	if s := b.stats(); s.Backlog["vna"].Objects != 1 || s.Backlog["vna"].Quarantined != 0 {
		t.Errorf("%+v %+v", s, f.Status())
	}
	b.run(b.archived(4), vna)
}
