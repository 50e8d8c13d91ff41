package receive_test

import (
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/hub/receive"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// rude is an appliance with good certificates and bad manners, over either carrier.
type rude struct {
	t      *testing.T
	out    io.Writer // of control frames
	data   io.Writer // of Puts and Probes
	frames *wire.Reader
	end    func() // closes what control frames leave by
	hangUp func() // without a word
	quic   *quic.Conn
}

// dial does not say Hello yet.
func (w *world) dial(device string) *rude {
	w.t.Helper()
	return w.dialWith(w.ca.Appliance(device))
}

func (w *world) dialWith(client *tls.Config) *rude {
	w.t.Helper()
	client.NextProtos = []string{wire.ALPN}
	if w.carrier == "tcp" {
		return w.dialTCP(client)
	}
	conn, err := quic.DialAddr(w.t.Context(), w.addr, client, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.CloseWithError(0, "") })
	stream, err := conn.OpenStreamSync(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	stream.SetReadDeadline(time.Now().Add(patience))
	return &rude{
		t: w.t.(*testing.T), out: stream, data: &lazyStream{conn: conn}, frames: wire.NewReader(stream), quic: conn,
		end: func() { stream.Close() }, hangUp: func() { conn.CloseWithError(0, "") },
	}
}

func (w *world) dialTCP(client *tls.Config) *rude {
	w.t.Helper()
	conn, err := tls.Dial("tcp", w.addr, client)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.NetConn().Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &rude{
		t: w.t.(*testing.T), out: conn, data: conn, frames: wire.NewReader(conn),
		end: func() { conn.CloseWrite() }, hangUp: func() { conn.NetConn().Close() },
	}
}

// lazyStream is a data stream that is opened when something is written.
type lazyStream struct {
	conn *quic.Conn
	*quic.SendStream
}

func (s *lazyStream) Write(b []byte) (n int, err error) {
	if s.SendStream == nil {
		if s.SendStream, err = s.conn.OpenUniStream(); err != nil {
			return 0, err
		}
	}
	return s.SendStream.Write(b)
}

// hello greets and waits for Welcome.
func hello(t *testing.T, r *rude, dataDir string) *rude {
	t.Helper()
	r.t = t
	r.greet("boot", dataDir)
	if f, err := r.frames.Next(); err != nil || f.Type() != wire.TypeWelcome {
		t.Fatalf("instead of Welcome: %v, %v", f, err)
	}
	return r
}

func (r *rude) greet(boot, dataDir string) {
	r.say(&wire.Hello{Versions: []uint16{wire.Version}, Boot: []byte(boot), DataDir: []byte(dataDir)})
}

func encoded(f wire.Frame) []byte {
	b, err := wire.Append(nil, f)
	if err != nil {
		panic(err)
	}
	return b
}

func (r *rude) say(f wire.Frame) { r.out.Write(encoded(f)) }

func (r *rude) hear() wire.Frame {
	r.t.Helper()
	f, err := r.frames.Next()
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// until passes over what comes before a frame of this kind: where an appliance has two
// connections, what was confirmed of the one may come on the other at any time.
func until[F wire.Frame](r *rude) F {
	r.t.Helper()
	for {
		if f, ok := r.hear().(F); ok {
			return f
		}
	}
}

func (r *rude) put(number uint64, offset int64, body []byte) {
	r.data.Write(encoded(&wire.Put{Number: number, Offset: offset, Body: body}))
}

// closed waits until the hub ends the connection and demands a code.
func (r *rude) closed(code uint64) {
	r.t.Helper()
	for {
		f, err := r.frames.Next()
		if bye, ok := f.(*wire.Bye); ok && r.quic == nil {
			if bye.Code != code {
				r.t.Errorf("ended with %+v, want code %d", bye, code)
			}
			if f, err := r.frames.Next(); err == nil {
				r.t.Errorf("after Bye: %+v", f)
			}
			return
		}
		if err != nil {
			var app *quic.ApplicationError
			if !errors.As(err, &app) || app.ErrorCode != quic.ApplicationErrorCode(code) {
				r.t.Errorf("ended with %v, want code %d", err, code)
			}
			return
		}
	}
}

func wireObject(number, seed uint64, n int) (wire.Object, []byte) {
	o, data := uplinktest.MakeObject(seed, n, wire.Routine)
	return wire.Object{Number: number, ID: wire.ID(o.ID), TransferSyntax: o.Names.TransferSyntax, SOPClass: o.Names.SOPClass, SOPInstance: o.Names.SOPInstance, Length: o.Length, Priority: wire.Routine}, data
}

// TestBadMannersEndTheConnectionAndNothingElse: each of these is the
// appliance's fault; another appliance does not notice.
func TestBadMannersEndTheConnectionAndNothingElse(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) { c.MaxObjects, c.MaxBytes = 4, 1000 }
		w.start()
		o, data := wireObject(1, 1, 500)
		offer := &wire.Offer{Objects: []wire.Object{o}}
		acts := map[string]func(*rude){
			"a frame for appliances": func(r *rude) { r.say(&wire.Archived{}) },
			"an echo":                func(r *rude) { r.say(&wire.Echo{}) },
			"hello twice":            func(r *rude) { r.say(&wire.Hello{Versions: []uint16{1}}) },
			"no frame":               func(r *rude) { r.out.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
			"no frame among Puts":    func(r *rude) { r.data.Write([]byte("\x00\x05\xff\xff\xff\xff\xff\xff")) },
			"an empty put":           func(r *rude) { r.data.Write([]byte("\x00\x05\x00\x03\x00\x00\x00\x00\xa1\x01\x01")) },
			"a number twice":         func(r *rude) { r.say(&wire.Offer{Objects: []wire.Object{o, o}}) },
			"a gap":                  func(r *rude) { r.say(offer); r.hear(); r.put(1, 10, data[10:20]) },
			"the same again":         func(r *rude) { r.say(offer); r.hear(); r.put(1, 0, data[:20]); r.put(1, 0, data[:20]) },
			"beyond the end":         func(r *rude) { r.say(offer); r.hear(); r.put(1, 0, append(data[:500:500], 1)) },
			"too many objects":       func(r *rude) { r.say(many(5, 1)) },
			"too many bytes":         func(r *rude) { r.say(many(3, 600)) },
		}
		if w.carrier == "quic" {
			acts["put on control"] = func(r *rude) { r.say(&wire.Put{Number: 1, Body: data}) }
			acts["probe on control"] = func(r *rude) { r.say(&wire.Probe{Number: 1, Body: data}) }
			acts["offer on a data stream"] = func(r *rude) { r.data.Write(encoded(offer)) }
			acts["control closed"] = func(r *rude) { r.end() }
		}
		for name, act := range acts {
			t.Run(name, func(t *testing.T) {
				r := hello(t, w.dial("rude"), "data")
				act(r)
				r.closed(wire.ByeProtocol)
			})
		}
		fellow := hello(t, w.dial("one"), "data")
		fellow.say(offer)
		if f := fellow.hear(); f.Type() != wire.TypeHave {
			t.Errorf("another appliance hears %+v", f)
		}
	})
}

