package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"edged/internal/dicom"
	"edged/internal/durable"
	"edged/spool"
	"edged/uplink"
)

// feed lends the spool's objects to the uplink and keeps what the hub says.
type feed struct {
	keeper *keeper
	log    *slog.Logger
	ledger string        // file that remembers the hub's ledger
	device func() string // who this appliance is for the hub; nil in tests: nobody

	reminder reminder
	going    *departures // nil in tests: nobody looks
	resting  resting
	troubles troubles
}

var (
	_ uplink.Source = (*feed)(nil)
	_ uplink.Keeper = (*feed)(nil)
)

const leaseOwner = "uplink"

// maxModality is what hubs take of (0008,0060): a CS has 16 bytes (PS3.5 §6.2).
const maxModality = 64

// Lease waits for a spool as well as for an object: one that failed comes back.
func (f *feed) Lease(ctx context.Context, worst uint8) (uplink.Object, error) {
	for {
		s, err := f.keeper.await(ctx)
		if err != nil {
			return uplink.Object{}, err
		}
		o, err := s.LeaseUrgent(ctx, leaseOwner, spool.Priority(worst))
		if err == nil {
			if u, ok := f.offer(s, o); ok {
				f.going.begin(o)
				return u, nil
			}
			continue
		}
		if ctx.Err() != nil {
			return uplink.Object{}, ctx.Err()
		}
		pause(ctx, time.Second) // the spool has failed; the keeper opens it again
	}
}

// offer makes an object of the spool one of the uplink. What it cannot offer
// goes back, so that nothing waits behind it and no lease is left over (P6).
func (f *feed) offer(s *spool.Spool, o spool.Object) (uplink.Object, bool) {
	m, err := decodeMeta(o.Meta)
	if err != nil {
		m, err = f.readMeta(s, o.ID)
	}
	if err != nil {
		f.giveBack(s, o.ID, unreadRest, err)
		return uplink.Object{}, false
	}
	return uplink.Object{ID: [32]byte(o.ID), Names: m.names(), Length: o.Length, Study: m.Study,
		Calling: m.Calling, Modality: clip(m.Modality, maxModality), Priority: uint8(o.Priority), Flags: o.Flags & hubFlags, Found: heldFor(s, o, m)}, true
}

// readMeta asks the container itself: a list shows none also when a file could
// not be opened just now. Damage is quarantined by the spool, and a Meta that is
// not ours here.
func (f *feed) readMeta(s *spool.Spool, id spool.ID) (Meta, error) {
	c, err := s.Open(id)
	if err != nil {
		return Meta{}, err
	}
	defer c.Close()
	m, err := decodeMeta(c.Meta())
	if err != nil {
		f.note("park an object", s.Quarantine(context.Background(), id, err.Error()))
	}
	return m, err
}

func (f *feed) giveBack(s *spool.Spool, id spool.ID, rest time.Duration, why error) {
	if err := s.Return(id, rest, why); err != nil && !errors.Is(err, spool.ErrUnknown) {
		f.note("return a lease", err)
	}
}

func (f *feed) note(what string, err error) {
	if err != nil {
		f.log.Error(what, "err", err)
	}
}

// Open reads the data set; the spool's digest is checked in passing (P14).
func (f *feed) Open(ctx context.Context, o uplink.Object, offset int64) (io.ReadCloser, error) {
	s, err := f.keeper.get()
	if err != nil {
		return nil, err
	}
	c, err := s.Open(spool.ID(o.ID))
	if err != nil {
		return nil, corrupt(err)
	}
	return lent{translated{c.Checked(offset)}, c}, nil
}

// lent is a data set being sent.
type lent struct {
	io.Reader
	io.Closer
}

// translated says damage in the uplink's words.
type translated struct{ from io.Reader }

func (t translated) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	return n, corrupt(err)
}

func corrupt(err error) error {
	if errors.Is(err, spool.ErrCorrupt) {
		return fmt.Errorf("%w: %w", uplink.ErrCorrupt, err)
	}
	return err
}

// How long an object rests before it is offered again.
const (
	busyRest    = 2 * time.Second
	damagedRest = 30 * time.Second
	unreadRest  = 2 * time.Second // its file could not be read, which is no damage
)

// Return gives a lease back. What is damaged has been set aside by the spool; what the
// hub does not take is as good as before, and is never parked for it.
func (f *feed) Return(o uplink.Object, why error) {
	f.going.end(spool.ID(o.ID))
	s, err := f.keeper.get()
	if err != nil {
		return // leases end with the spool
	}
	rest := time.Duration(0)
	var busy *uplink.BusyError
	var rested *uplink.RestError
	switch {
	case errors.As(why, &rested):
		rest = rested.Rest
		f.resting.begin(spool.ID(o.ID), rested)
	case errors.As(why, &busy):
		rest = min(max(busy.Retry, 0), time.Hour)
	case errors.Is(why, uplink.ErrBusy):
		rest = busyRest
	case errors.Is(why, uplink.ErrCorrupt):
		rest, why = damagedRest, spool.Poison(why)
	case why != nil && !errors.Is(why, uplink.ErrLost):
		rest = unreadRest
	}
	f.giveBack(s, spool.ID(o.ID), rest, why)
}

