package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"edged/uplink/wire"
)

// samples holds one frame of each type with every field set.
func samples() []wire.Frame {
	a, b := wire.ID{1, 2, 3}, wire.ID{31: 9}
	return []wire.Frame{
		&wire.Hello{Versions: []uint16{1, 2}, Boot: []byte("boot"), DataDir: []byte("dir"), Software: "edged 1"},
		&wire.Welcome{Version: 1, Ledger: "ledger", Generation: 7, MaxObjects: 512, MaxBytes: 1 << 40, Software: "hubd 1"},
		&wire.Offer{Objects: []wire.Object{{Number: 1, ID: a, TransferSyntax: "1.2", SOPClass: "1.3\xff", SOPInstance: "1.4", Length: 5 << 32, Study: "1.5", Calling: "CT\xe01", Priority: 2, Flags: 9, Modality: "CT"}}},
		&wire.Have{Answers: []wire.Answer{{Number: 1, ID: a, Offset: 5 << 32}, {Number: 2, ID: b, All: true}}},
		&wire.Receipt{Receipts: []wire.Received{{ID: a, Length: 1}, {ID: b}}},
		&wire.Archived{Confirmations: []wire.Confirmed{{Seq: 8, ID: b, Length: 3, At: 1795000000000}}},
		&wire.ArchivedAck{Of: wire.AckTrouble, Seqs: []uint64{1, 1 << 60}},
		&wire.Study{UID: "1.2.3", State: wire.StudyComplete, Count: 2, IDs: []wire.ID{a, b}, Revision: 1 << 31, Found: "fiscal.check 2; text.\xff 1"},
		&wire.Findings{Findings: []wire.Finding{{ID: a, Flags: 3, Words: "x"}}},
		&wire.Trouble{Problems: []wire.Problem{{Seq: 4, ID: a, Kind: wire.ProblemDigest, Destination: "vna", Permanent: true, Words: "A900"}}},
		&wire.Release{Reason: "checked", IDs: []wire.ID{a}},
		&wire.Again{Reason: wire.AgainLost, AfterMillis: 1500, IDs: []wire.ID{b}},
		&wire.Bye{Code: wire.ByeBusy, Reason: "clone"},
		&wire.Echo{Number: 9, Bytes: 5 << 32},
		&wire.StudyAck{UID: "1.2.3\xff", Revision: 1 << 31},
	}
}

func encode(t testing.TB, f wire.Frame) []byte {
	t.Helper()
	b, err := wire.Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryFrameComesBackAsItWas(t *testing.T) {
	var stream []byte
	for _, f := range samples() {
		stream = append(stream, encode(t, f)...)
	}
	r := wire.NewReader(bytes.NewReader(stream))
	for _, want := range samples() {
		got, err := r.Next()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("after the last frame: %v, want EOF", err)
	}
}

// TestDocumentedBytes is the example in the documentation of package uplink.
func TestDocumentedBytes(t *testing.T) {
	const want = "00050009" + "00040000" + "a20107021a00080000"
	got := encode(t, &wire.Put{Number: 7, Offset: 524288, Body: make([]byte, wire.MaxBody)})
	if hex.EncodeToString(got[:17]) != want {
		t.Fatalf("got %x, want %s", got[:17], want)
	}
	room := make([]byte, wire.PutHeadroom)
	start := wire.PutHeader(room, 7, 524288, wire.MaxBody)
	if hex.EncodeToString(room[start:]) != want {
		t.Fatalf("PutHeader wrote %x, want %s", room[start:], want)
	}
}

func TestPutHeaderFitsItsRoom(t *testing.T) {
	room := make([]byte, wire.PutHeadroom)
	if start := wire.PutHeader(room, 1<<63, 1<<62, 1); start != 0 {
		t.Fatalf("the longest header leaves %d bytes", start)
	}
}

func TestLongListsArePagedAndLoseNothing(t *testing.T) {
	var f wire.Offer
	uid := strings.Repeat("9", 1024)
	for i := range 10_000 {
		f.Objects = append(f.Objects, wire.Object{Number: uint64(i), ID: wire.ID{byte(i), byte(i >> 8)}, TransferSyntax: uid[:i%1024], Length: int64(i)})
	}
	r, got, pages := wire.NewReader(bytes.NewReader(encode(t, &f))), []wire.Object(nil), 0
	for ; ; pages++ {
		page, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.(*wire.Offer).Objects...)
	}
	if !reflect.DeepEqual(got, f.Objects) || pages < 20 {
		t.Fatalf("%d objects in %d pages came back from %d", len(got), pages, len(f.Objects))
	}
}

