package receive_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/receive"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// TestThreeGoodCopiesThatArriveDamagedCondemnTheNode: the source vouches for
// its bytes, the hub finds another digest of each.
func TestThreeGoodCopiesThatArriveDamagedCondemnTheNode(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		source := uplinktest.NewSource()
		var bad []*uplinktest.Item
		for i := range 3 {
			bad = append(bad, source.Add(uint64(1+i), 300_000, wire.Routine))
			bad[i].Data[100] ^= 1
		}
		u, _ := w.appliance("one", source, nil)
		eventually(t, "the node to be set aside", func() bool { return slices.Contains(u.Status().SetAside, w.addr) })
		source.With(func(s *uplinktest.Source) {
			mismatches := 0
			for _, err := range s.Returned {
				if errors.Is(err, uplink.ErrMismatch) {
					mismatches++
				}
			}
			if mismatches < 3 {
				t.Errorf("returned %v", s.Returned)
			}
			for _, o := range bad { // sent and read again, and if the others took long, once more, from 0
				if len(o.Offsets) < 2 || slices.Max(o.Offsets) != 0 || o.State != uplinktest.Ready {
					t.Errorf("opened at %v, state %d", o.Offsets, o.State)
				}
			}
		})
		if _, err := w.store.Open(bad[0].ID); err == nil {
			t.Error("the hub kept wrong bytes")
		}
	})
}

// TestADamagedCopyIsQuarantinedAndDelaysNothing (P6, P14): found in passing, or
// only when the hub complains.
func TestADamagedCopyIsQuarantinedAndDelaysNothing(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		source := uplinktest.NewSource()
		source.Add(1, 300_000, wire.Routine).Damaged = 1
		late := source.Add(2, 300_000, wire.Routine)
		late.Data[0] ^= 1
		late.Damaged = 2
		for i := range 5 {
			source.Add(uint64(10+i), 1000, wire.Routine)
		}
		w.appliance("one", source, nil)
		eventually(t, "five archived, two quarantined", func() bool {
			return source.Count(uplinktest.Archived) == 5 && source.Count(uplinktest.Quarantined) == 2
		})
		eventually(t, "the partial object to go", func() bool { return w.store.PartialBytes("one") == 0 })
		if len(w.ledger.list()) != 5 {
			t.Errorf("%d received", len(w.ledger.list()))
		}
	})
}

// TestAFullHubIsBusyAndCatchesUp: too large for its allowance, the object waits;
// small ones pass; with more space everything arrives.
func TestAFullHubIsBusyAndCatchesUp(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.limit = 1 << 20
		w.start()
		source := uplinktest.NewSource()
		large := source.Add(1, 2<<20, wire.Routine)
		for i := range 3 {
			source.Add(uint64(10+i), 1000, wire.Routine)
		}
		w.appliance("one", source, nil)
		eventually(t, "the small ones", func() bool { return source.Count(uplinktest.Archived) == 3 })
		eventually(t, "busy", func() (busy bool) {
			source.With(func(s *uplinktest.Source) {
				busy = slices.ContainsFunc(s.Returned, func(err error) bool { return errors.Is(err, uplink.ErrBusy) })
			})
			return busy
		})
		if _, err := w.store.Open(large.ID); err == nil {
			t.Fatal("the large one has arrived")
		}
		w.stop()
		w.limit = 0
		w.start()
		waitFor(t, source, uplinktest.Archived)
		w.identical(source)
	})
}

// TestOneThatDoesNotFitDelaysNobody (P6): the hub has no room for a large object
// and asks for a pause of a minute; small ones go on as if it were not there.
func TestOneThatDoesNotFitDelaysNobody(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.limit = 1 << 20
		w.change = func(c *receive.Config) { c.BusyRetry = time.Minute }
		w.start()
		source := uplinktest.NewSource()
		large := source.Add(1, 2<<20, wire.Routine)
		w.appliance("one", source, nil)
		eventually(t, "the refusal", func() (busy bool) {
			source.With(func(s *uplinktest.Source) { busy = len(s.Returned) == 1 })
			return busy
		})
		began := time.Now()
		for i := range 30 {
			source.Add(uint64(10+i), 1000, uint8(i%wire.Classes))
		}
		eventually(t, "the small ones", func() bool { return source.Count(uplinktest.Archived) == 30 })
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("they took %s", took)
		}
		source.With(func(s *uplinktest.Source) {
			if large.State != uplinktest.Ready || s.Read > 30*1000 {
				t.Errorf("state %d, %d bytes read: it was sent for nothing", large.State, s.Read)
			}
		})
	})
}