func many(n, size int) *wire.Offer {
	f := &wire.Offer{}
	for i := range n {
		o, _ := wireObject(uint64(i+1), uint64(i+100), size)
		f.Objects = append(f.Objects, o)
	}
	return f
}

// TestOffersThatCannotBeAreRefusedOneByOne: the connection stays.
func TestOffersThatCannotBeAreRefusedOneByOne(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		r := hello(t, w.dial("rude"), "data")
		for name, change := range map[string]func(*wire.Object){
			"no class":        func(o *wire.Object) { o.SOPClass = "" },
			"long instance":   func(o *wire.Object) { o.SOPInstance = string(make([]byte, 1025)) },
			"negative length": func(o *wire.Object) { o.Length = -1 },
			"priority":        func(o *wire.Object) { o.Priority = 3 },
			"long title":      func(o *wire.Object) { o.Calling = string(make([]byte, 65)) },
		} {
			o, _ := wireObject(1, 1, 10)
			change(&o)
			r.say(&wire.Offer{Objects: []wire.Object{o}})
			f, ok := r.hear().(*wire.Trouble)
			if !ok || f.Problems[0].Kind != wire.ProblemOffer || f.Problems[0].ID != o.ID {
				t.Errorf("%s: %+v", name, f)
			}
		}
	})
}

// TestPutsWithoutAnOfferAreDiscarded: they may be on their way when an offer ends.
func TestPutsWithoutAnOfferAreDiscarded(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		r := hello(t, w.dial("rude"), "data")
		r.put(77, 5, []byte("stray"))
		o, data := wireObject(1, 1, 500)
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		if f, ok := r.hear().(*wire.Have); !ok || f.Answers[0] != (wire.Answer{Number: 1, ID: o.ID}) {
			t.Fatalf("answer %+v", f)
		}
		r.put(1, 0, data)
		if f, ok := r.hear().(*wire.Receipt); !ok || f.Receipts[0] != (wire.Received{ID: o.ID, Length: 500}) {
			t.Fatalf("receipt %+v", f)
		}
	})
}