func TestManySmallItemsArePagedByNumber(t *testing.T) {
	f := wire.ArchivedAck{Of: 1, Seqs: make([]uint64, wire.MaxItems+1)}
	r := wire.NewReader(bytes.NewReader(encode(t, &f)))
	for _, want := range []int{wire.MaxItems, 1} {
		page, err := r.Next()
		if err != nil || len(page.(*wire.ArchivedAck).Seqs) != want || page.(*wire.ArchivedAck).Of != 1 {
			t.Fatalf("page %+v, %v, want %d items", page, err, want)
		}
	}
}

func TestAnEmptyListIsOneFrame(t *testing.T) {
	got, err := wire.NewReader(bytes.NewReader(encode(t, &wire.Again{}))).Next()
	if err != nil || len(got.(*wire.Again).IDs) != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestUnknownTypesAreSkipped(t *testing.T) {
	unknown := append([]byte{0xff, 0, 0, 3, 0, 0, 0, 4}, "hhhbbbb"...)
	stream := append(append(unknown, unknown...), encode(t, &wire.Receipt{})...)
	f, err := wire.NewReader(bytes.NewReader(stream)).Next()
	if err != nil || f.Type() != wire.TypeReceipt {
		t.Fatalf("got %v, %v", f, err)
	}
}

func TestUnknownKeysAreIgnored(t *testing.T) {
	stream := append([]byte{0, 1, 0, 9, 0, 0, 0, 0}, "\xa4\x01\x81\x01\x02\x40\x03\x40\x18\x63\x01"...)
	stream[3] = byte(len(stream) - 8)
	f, err := wire.NewReader(bytes.NewReader(stream)).Next()
	if err != nil || len(f.(*wire.Hello).Versions) != 1 {
		t.Fatalf("got %+v, %v", f, err)
	}
}

// TestPutBodyIsReadFromTheStream shows that what is left of a body is discarded.
func TestPutBodyIsReadFromTheStream(t *testing.T) {
	stream := encode(t, &wire.Put{Number: 1, Body: []byte("first")})
	stream = append(stream, encode(t, &wire.Put{Number: 2, Offset: 5, Body: []byte("second")})...)
	r := wire.NewReader(bytes.NewReader(stream))
	f, err := r.Next()
	if err != nil || f.(*wire.PutFrame).Number != 1 || f.(*wire.PutFrame).Length != 5 {
		t.Fatalf("got %+v, %v", f, err)
	}
	if f, err = r.Next(); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(f.(*wire.PutFrame))
	if string(body) != "second" || err != nil {
		t.Fatalf("body %q, %v", body, err)
	}
}

// TestAProbeHasArrivedWholeWhenItIsReturned: what follows it is the next frame,
// and an end inside its body is no Probe.
func TestAProbeHasArrivedWholeWhenItIsReturned(t *testing.T) {
	probe := encode(t, &wire.Probe{Number: 7, Body: make([]byte, wire.MaxBody)})
	stream := append(append([]byte(nil), probe...), encode(t, &wire.Echo{Number: 7, Bytes: 5})...)
	r := wire.NewReader(bytes.NewReader(stream))
	f, err := r.Next()
	if p, ok := f.(*wire.ProbeFrame); err != nil || !ok || p.Number != 7 || p.Length != wire.MaxBody {
		t.Fatalf("got %+v, %v", f, err)
	}
	if f, err = r.Next(); err != nil || f.Type() != wire.TypeEcho {
		t.Fatalf("behind it: %+v, %v", f, err)
	}
	if _, err := wire.NewReader(bytes.NewReader(probe[:len(probe)-1])).Next(); err != io.ErrUnexpectedEOF {
		t.Fatalf("cut: %v", err)
	}
}

func TestATruncatedFrameIsNotAnEnd(t *testing.T) {
	whole := encode(t, samples()[2])
	for n := 1; n < len(whole); n++ {
		if _, err := wire.NewReader(bytes.NewReader(whole[:n])).Next(); err == nil || err == io.EOF {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	frame := func(typ byte, header, body string) string {
		return string([]byte{0, typ, 0, byte(len(header)), 0, 0, 0, byte(len(body))}) + header + body
	}
	id := "\x58\x20" + strings.Repeat("i", 32)
	for name, bytes := range map[string]string{
		"header too long":        "\x00\x01\x10\x01\x00\x00\x00\x00",
		"body too long":          "\x00\x03\x00\x01\x00\x04\x00\x01",
		"header is no map":       frame(1, "\x01", ""),
		"no header":              frame(1, "", ""),
		"bytes behind header":    frame(6, "\xa0\xa0", "\x80"),
		"bytes behind body":      frame(6, "\xa0", "\x80\x80"),
		"body is no list":        frame(6, "\xa0", "\xa0"),
		"declared items missing": frame(6, "\xa0", "\x9a\xff\xff\xff\xff"),
		"too many items":         frame(6, "\xa0", "\x99\x10\x01"+strings.Repeat("\xa0", 200)),
		"indefinite length":      frame(6, "\xa0", "\x9f\xff"),
		"duplicate key":          frame(6, "\xa0", "\x81\xa2\x02\x01\x02\x02"),
		"tag":                    frame(6, "\xa0", "\xc1\x80"),
		"short id":               frame(6, "\xa0", "\x81\xa1\x01\x42ii"),
		"id as a number":         frame(6, "\xa0", "\x81\xa1\x01\x02"),
		"negative offset":        frame(5, "\xa2\x01\x01\x02\x20", "b"),
		"empty put":              frame(5, "\xa1\x01\x01", ""),
		"length beyond int64":    frame(6, "\xa0", "\x81\xa2\x01"+id+"\x02\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
		"empty probe":            frame(15, "\xa1\x01\x01", ""),
		"probe without header":   frame(15, "", "b"),
		"negative echo":          frame(16, "\xa2\x01\x01\x02\x20", ""),
		"nested too deep":        frame(6, "\xa0", "\x81\xa1\x09\x81\x81\x81\x81\x80"),
	} {
		_, err := wire.NewReader(strings.NewReader(bytes)).Next()
		if !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

// TestDeclaredLengthsAllocateNothing holds a header that declares the most and
// brings nothing against the memory it takes (SPOOL-22).
func TestDeclaredLengthsAllocateNothing(t *testing.T) {
	for _, s := range []string{
		"\x00\x03\x00\x01\x00\x04\x00\x00\xa0",
		"\x00\x06\x00\x01\x00\x00\x00\x05\xa0\x9a\x7f\xff\xff\xff",
		"\x00\x0f\x00\x03\x00\x04\x00\x00\xa1\x01\x01",
		"\x00\x0e\x00\x0b\x00\x00\x00\x00\xa1\x02\x5b\x00\x00\x00\xff\xff\xff\xff",
		"\x00\x01\x00\x09\x00\x00\x00\x00\xa1\x02\x5b\x00\x00\x00\xff\xff\xff",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if _, err := wire.NewReader(strings.NewReader(s)).Next(); err == nil {
				t.Fatal("read")
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / 100; got > 64<<10 {
			t.Errorf("%q allocates %d bytes", s, got)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range samples() {
		f.Add(encode(f, s))
	}
	f.Add(encode(f, &wire.Put{Number: 1, Offset: 2, Body: []byte("body")}))
	f.Add(encode(f, &wire.Probe{Number: 1, Body: []byte("padding")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(bytes.NewReader(b))
		for range 64 {
			got, err := r.Next()
			if err != nil {
				return
			}
			again(t, got)
		}
	})
}

// again demands that what was understood can be said and is understood alike.
func again(t *testing.T, f wire.Frame) {
	if put, ok := f.(*wire.PutFrame); ok {
		body, err := io.ReadAll(put)
		if err != nil {
			return
		}
		f = &wire.Put{Number: put.Number, Offset: put.Offset, Body: body}
	}
	f = plain(f)
	b, err := wire.Append(nil, f)
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	got, err := wire.NewReader(bytes.NewReader(b)).Next()
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	if b2, err := wire.Append(nil, plain(got)); err != nil || !bytes.Equal(b, b2) {
		t.Fatalf("%+v became %+v", f, got)
	}
}

func plain(f wire.Frame) wire.Frame {
	if put, ok := f.(*wire.PutFrame); ok {
		body, _ := io.ReadAll(put)
		return &wire.Put{Number: put.Number, Offset: put.Offset, Body: body}
	}
	if probe, ok := f.(*wire.ProbeFrame); ok {
		return &wire.Probe{Number: probe.Number, Body: make([]byte, probe.Length)}
	}
	return f
}

func BenchmarkOfferPage(b *testing.B) {
	var f wire.Offer
	for i := range 64 {
		f.Objects = append(f.Objects, wire.Object{Number: uint64(i), TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "2.25.243198896459042716561073610985918727146", Length: 1 << 19})
	}
	b.ReportAllocs()
	for range b.N {
		p, err := wire.Append(nil, &f)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := wire.NewReader(bytes.NewReader(p)).Next(); err != nil {
			b.Fatal(err)
		}
	}
}
