package uplink_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

const patience = 2 * time.Minute

// liar is a hub with good certificates that says what its script wants.
type liar struct {
	t       *testing.T
	conn    *quic.Conn
	control *quic.Stream
	frames  *wire.Reader
	seen    []wire.Object // offered
}

// serveLiar runs script on each connection that comes, until the test ends.
func serveLiar(t *testing.T, ca *uplinktest.CA, script func(*liar)) (addr string) {
	t.Helper()
	c := ca.Hub()
	c.NextProtos = []string{wire.ALPN}
	listener, err := quic.ListenAddr("127.0.0.1:0", c, &quic.Config{MaxIncomingUniStreams: 8})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			wg.Go(func() { (&liar{t: t, conn: conn}).run(script) })
		}
	})
	t.Cleanup(func() { listener.Close(); wg.Wait() })
	return listener.Addr().String()
}

func (l *liar) run(script func(*liar)) {
	var err error
	if l.control, err = l.conn.AcceptStream(l.conn.Context()); err != nil {
		return
	}
	l.frames = wire.NewReader(l.control)
	if f, err := l.frames.Next(); err != nil || f.Type() != wire.TypeHello {
		return
	}
	script(l)
	<-l.conn.Context().Done()
}

func (l *liar) say(f wire.Frame) {
	b, err := wire.Append(nil, f)
	if err != nil {
		panic(err)
	}
	l.control.Write(b)
}

func (l *liar) welcome() {
	l.say(&wire.Welcome{Version: wire.Version, Ledger: "liar", Generation: 1, MaxObjects: 16, MaxBytes: 1 << 20})
}

// offers waits until n objects were offered.
func (l *liar) offers(n int) []wire.Object {
	for len(l.seen) < n {
		f, err := l.frames.Next()
		if err != nil {
			return l.seen
		}
		if o, ok := f.(*wire.Offer); ok {
			l.seen = append(l.seen, o.Objects...)
		}
	}
	return l.seen
}

// take wants an object from an offset and reads its bytes to the end.
func (l *liar) take(o wire.Object) {
	l.say(&wire.Have{Answers: []wire.Answer{{Number: o.Number, ID: o.ID}}})
	stream, err := l.conn.AcceptUniStream(l.conn.Context())
	if err != nil {
		return
	}
	frames := wire.NewReader(stream)
	for got := int64(0); got < o.Length; {
		f, err := frames.Next()
		if err != nil {
			return
		}
		got = f.(*wire.PutFrame).Offset + int64(f.(*wire.PutFrame).Length)
	}
}

func (l *liar) receipt(id wire.ID, length int64) {
	l.say(&wire.Receipt{Receipts: []wire.Received{{ID: id, Length: length}}})
}

func appliance(t *testing.T, ca *uplinktest.CA, source *uplinktest.Source, hubs ...string) *uplink.Uplink {
	t.Helper()
	u, err := uplink.New(uplink.Config{
		Hubs: hubs, TLS: ca.Appliance("one"), Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d"),
		RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := u.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return u
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("gave up waiting for", what)
		}
		<-time.After(time.Millisecond)
	}
}

// flip returns id with one bit changed.
func flip(id wire.ID) wire.ID { id[5] ^= 4; return id }