// TestWrongBytesAreNeverReceipted: the digest is compared at the hub (P14), and
// what was there is dropped.
func TestWrongBytesAreNeverReceipted(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		r := hello(t, w.dial("rude"), "data")
		o, data := wireObject(1, 1, 500)
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		r.hear()
		r.put(1, 0, append([]byte{data[0] ^ 1}, data[1:]...))
		if f, ok := r.hear().(*wire.Trouble); !ok || f.Problems[0].Kind != wire.ProblemDigest || f.Problems[0].ID != o.ID {
			t.Fatalf("heard %+v", f)
		}
		if _, err := w.store.Open([32]byte(o.ID)); err == nil || len(w.ledger.list()) > 0 {
			t.Error("the wrong bytes were kept")
		}
		o.Number = 2
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		if f, ok := r.hear().(*wire.Have); !ok || f.Answers[0].Offset != 0 {
			t.Fatalf("answer %+v", f)
		}
	})
}

// TestTwoDataDirectoriesWithOneIdentityAreAClone: the second is not admitted
// while the first is connected.
func TestTwoDataDirectoriesWithOneIdentityAreAClone(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		first := hello(t, w.dial("one"), "data")
		second := w.dial("one")
		second.greet("boot", "copy")
		second.closed(wire.ByeBusy)
		o, _ := wireObject(1, 1, 5)
		first.say(&wire.Offer{Objects: []wire.Object{o}})
		first.hear()
	})
}

// TestANewLifeReplacesTheOldOne: after a restart of the appliance the connection
// of its former life is closed.
func TestANewLifeReplacesTheOldOne(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		first := hello(t, w.dial("one"), "data")
		second := w.dial("one")
		second.greet("new boot", "data")
		if f := second.hear(); f.Type() != wire.TypeWelcome {
			t.Fatal(f)
		}
		first.closed(wire.ByeReplaced)
	})
}

// TestANewerStreamPreemptsTheOlder: the same object over a second connection
// goes on where the first was; the first one's bytes no longer count.
func TestANewerStreamPreemptsTheOlder(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		first, second := hello(t, w.dial("one"), "data"), hello(t, w.dial("one"), "data")
		o, data := wireObject(1, 1, 500)
		first.say(&wire.Offer{Objects: []wire.Object{o}})
		first.hear()
		first.put(1, 0, data[:200])
		eventually(t, "200 bytes", func() bool { return w.store.PartialBytes("one") > 200 })
		second.say(&wire.Offer{Objects: []wire.Object{o}})
		if f, ok := second.hear().(*wire.Have); !ok || f.Answers[0].Offset != 200 {
			t.Fatalf("answer %+v", f)
		}
		first.put(1, 200, data[200:400])
		second.put(1, 200, data[200:])
		if f, ok := second.hear().(*wire.Receipt); !ok || f.Receipts[0].ID != o.ID {
			t.Fatalf("heard %+v", f)
		}
		if err := w.ledger.once(); err != nil {
			t.Error(err)
		}
	})
}

// TestAnOfferThatIsWithdrawnKeepsItsBytes: the appliance's disk does not give the rest
// now. Of a copy that is damaged nothing is of use.
func TestAnOfferThatIsWithdrawnKeepsItsBytes(t *testing.T) {
	w := newWorld(t)
	w.start()
	r := hello(t, w.dial("rude"), "data")
	o, data := wireObject(1, 1, 5000)
	for number, c := range []struct {
		kind uint8
		want int64
	}{{wire.ProblemWithdrawn, 0}, {wire.ProblemWithdrawn, 1000}, {wire.ProblemCopy, 2000}, {wire.ProblemCopy, 0}} {
		o.Number = uint64(number + 1)
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		if f, ok := r.hear().(*wire.Have); !ok || f.Answers[0].Offset != c.want {
			t.Fatalf("offer %d: %+v, want offset %d", o.Number, f, c.want)
		}
		before := w.store.PartialBytes("rude")
		r.put(o.Number, c.want, data[c.want:c.want+1000])
		for deadline := time.Now().Add(time.Minute); w.store.PartialBytes("rude") < before+1000 && time.Now().Before(deadline); {
			<-time.After(time.Millisecond)
		}
		r.say(&wire.Trouble{Problems: []wire.Problem{{ID: o.ID, Kind: c.kind}}})
	}
}
