package receive_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/hub/receive"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// rude is an appliance with good certificates and bad manners.
type rude struct {
	t       *testing.T
	conn    *quic.Conn
	control *quic.Stream
	frames  *wire.Reader
	data    *quic.SendStream
}

// hello dials nothing: it greets on a connection and waits for Welcome.
func hello(t *testing.T, conn *quic.Conn, dataDir string) *rude {
	t.Helper()
	stream, err := conn.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream.SetReadDeadline(time.Now().Add(patience))
	r := &rude{t: t, conn: conn, control: stream, frames: wire.NewReader(stream)}
	r.say(&wire.Hello{Versions: []uint16{wire.Version}, Boot: []byte("boot"), DataDir: []byte(dataDir)})
	if f, err := r.frames.Next(); err != nil || f.Type() != wire.TypeWelcome {
		t.Fatalf("instead of Welcome: %v, %v", f, err)
	}
	return r
}

func (w *world) dial(device string) *quic.Conn {
	w.t.Helper()
	client := w.ca.Appliance(device)
	client.NextProtos = []string{wire.ALPN}
	conn, err := quic.DialAddr(w.t.Context(), w.addr, client, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.CloseWithError(0, "") })
	return conn
}

func (r *rude) say(f wire.Frame) {
	b, err := wire.Append(nil, f)
	if err != nil {
		r.t.Fatal(err)
	}
	r.control.Write(b)
}

func (r *rude) hear() wire.Frame {
	r.t.Helper()
	f, err := r.frames.Next()
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

func (r *rude) put(number uint64, offset int64, body []byte) {
	if r.data == nil {
		var err error
		if r.data, err = r.conn.OpenUniStream(); err != nil {
			r.t.Fatal(err)
		}
	}
	b, _ := wire.Append(nil, &wire.Put{Number: number, Offset: offset, Body: body})
	r.data.Write(b)
}

// closed waits until the hub ends the connection and demands a code.
func (r *rude) closed(code quic.ApplicationErrorCode) {
	r.t.Helper()
	for {
		if _, err := r.frames.Next(); err != nil {
			var app *quic.ApplicationError
			if !errors.As(err, &app) || app.ErrorCode != code {
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
	w := newWorld(t)
	w.change = func(c *receive.Config) { c.MaxObjects, c.MaxBytes = 4, 1000 }
	w.start()
	o, data := wireObject(1, 1, 500)
	offer := &wire.Offer{Objects: []wire.Object{o}}
	for name, act := range map[string]func(*rude){
		"a frame for appliances": func(r *rude) { r.say(&wire.Archived{}) },
		"hello twice":            func(r *rude) { r.say(&wire.Hello{Versions: []uint16{1}}) },
		"put on control":         func(r *rude) { r.say(&wire.Put{Number: 1, Body: data}) },
		"offer on a data stream": func(r *rude) {
			b, _ := wire.Append(nil, offer)
			s, _ := r.conn.OpenUniStream()
			s.Write(b)
		},
		"no frame":         func(r *rude) { r.control.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"a number twice":   func(r *rude) { r.say(&wire.Offer{Objects: []wire.Object{o, o}}) },
		"a gap":            func(r *rude) { r.say(offer); r.hear(); r.put(1, 10, data[10:20]) },
		"beyond the end":   func(r *rude) { r.say(offer); r.hear(); r.put(1, 0, append(data[:500:500], 1)) },
		"too many objects": func(r *rude) { r.say(many(5, 1)) },
		"too many bytes":   func(r *rude) { r.say(many(3, 600)) },
		"control closed":   func(r *rude) { r.control.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := hello(t, w.dial("rude"), "data")
			r.t = t
			act(r)
			r.closed(1)
		})
	}
	source := uplinktest.NewSource()
	source.Add(1, 500, wire.Routine)
	w.appliance("one", source, nil)
	waitFor(t, source, uplinktest.Archived)
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
	w := newWorld(t)
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
}

// TestPutsWithoutAnOfferAreDiscarded: they may be on their way when an offer ends.
func TestPutsWithoutAnOfferAreDiscarded(t *testing.T) {
	w := newWorld(t)
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
}

// TestWrongBytesAreNeverReceipted: the digest is compared at the hub (P14), and
// what was there is dropped.
func TestWrongBytesAreNeverReceipted(t *testing.T) {
	w := newWorld(t)
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
}

// TestTwoDataDirectoriesWithOneIdentityAreAClone: the second is not admitted
// while the first is connected.
func TestTwoDataDirectoriesWithOneIdentityAreAClone(t *testing.T) {
	w := newWorld(t)
	w.start()
	first := hello(t, w.dial("one"), "data")
	conn := w.dial("one")
	stream, _ := conn.OpenStreamSync(t.Context())
	second := &rude{t: t, conn: conn, control: stream, frames: wire.NewReader(stream)}
	second.say(&wire.Hello{Versions: []uint16{1}, Boot: []byte("boot"), DataDir: []byte("copy")})
	second.closed(2)
	o, _ := wireObject(1, 1, 5)
	first.say(&wire.Offer{Objects: []wire.Object{o}})
	first.hear()
}

// TestANewLifeReplacesTheOldOne: after a restart of the appliance the connection
// of its former life is closed.
func TestANewLifeReplacesTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.start()
	first := hello(t, w.dial("one"), "data")
	conn := w.dial("one")
	stream, _ := conn.OpenStreamSync(t.Context())
	second := &rude{t: t, conn: conn, control: stream, frames: wire.NewReader(stream)}
	second.say(&wire.Hello{Versions: []uint16{1}, Boot: []byte("new boot"), DataDir: []byte("data")})
	if f := second.hear(); f.Type() != wire.TypeWelcome {
		t.Fatal(f)
	}
	first.closed(4)
}

// TestANewerStreamPreemptsTheOlder: the same object over a second connection
// goes on where the first was; the first one's bytes no longer count.
func TestANewerStreamPreemptsTheOlder(t *testing.T) {
	w := newWorld(t)
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
}