// TestNoReceiptWithoutARow: the transaction fails, the objects come again.
func TestNoReceiptWithoutARow(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.ledger.fail = errors.New("disk on fire")
		w.start()
		source := uplinktest.NewSource()
		for i := range 10 {
			source.Add(uint64(i), 1000, wire.Routine)
		}
		w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.Archived)
		w.identical(source)
		source.With(func(s *uplinktest.Source) {
			if len(s.Returned) == 0 {
				t.Error("no lease came back: a receipt was sent without a row")
			}
		})
	})
}

// TestNothingIsAcknowledgedBeforeItIsDurableHere: the Keeper fails once; the
// hub says it again.
func TestNothingIsAcknowledgedBeforeItIsDurableHere(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		source := uplinktest.NewSource()
		source.FailKeep = errors.New("disk on fire")
		for i := range 10 {
			source.Add(uint64(i), 1000, wire.Routine)
		}
		w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.Archived)
		eventually(t, "the outbox to be empty", func() bool { return w.outbox("one") == 0 })
		if err := w.ledger.once(); err != nil {
			t.Error(err)
		}
	})
}

// TestARestoredLedgerIsOfferedEverythingAgain: the generation rises.
func TestARestoredLedgerIsOfferedEverythingAgain(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.ledger.hold = true
		w.start()
		source := uplinktest.NewSource()
		for i := range 10 {
			source.Add(uint64(i), 1000, wire.Routine)
		}
		w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.AtHub)
		w.stop()
		w.ledger = newLedger() // the backup knows nothing of these
		w.ledger.generation = 2
		w.start()
		waitFor(t, source, uplinktest.Archived)
		w.identical(source)
	})
}

// TestTwoAppliancesSendTheirOwnBytes: the same objects, each appliance has its own
// receipts; what one has sent answers nothing for the other.
func TestTwoAppliancesSendTheirOwnBytes(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		one, two := uplinktest.NewSource(), uplinktest.NewSource()
		for i := range 10 {
			one.Add(uint64(i), 50_000, wire.Routine)
			two.Add(uint64(i), 50_000, wire.Routine)
		}
		w.appliance("one", one, nil)
		waitFor(t, one, uplinktest.Archived)
		w.appliance("two", two, nil)
		waitFor(t, two, uplinktest.Archived)
		w.identical(one)
		if err := w.ledger.once(); err != nil {
			t.Error(err)
		}
		two.With(func(s *uplinktest.Source) {
			if len(w.ledger.list()) != 20 || s.Read < 10*50_000 {
				t.Errorf("%d received, the second appliance read %d bytes", len(w.ledger.list()), s.Read)
			}
		})
	})
}

// TestWhatHasAReceiptNeedsNoBytes: the appliance lost its memory, not its objects.
func TestWhatHasAReceiptNeedsNoBytes(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.ledger.hold = true
		w.start()
		first, again := uplinktest.NewSource(), uplinktest.NewSource()
		for i := range 10 {
			first.Add(uint64(i), 50_000, wire.Routine)
			again.Add(uint64(i), 50_000, wire.Routine)
		}
		_, stop := w.appliance("one", first, nil)
		waitFor(t, first, uplinktest.AtHub)
		stop()
		w.appliance("one", again, nil)
		waitFor(t, again, uplinktest.AtHub)
		again.With(func(s *uplinktest.Source) {
			if s.Opens > 0 {
				t.Errorf("%d objects were sent again", s.Opens)
			}
		})
	})
}