// TestWhatALyingHubSaysChangesNothing: each script says something false. The
// appliance must not take anything for stored, must end the connection, count
// it and leave the node alone (P11, R11).
func TestWhatALyingHubSaysChangesNothing(t *testing.T) {
	receiptAfterAll := func(change func(o wire.Object) (wire.ID, int64)) func(*liar) {
		return func(l *liar) {
			o := l.offers(3)[0]
			l.take(o)
			l.receipt(change(o))
		}
	}
	for name, script := range map[string]func(*liar){
		"receipt before data":           func(l *liar) { o := l.offers(1)[0]; l.receipt(o.ID, o.Length) },
		"receipt after wanting":         func(l *liar) { o := l.offers(1)[0]; l.wantNothingYet(o); l.receipt(o.ID, o.Length) },
		"receipt for another id":        receiptAfterAll(func(o wire.Object) (wire.ID, int64) { return flip(o.ID), o.Length }),
		"receipt for no id":             receiptAfterAll(func(o wire.Object) (wire.ID, int64) { return wire.ID{}, o.Length }),
		"receipt one byte short":        receiptAfterAll(func(o wire.Object) (wire.ID, int64) { return o.ID, o.Length - 1 }),
		"receipt one byte long":         receiptAfterAll(func(o wire.Object) (wire.ID, int64) { return o.ID, o.Length + 1 }),
		"receipt of length zero":        receiptAfterAll(func(o wire.Object) (wire.ID, int64) { return o.ID, 0 }),
		"receipt of negative length":    receiptAfterAll(func(o wire.Object) (wire.ID, int64) { return o.ID, -o.Length }),
		"receipt of 4 GiB more":         receiptAfterAll(func(o wire.Object) (wire.ID, int64) { return o.ID, o.Length + 1<<32 }),
		"receipt for an unoffered one":  func(l *liar) { l.offers(1); l.receipt(foreign(), 1000) },
		"receipt before any offer":      func(l *liar) { l.receipt(foreign(), 1000) },
		"receipt for one sent, one not": func(l *liar) { o := l.offers(3); l.take(o[0]); l.receipts(o[0], o[1]) },
		"one good receipt, one short": func(l *liar) {
			o := l.offers(3)
			l.take(o[0])
			bad := o[0]
			bad.Length--
			l.receipts(o[0], bad)
		},
		"have for another id":      func(l *liar) { o := l.offers(1)[0]; l.answer(wire.Answer{Number: o.Number, ID: flip(o.ID)}) },
		"all for another id":       func(l *liar) { o := l.offers(1)[0]; l.answer(wire.Answer{Number: o.Number, ID: flip(o.ID), All: true}) },
		"all under another number": func(l *liar) { o := l.offers(2); l.answer(wire.Answer{Number: o[1].Number, ID: o[0].ID, All: true}) },
		"have beyond the end": func(l *liar) {
			o := l.offers(1)[0]
			l.answer(wire.Answer{Number: o.Number, ID: o.ID, Offset: o.Length + 1})
		},
		"have at a negative offset": func(l *liar) { o := l.offers(1)[0]; l.answer(wire.Answer{Number: o.Number, ID: o.ID, Offset: -1}) },
		"have at the far end":       func(l *liar) { o := l.offers(1)[0]; l.answer(wire.Answer{Number: o.Number, ID: o.ID, Offset: 1 << 62}) },
		"have twice": func(l *liar) {
			o := l.offers(1)[0]
			l.answer(wire.Answer{Number: o.Number, ID: o.ID})
			l.answer(wire.Answer{Number: o.Number, ID: o.ID, Offset: o.Length})
			l.receipt(o.ID, o.Length)
		},
		"all after have": func(l *liar) {
			o := l.offers(1)[0]
			l.answer(wire.Answer{Number: o.Number, ID: o.ID})
			l.answer(wire.Answer{Number: o.Number, ID: o.ID, All: true})
		},
		"mismatch before data":      func(l *liar) { o := l.offers(1)[0]; l.mismatch(o.ID) },
		"mismatch of an unknown id": func(l *liar) { l.offers(1); l.mismatch(foreign()) },
	} {
		t.Run(name, func(t *testing.T) {
			ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
			for i := range 3 {
				source.Add(uint64(i), 1000, wire.Routine)
			}
			u := appliance(t, ca, source, serveLiar(t, ca, func(l *liar) { l.welcome(); script(l) }))
			eventually(t, "disbelief", func() bool { return u.Status().NotBelieved == 1 && len(u.Status().SetAside) == 1 })
			if n := source.Count(uplinktest.Ready); n != 3 {
				t.Errorf("%d of 3 objects are as they were", n)
			}
		})
	}
}