// AtHub makes receipts durable here.
func (f *feed) AtHub(ctx context.Context, receipts []uplink.Receipt) error {
	s, err := f.keeper.get()
	if err != nil {
		return err
	}
	rs := make([]spool.Receipt, len(receipts))
	for i, r := range receipts {
		rs[i] = spool.Receipt{ID: spool.ID(r.ID), Length: r.Length, From: r.Ledger}
	}
	return f.kept(rs, s.AtHub(ctx, rs))
}

// kept ends the leases of what is durable now: of all, or of none that counts.
func (f *feed) kept(rs []spool.Receipt, err error) error {
	if err = unfit(f.log, err); err == nil {
		for _, r := range rs {
			f.going.end(r.ID)
			f.resting.end(r.ID)
		}
	}
	return err
}

// Archived makes confirmations durable here; then, and only then, the spool may
// forget the objects (P2).
func (f *feed) Archived(ctx context.Context, confirmations []uplink.Confirmation) error {
	s, err := f.keeper.get()
	if err != nil {
		return err
	}
	rs := make([]spool.Receipt, len(confirmations))
	for i, c := range confirmations {
		rs[i] = spool.Receipt{ID: spool.ID(c.ID), Length: c.Length, At: c.At, From: c.Ledger}
	}
	err = s.Archived(ctx, rs)
	if unfit := (*spool.UnfitError)(nil); errors.As(err, &unfit) && len(unfit.Early) > 0 {
		return cmp.Or(f.kept(rs, err), early(unfit.Early))
	}
	return f.kept(rs, err)
}

// early are confirmations that came before the receipt, on another lane, or that
// are not true. The hub is not told that they are kept, and says them again.
func early(ids []spool.ID) error {
	e := &uplink.EarlyError{}
	for _, id := range ids {
		e.IDs = append(e.IDs, dicom.ID(id))
	}
	return e
}

// unfit tells of statements that fit nothing here: they changed nothing, and
// saying so to the hub would only make it repeat them. Every other error means
// that some are not durable: the hub must not get its acknowledgement (P2).
func unfit(log *slog.Logger, err error) error {
	var strangers *spool.UnfitError
	if !errors.As(err, &strangers) {
		return err
	}
	if strangers.Mismatched > 0 {
		log.Warn("the hub speaks of objects that are not the ones here; either it is broken or you are under attack",
			"objects", strangers.Mismatched, "err", err)
	}
	return nil
}

// Trouble: a destination refuses an object for good, or the hub holds it back
// before all of them (P5: then no destination is named). It stays here, shown as
// held, until the archive confirms it after all.
func (f *feed) Trouble(ctx context.Context, troubles []uplink.Trouble) error {
	s, err := f.keeper.get()
	if err != nil {
		return err
	}
	for _, t := range troubles {
		heldBack := t.Destination == ""
		f.log.Warn("an object does not reach the archive", "id", t.ID, "held_at_hub", heldBack, "destination", t.Destination, "permanent", t.Permanent)
		if !t.Permanent && !heldBack {
			continue
		}
		f.troubles.add(t)
		if err := s.Hold(ctx, spool.ID(t.ID)); err != nil && !errors.Is(err, spool.ErrUnknown) {
			return err
		}
	}
	return nil
}

// Lost has the spool offer again what the hub no longer has. What was forgotten
// here cannot be, and the hub's administrator sees that.
func (f *feed) Lost(ctx context.Context, ids []dicom.ID) error {
	s, err := f.keeper.get()
	if err != nil {
		return err
	}
	f.log.Warn("the hub lost objects that it had; they are sent again", "objects", len(ids))
	list := make([]spool.ID, len(ids))
	for i, id := range ids {
		list[i] = spool.ID(id)
	}
	return s.ReofferObjects(ctx, list)
}

// met is what ledger.json remembers: whose rows, and about whom. The receipts of
// another identity are another appliance's for the hub, and so are its
// confirmations.
type met struct {
	uplink.Ledger
	Device string
}

// Meet compares the hub's ledger and this appliance's identity with those known: a
// restored hub has forgotten receipts, and to an appliance that was enrolled anew
// nothing is confirmed, so everything not archived is offered again. On a ledger
// that is known what has waited for long is.
func (f *feed) Meet(ctx context.Context, l uplink.Ledger, asked bool) error {
	known, err := readLedger(f.ledger)
	if err != nil {
		return err
	}
	now := met{Ledger: l}
	if f.device != nil {
		now.Device = f.device()
	}
	if known == now && !asked {
		return f.remind(ctx, true)
	}
	s, err := f.keeper.await(ctx)
	if err != nil {
		return err
	}
	if known != (met{}) || asked {
		f.log.Warn("offering everything again that is not archived", "ledger", l.ID, "generation", l.Generation, "device", now.Device, "asked", asked)
	}
	if err := s.Reoffer(ctx); err != nil {
		return err
	}
	b, _ := json.Marshal(now) // strings and numbers
	return durable.WriteFile(f.ledger, b, 0o600)
}

// readLedger gives the zero one when none was ever met. One that cannot be
// read counts as another: offering again is harmless.
func readLedger(name string) (m met, err error) {
	b, err := os.ReadFile(filepath.Clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if json.Unmarshal(b, &m) != nil {
		m.ID = "unreadable"
	}
	return m, nil
}