// TestUrgentPassesAFullWindow: routine objects fill the line and the window for
// long; an urgent one that comes later arrives after at most a few of them. The
// line is slow enough, nearly half a second an object, that a busy machine's delays
// of offer, answer and receipt are not taken for places in the queue.
func TestUrgentPassesAFullWindow(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		source := uplinktest.NewSource()
		for i := range 40 {
			source.Add(uint64(i), 1<<20, uint8(1+i%2))
		}
		w.appliance("one", source, func(c *uplink.Config) {
			c.MaxObjects = 8
			c.Shape.Rate = 20e6
		})
		eventually(t, "the first routine object", func() bool { return done(source) > 0 })
		before := done(source)
		urgent := source.Add(100, 100_000, wire.Urgent)
		eventually(t, "the urgent one", func() (there bool) {
			source.With(func(*uplinktest.Source) { there = urgent.State >= uplinktest.AtHub })
			return there
		})
		if passed := done(source) - 1 - before; passed > 4 {
			t.Errorf("%d of 40 routine objects went before the urgent one", passed)
		}
	})
}

func done(s *uplinktest.Source) int {
	return s.Count(uplinktest.AtHub) + s.Count(uplinktest.Archived)
}

// TestTroublesReachTheAppliance with the archive's own words.
func TestTroublesReachTheAppliance(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.ledger.troubles["one"] = []receive.Trouble{{Seq: 1, ID: hub.ID{1}, Destination: "vna", Permanent: true, Words: "A900: nein"}}
		w.start()
		source := uplinktest.NewSource()
		w.appliance("one", source, nil)
		eventually(t, "the acknowledgement", func() bool {
			w.ledger.mu.Lock()
			defer w.ledger.mu.Unlock()
			return len(w.ledger.troubles["one"]) == 0
		})
		source.With(func(s *uplinktest.Source) {
			want := uplink.Trouble{ID: hub.ID{1}, Destination: "vna", Permanent: true, Words: "A900: nein"}
			if len(s.Troubles) == 0 || s.Troubles[0] != want {
				t.Errorf("troubles %+v", s.Troubles)
			}
		})
	})
}

// TestALongOutboxIsToldInPages: more confirmations than may be unacknowledged.
func TestALongOutboxIsToldInPages(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		for i := range 9000 {
			w.ledger.add(hub.Object{ID: hub.ID{byte(i), byte(i >> 8)}, Device: "one", Length: int64(i)})
		}
		w.start()
		w.appliance("one", uplinktest.NewSource(), nil)
		eventually(t, "the outbox to be empty", func() bool { return w.outbox("one") == 0 })
	})
}

// TestWhatIsNotAcknowledgedHoldsNoLaterNewsUp: an appliance acknowledges no
// confirmation of what it has no receipt for, and has more of those than may be told
// at once. It hears of the others all the same, also where its connections take turns
// because none of them acknowledged anything.
func TestWhatIsNotAcknowledgedHoldsNoLaterNewsUp(t *testing.T) {
	const early = 9000
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) { c.Repeat = 200 * time.Millisecond }
		for i := range early + 500 {
			w.ledger.add(hub.Object{ID: hub.ID{byte(i), byte(i >> 8)}, Device: "one", Length: int64(i)})
		}
		w.start()
		for range 2 {
			r := hello(t, w.dial("one"), "data")
			go func() { // ends with the hub
				for f, err := r.frames.Next(); err == nil; f, err = r.frames.Next() {
					f, _ := f.(*wire.Archived)
					if seqs := after(early, f); len(seqs) > 0 {
						r.say(&wire.ArchivedAck{Seqs: seqs})
					}
				}
			}()
		}
		eventually(t, "the later news to be acknowledged", func() bool { return w.outbox("one") == early })
	})
}

func after(seq uint64, f *wire.Archived) (seqs []uint64) {
	if f == nil {
		return nil
	}
	for _, c := range f.Confirmations {
		if c.Seq > seq {
			seqs = append(seqs, c.Seq)
		}
	}
	return seqs
}