// TestFramesThatBreakTheProtocolEndTheConnection: what no hub may say, and
// bytes that are no frame. Nothing changes, and the node is tried again.
func TestFramesThatBreakTheProtocolEndTheConnection(t *testing.T) {
	usable := wire.Welcome{Version: 1, Ledger: "liar", Generation: 1, MaxObjects: 16, MaxBytes: 1 << 20}
	welcomed := func(f func(*liar)) func(*liar) { return func(l *liar) { l.welcome(); f(l) } }
	bad := func(change func(*wire.Welcome)) func(*liar) {
		return func(l *liar) { w := usable; change(&w); l.say(&w) }
	}
	for name, script := range map[string]func(*liar){
		"receipt before welcome":   func(l *liar) { l.receipt(foreign(), 1) },
		"again before welcome":     func(l *liar) { l.say(&wire.Again{}) },
		"another version":          bad(func(w *wire.Welcome) { w.Version = 2 }),
		"no objects":               bad(func(w *wire.Welcome) { w.MaxObjects = 0 }),
		"no bytes":                 bad(func(w *wire.Welcome) { w.MaxBytes = 0 }),
		"negative bytes":           bad(func(w *wire.Welcome) { w.MaxBytes = -1 }),
		"no ledger":                bad(func(w *wire.Welcome) { w.Ledger = "" }),
		"long ledger":              bad(func(w *wire.Welcome) { w.Ledger = string(make([]byte, 65)) }),
		"welcome twice":            welcomed(func(l *liar) { l.welcome() }),
		"an offer":                 welcomed(func(l *liar) { l.say(&wire.Offer{}) }),
		"an acknowledgement":       welcomed(func(l *liar) { l.say(&wire.ArchivedAck{}) }),
		"a release":                welcomed(func(l *liar) { l.say(&wire.Release{}) }),
		"no frame":                 welcomed(func(l *liar) { l.control.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) }),
		"half a frame and the end": welcomed(func(l *liar) { l.control.Write([]byte{0, 6, 0}); l.control.Close() }),
		"the end":                  welcomed(func(l *liar) { l.control.Close() }),
	} {
		t.Run(name, func(t *testing.T) {
			ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
			source.Add(1, 1000, wire.Routine)
			u := appliance(t, ca, source, serveLiar(t, ca, script))
			eventually(t, "the end", func() bool { return u.Status().LastError != "" })
			source.With(func(s *uplinktest.Source) {
				if s.Opens > 0 {
					t.Error("bytes were sent")
				}
			})
			if n := source.Count(uplinktest.AtHub) + source.Count(uplinktest.Archived); n > 0 {
				t.Error("something is taken for stored")
			}
		})
	}
}

func (l *liar) answer(a wire.Answer) { l.say(&wire.Have{Answers: []wire.Answer{a}}) }
func (l *liar) mismatch(id wire.ID) {
	l.say(&wire.Trouble{Problems: []wire.Problem{{ID: id, Kind: wire.ProblemDigest}}})
}
func (l *liar) receipts(list ...wire.Object) {
	f := &wire.Receipt{}
	for _, o := range list {
		f.Receipts = append(f.Receipts, wire.Received{ID: o.ID, Length: o.Length})
	}
	l.say(f)
}

// wantNothingYet answers for another object, so that o stays unanswered.
func (l *liar) wantNothingYet(o wire.Object) { l.answer(wire.Answer{Number: o.Number + 100, ID: o.ID}) }

func foreign() wire.ID {
	o, _ := uplinktest.MakeObject(999, 1000, wire.Routine)
	return wire.ID(o.ID)
}

// TestAnotherNodeTakesOver: the node that lies is set aside, the next one in
// the list gets the objects.
func TestAnotherNodeTakesOver(t *testing.T) {
	ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
	source.Add(1, 1000, wire.Routine)
	lies := serveLiar(t, ca, func(l *liar) { l.welcome(); o := l.offers(1)[0]; l.receipt(o.ID, o.Length) })
	honest := serveLiar(t, ca, func(l *liar) { l.welcome(); o := l.offers(1)[0]; l.take(o); l.receipt(o.ID, o.Length) })
	u := appliance(t, ca, source, lies, honest)
	eventually(t, "the receipt", func() bool { return source.Count(uplinktest.AtHub) == 1 })
	if s := u.Status(); s.Hub != honest || s.NotBelieved != 1 || len(s.SetAside) != 1 || s.SetAside[0] != lies {
		t.Errorf("status %+v", s)
	}
}

// TestAHubThatOwesAnAnswerForTooLongIsLeft (SPOOL-23).
func TestAHubThatOwesAnAnswerForTooLongIsLeft(t *testing.T) {
	ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
	source.Add(1, 1000, wire.Routine)
	mute := serveLiar(t, ca, func(l *liar) { l.welcome(); l.offers(1) })
	u, err := uplink.New(uplink.Config{
		Hubs: []string{mute}, TLS: ca.Appliance("one"), Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d"),
		RetryMin: time.Hour, RetryMax: time.Hour, StallAfter: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { u.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	eventually(t, "the lease to come back", func() bool { return source.Count(uplinktest.Ready) == 1 && u.Status().LastError != "" })
}