// TestNewsFindsAConnectionThatLeadsSomewhere: of two connections the one that was to
// tell it is open and nobody listens; the other one does. It is told on one of them
// only as long as that one answers.
func TestNewsFindsAConnectionThatLeadsSomewhere(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) { c.Repeat = 200 * time.Millisecond }
		w.start()
		deaf, good := hello(t, w.dial("one"), "data"), hello(t, w.dial("one"), "data")
		w.ledger.mu.Lock()
		w.ledger.add(hub.Object{ID: hub.ID{1}, Device: "one"})
		w.ledger.wake()
		w.ledger.mu.Unlock()
		f, ok := good.hear().(*wire.Archived)
		if !ok || len(f.Confirmations) != 1 {
			t.Fatalf("heard %+v", f)
		}
		if f := deaf.hear(); f.Type() != wire.TypeArchived {
			t.Errorf("the first one was told %+v", f)
		}
		good.say(&wire.ArchivedAck{Seqs: []uint64{f.Confirmations[0].Seq}})
		eventually(t, "the acknowledgement", func() bool { return w.outbox("one") == 0 })
	})
}

func (w *world) outbox(device string) int {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return len(w.ledger.outbox[device])
}

// TestStatusTellsTheTruth while connected and after.
func TestStatusTellsTheTruth(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		source := uplinktest.NewSource()
		source.Add(1, 100_000, wire.Routine)
		u, stop := w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.Archived)
		eventually(t, "an empty window", func() bool { return u.Status().InFlight == 0 })
		if s := u.Status(); !s.Connected || s.Transport != w.carrier || s.Hub != w.addr || s.BytesSent != 100_000 || s.AtHub != 1 || s.RTT <= 0 || s.Since.IsZero() {
			t.Errorf("status %+v", s)
		}
		w.stop()
		stop()
	})
}

// TestObjectsCarryWhatTheOfferSaid and the device of the certificate.
func TestObjectsCarryWhatTheOfferSaid(t *testing.T) {
	w := newWorld(t)
	w.start()
	source := uplinktest.NewSource()
	it := source.Add(1, 10, wire.Backfill)
	it.Flags = hub.FlagUnreadable | hub.FlagTest
	w.appliance("one", source, nil)
	waitFor(t, source, uplinktest.Archived)
	want := hub.Object{ID: it.ID, Names: it.Names, Length: 10, Study: it.Study, Priority: wire.Backfill, Device: "one", Flags: it.Flags, Calling: it.Calling}
	if got := w.ledger.list()[0]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestUnclaimedPartialObjectsExpire: what nobody comes back for is dropped.
func TestUnclaimedPartialObjectsExpire(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) { c.PartialAge = 50 * time.Millisecond }
		w.start()
		r := hello(t, w.dial("one"), "data")
		o, data := wireObject(1, 1, 500)
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		r.hear()
		r.put(1, 0, data[:200])
		eventually(t, "200 bytes", func() bool { return w.store.PartialBytes("one") > 200 })
		if n := w.store.Expire(0); n != 0 {
			t.Fatal("a claimed one was dropped")
		}
		r.hangUp()
		eventually(t, "expiry", func() bool { return w.store.PartialBytes("one") == 0 })
	})
}

// TestManySmallObjectsWaitForNoRoundTrip: they are pipelined, and answers come
// in batches. Counted in frames, not in time.
func TestManySmallObjectsWaitForNoRoundTrip(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		r := hello(t, w.dial("one"), "data")
		const n = 200
		offer, answers, receipts, haves := &wire.Offer{}, 0, 0, 0
		var bodies [][]byte
		for i := range n {
			o, data := wireObject(uint64(i+1), uint64(i), 100)
			offer.Objects, bodies = append(offer.Objects, o), append(bodies, data)
		}
		r.say(offer)
		for receipts < n {
			switch f := r.hear().(type) {
			case *wire.Have:
				haves++
				for _, a := range f.Answers {
					r.put(a.Number, 0, bodies[a.Number-1])
				}
				answers += len(f.Answers)
			case *wire.Receipt:
				receipts += len(f.Receipts)
			case *wire.Archived: // not acknowledged here
			default:
				t.Fatalf("%+v", f)
			}
		}
		// How many receipts share a frame depends on how fast the disk is; that
		// commits share a flush is proved at the ledger.
		if answers != n || haves > n/10 {
			t.Errorf("%d answers in %d frames", answers, haves)
		}
	})
}
