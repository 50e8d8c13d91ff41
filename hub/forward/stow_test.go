package forward

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
	"edged/internal/synth"
)

func TestStowCarriesTheBytesThatCameSeveralInARequest(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()...)
	v := &vna{T: t}
	b.run(b.archived(len(b.data)), stow(t, StowConfig{URL: v.serve()}))
	v.check(b)
	if v.whole >= len(b.data) {
		t.Errorf("%d requests for %d objects", v.whole, len(b.data))
	}
	if len(v.conns) > 2 {
		t.Errorf("%d connections, want at most one for each worker", len(v.conns))
	}
}

// The answers of PS3.18 §10.5.3 and those that archives give instead. Two objects, a and b.
func TestWhatAStowAnswerMeans(t *testing.T) {
	type verdicts [2]verdict
	list := func(status int, s func(a, b string) said) func(http.ResponseWriter, *http.Request, []string) {
		return func(w http.ResponseWriter, _ *http.Request, uids []string) { s(uids[0], uids[1]).write(w, status) }
	}
	raw := func(status int, contentType string, body func(a, b string) []byte) func(http.ResponseWriter, *http.Request, []string) {
		return func(w http.ResponseWriter, _ *http.Request, uids []string) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			w.Write(body(uids[0], uids[1]))
		}
	}
	half := func(reason int) func(http.ResponseWriter, *http.Request, []string) {
		return list(202, func(a, b string) said { return said{stored: []string{a}, failed: map[string]int{b: reason}} })
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request, []string)
		want   verdicts
		words  string // of b
	}{
		"all stored":               {list(200, func(a, b string) said { return said{stored: []string{a, b}} }), verdicts{done, done}, ""},
		"warning":                  {list(202, func(a, b string) said { return said{stored: []string{a, b}, warning: map[string]int{b: 0xB000}} }), verdicts{done, done}, "B000"},
		"out of resources":         {half(0xA700), verdicts{done, transient}, "A700"},
		"processing failure":       {half(0x0110), verdicts{done, transient}, "0110"},
		"class not supported":      {half(0x0122), verdicts{done, permanent}, "0122"},
		"syntax not supported":     {half(0xC122), verdicts{done, permanent}, "C122"},
		"cannot understand":        {half(0xC000), verdicts{done, permanent}, "C000"},
		"does not match":           {half(0xA900), verdicts{done, permanent}, "A900"},
		"duplicate":                {half(0x0111), verdicts{done, permanent}, "0111"},
		"no reason":                {half(0), verdicts{done, transient}, "0110"},
		"all failed":               {list(409, func(a, b string) said { return said{failed: map[string]int{a: 0xC000, b: 0xA700}} }), verdicts{permanent, transient}, "A700"},
		"listed and failed":        {list(202, func(a, b string) said { return said{stored: []string{a, b}, failed: map[string]int{b: 0xC000}} }), verdicts{done, permanent}, "C000"},
		"one is not listed":        {list(200, func(a, b string) said { return said{stored: []string{a}} }), verdicts{done, transient}, "neither as stored nor as failed"},
		"stored, but 409":          {list(409, func(a, b string) said { return said{stored: []string{a}, failed: map[string]int{b: 0xC000}} }), verdicts{transient, permanent}, "C000"},
		"padded UID":               {list(200, func(a, b string) said { return said{stored: []string{a + "\x00", b + " "}} }), verdicts{done, done}, ""},
		"XML though JSON is asked": {raw(202, "application/dicom+xml", func(a, b string) []byte { return said{stored: []string{a}, failed: map[string]int{b: 0xC000}}.xml() }), verdicts{done, permanent}, "C000"},
		"XML called JSON":          {raw(200, "application/dicom+json", func(a, b string) []byte { return said{stored: []string{a, b}}.xml() }), verdicts{done, done}, ""},
		"a list with one data set": {raw(200, "application/json", func(a, b string) []byte {
			return slices.Concat([]byte("[ "), said{stored: []string{a, b}}.json(), []byte("]"))
		}), verdicts{done, done}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newStowBench(t, 2)
			v := &vna{T: t, answer: c.answer}
			d := stow(t, StowConfig{URL: v.serve()})
			d.trust.weigh(ledger.Job{}, outcome{verdict: done})
			got, err := b.turn(d)
			uids := v.requests[0]
			if err != nil || len(v.requests) != 1 || got[uids[0]].verdict != c.want[0] || got[uids[1]].verdict != c.want[1] || !strings.Contains(got[uids[1]].words, c.words) {
				t.Errorf("got %+v (%v), want %v", got, err, c.want)
			}
		})
	}
}

// Success without a list is nothing: the appliances would forget the objects.
func TestAnAnswerThatListsNothingArchivesNothing(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "no elements": "{}", "text": "stored, thank you", "others": string(said{stored: []string{"1.2.3.4.5"}}.json()),
		"broken": `{"00081199":{"vr":"SQ","Value":[`, "null": `{"00081199":null}`, "strange": `{"00081199":{"vr":"SQ","Value":[7]}}`, "too long": strings.Repeat(" ", maxAnswer) + "{}",
	} {
		t.Run(name, func(t *testing.T) {
			b := newStowBench(t, 2)
			v := &vna{T: t, answer: func(w http.ResponseWriter, _ *http.Request, _ []string) { fmt.Fprint(w, body) }}
			got, _ := b.turn(stow(t, StowConfig{URL: v.serve()}))
			for _, o := range got {
				if o.verdict != transient || !o.unanswered || o.words == "" {
					t.Errorf("%+v", o)
				}
			}
			if len(got) != 2 || len(v.requests[len(v.requests)-1]) != 1 {
				t.Errorf("%d outcomes, requests %v: each is tried alone before it is judged", len(got), v.requests)
			}
		})
	}
}

// With these the destination waits and no object is judged: the configuration is
// wrong somewhere, or the archive asks to be left alone.
func TestWhatStowSaysOfTheHubJudgesNoObject(t *testing.T) {
	for status, hint := range map[int]string{401: "auth", 403: "auth", 407: "auth", 302: "redirects", 307: "redirects", 404: "url", 405: "url", 429: "", 503: "", 507: ""} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			b := newStowBench(t, 3)
			v := &vna{T: t, answer: func(w http.ResponseWriter, rq *http.Request, _ []string) {
				w.Header().Set("Retry-After", "17")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			}}
			got, err := b.turn(stow(t, StowConfig{URL: v.serve(), Auth: Basic{"hubd", func() (string, error) { return "secret", nil }}}))
			if err == nil || len(got) != 0 || v.whole != 1 || !strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), fmt.Sprint(status)) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v %v, %d requests", got, err, v.whole)
			}
			var w *waitError
			if asks := status == 429 || status == 503 || status == 507; errors.As(err, &w) != asks || asks && w.after != 17*time.Second {
				t.Errorf("asked to wait: %+v", w)
			}
		})
	}
}

func TestADestinationIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	g := gate{backoff: Backoff{time.Millisecond, time.Millisecond}}
	if after := g.failed(&waitError{errors.New("503"), time.Minute}); after < 50*time.Second {
		t.Errorf("again in %v", after)
	}
	g = gate{backoff: Backoff{time.Millisecond, time.Millisecond}}
	if after := g.failed(&waitError{errors.New("503"), 1000 * time.Hour}); after > longestAsked {
		t.Errorf("again in %v", after)
	}
}

// P6: the archive refuses the request because of one object in it.
func TestPoisonInARequestIsFoundAndWaitsAlone(t *testing.T) {
	for status, want := range map[int]verdict{400: permanent, 415: permanent, 422: permanent, 500: transient, 502: transient} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			b := newStowBench(t, 7)
			poison := small()[4].Names.SOPInstance
			v := &vna{T: t, answer: func(w http.ResponseWriter, _ *http.Request, uids []string) {
				if slices.Contains(uids, poison) {
					http.Error(w, "cannot stand it", status)
					return
				}
				said{stored: uids}.write(w, 200)
			}}
			got, err := b.turn(stow(t, StowConfig{URL: v.serve()}))
			if err != nil || len(got) != 7 {
				t.Fatalf("%d outcomes: %v", len(got), err)
			}
			for uid, o := range got {
				if bad := uid == poison; bad && (o.verdict != want || !strings.Contains(o.words, "cannot stand it") || strings.Contains(o.why, "stand")) || !bad && o.verdict != done {
					t.Errorf("poison %v: %+v", bad, o)
				}
			}
		})
	}
}

// As long as the archive has taken nothing at all, nothing is refused for good because
// of a status that may be a gateway's.
func TestWhoRefusesEverythingIsNotBelievedAboutAnything(t *testing.T) {
	b := newStowBench(t, 5)
	v := &vna{T: t, answer: func(w http.ResponseWriter, _ *http.Request, _ []string) { w.WriteHeader(400) }}
	got, err := b.turn(stow(t, StowConfig{URL: v.serve()}))
	if err != nil || len(got) != 5 {
		t.Errorf("%d outcomes (%v)", len(got), err)
	}
	for _, o := range got {
		if o.verdict != transient || !strings.Contains(o.words, "not given up") {
			t.Errorf("%+v", o)
		}
	}
}

// Too large together they go in smaller requests; what is too large alone is refused.
func TestTooLargeRequestsAreMadeSmaller(t *testing.T) {
	b := newStowBench(t, 6)
	big := small()[2].Names.SOPInstance
	v := &vna{T: t, answer: func(w http.ResponseWriter, _ *http.Request, uids []string) {
		if len(uids) > 2 || slices.Contains(uids, big) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		said{stored: uids}.write(w, 200)
	}}
	got, err := b.turn(stow(t, StowConfig{URL: v.serve()}))
	if err != nil || len(got) != 6 {
		t.Fatalf("%v %v", got, err)
	}
	for uid, o := range got {
		if want := map[bool]verdict{true: permanent, false: done}[uid == big]; o.verdict != want {
			t.Errorf("too large %v: %+v", uid == big, o)
		}
	}
}

// A request has a bounded number of objects and bytes, and those of one priority.
func TestARequestIsBounded(t *testing.T) {
	b := newBench(t, "vna")
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7"}
	for i := range 12 {
		n.SOPInstance = fmt.Sprintf("2.25.%d", 100+i)
		b.receiveBytes(hub.Object{Names: n, Length: 10_000, Device: "d", Priority: uint8(i / 10)}, make([]byte, 10_000))
	}
	v := &vna{T: t}
	got, err := b.turn(stow(t, StowConfig{URL: v.serve(), Objects: 5, Bytes: 35_000}))
	var sizes []int
	for _, r := range v.requests {
		sizes = append(sizes, len(r))
	}
	if err != nil || len(got) != 12 || !slices.Equal(sizes, []int{3, 3, 3, 1, 2}) {
		t.Errorf("requests of %v objects (%v)", sizes, err)
	}
}

// P14: the part of a damaged copy does not end, nor does the request; the others go again.
func TestADamagedCopyNeverCompletesARequest(t *testing.T) {
	b := newStowBench(t, 5)
	damage(t, b.dir+"/objects", b.first)
	v := &vna{T: t}
	got, err := b.turn(stow(t, StowConfig{URL: v.serve()}))
	if err != nil || len(got) != 5 {
		t.Fatalf("%v %v", got, err)
	}
	bad := small()[0].Names.SOPInstance
	for uid, o := range got {
		if want := map[bool]verdict{true: lost, false: done}[uid == bad]; o.verdict != want {
			t.Errorf("damaged %v: %+v", uid == bad, o)
		}
	}
	if _, ok := v.kept[bad]; ok || v.whole != 1 {
		t.Errorf("the archive has the damaged copy: %v; %d requests came whole", ok, v.whole)
	}
}

// What went before the damaged one in the same request may be there, in an archive
// that stores while it reads: its duplicate is our own.
func TestADuplicateOfWhatWentBeforeADamagedCopyIsOurOwn(t *testing.T) {
	b := newStowBench(t, 3)
	var last hub.ID
	for id, data := range b.data {
		if in := small()[2]; b.study[id] == in.Study && bytes.Equal(data, instance(t, in)) {
			last = id
		}
	}
	damage(t, b.dir+"/objects", last)
	v := &vna{T: t}
	v.answer = func(w http.ResponseWriter, _ *http.Request, uids []string) {
		failed := map[string]int{}
		for _, uid := range uids {
			failed[uid] = 0x0111
		}
		said{failed: failed}.write(w, 409)
	}
	got, err := b.turn(stow(t, StowConfig{URL: v.serve()}))
	counts := map[verdict]int{}
	for _, o := range got {
		counts[o.verdict]++
	}
	if err != nil || counts[done] != 2 || counts[lost] != 1 {
		t.Errorf("%+v (%v)", got, err)
	}
}

func instance(t *testing.T, in synth.Instance) []byte {
	t.Helper()
	r, _ := in.Open()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// An archive that closes idle connections without a word costs no object its turn.
func TestAConnectionThatWasClosedWhileIdleIsReplaced(t *testing.T) {
	b := newStowBench(t, 6)
	v := &vna{T: t}
	cut := 0
	v.before = func(_ http.ResponseWriter, rq *http.Request) bool {
		v.mu.Lock()
		second := v.whole == 1 && cut == 0 // on this connection
		if second {
			cut++
		}
		v.mu.Unlock()
		if second {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	got, err := b.turn(stow(t, StowConfig{URL: v.serve(), Objects: 1, Requests: 1}))
	for _, o := range got {
		if o.verdict != done {
			t.Errorf("%+v", o)
		}
	}
	if err != nil || len(got) != 6 || cut != 1 || len(v.conns) != 2 {
		t.Errorf("%d outcomes (%v), %d connections", len(got), err, len(v.conns))
	}
}

// The archive has it all and dies before it answers; then it says that it has it.
func TestADuplicateAfterALostStowAnswerIsOurOwn(t *testing.T) {
	b := newStowBench(t, 2)
	v := &vna{T: t}
	v.answer = func(w http.ResponseWriter, _ *http.Request, uids []string) {
		v.mu.Lock()
		first := len(v.requests) == 1
		v.mu.Unlock()
		if first {
			panic(http.ErrAbortHandler)
		}
		failed := map[string]int{}
		for _, uid := range uids {
			failed[uid] = 0x0111
		}
		said{failed: failed}.write(w, 409)
	}
	b.run(b.archived(2), stow(t, StowConfig{URL: v.serve(), Requests: 1}))
	v.check(b)
}

// Cut in the middle of the body nothing is known to be there.
func TestADuplicateAfterHalfAStowRequestIsNotOurs(t *testing.T) {
	b := newBench(t, "vna")
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.7"}
	b.receiveBytes(hub.Object{Names: n, Length: 32 << 20, Device: "d"}, make([]byte, 32<<20))
	var calls atomic.Int32
	v := &vna{T: t, before: func(w http.ResponseWriter, rq *http.Request) bool {
		if calls.Add(1) == 1 {
			rq.Body.Read(make([]byte, 10_000))
			panic(http.ErrAbortHandler)
		}
		return false
	}}
	v.answer = func(w http.ResponseWriter, rq *http.Request, uids []string) {
		if rq.Header.Get("Expect") != "100-continue" {
			t.Errorf("after a cut the hub does not ask before it sends all")
		}
		said{failed: map[string]int{uids[0]: 0x0111}}.write(w, 409)
	}
	b.run(func() bool { return b.stats().Backlog["vna"].Quarantined == 1 }, stow(t, StowConfig{URL: v.serve(), Requests: 1}))
	if b.stats().Archived != 0 {
		t.Error("archived")
	}
}

// A hang costs its patience once, and after that its own object alone.
func TestAStowArchiveThatHangsIsGivenUp(t *testing.T) {
	for name, inBody := range map[string]bool{"before the answer": false, "in the body": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "vna")
			n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7"}
			size, stall, response := int64(10_000), time.Minute, 2*time.Second
			if inBody { // more than the buffers of the connection
				size, stall, response = 16<<20, 2*time.Second, time.Minute
			}
			for i := range 3 {
				n.SOPInstance = fmt.Sprintf("2.25.%d", 100+i)
				b.receiveBytes(hub.Object{Names: n, Length: size, Device: "d"}, make([]byte, size))
			}
			release := make(chan struct{})
			var calls atomic.Int32
			v := &vna{T: t}
			url := v.serve()
			t.Cleanup(func() { close(release) }) // before the archive is stopped
			hang := func() bool {
				if calls.Add(1) > 2 {
					return false
				}
				<-release
				return true
			}
			if inBody {
				v.before = func(http.ResponseWriter, *http.Request) bool { return hang() }
			} else {
				v.answer = func(w http.ResponseWriter, _ *http.Request, uids []string) {
					if !hang() {
						said{stored: uids}.write(w, 200)
					}
				}
			}
			d := stow(t, StowConfig{URL: url, Requests: 1, Stall: stall, Response: response})
			b.run(b.archived(3), d)
		})
	}
}

// P5: the answer names a UID, and that has two contents.
func TestAStowAnswerConfirmsNoConflictingUID(t *testing.T) {
	b := newBench(t, "vna")
	b.config.Destinations[0].Confirm = "stow"
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.99"}
	o := hub.Object{Names: n, Length: 5000, Study: "2.25.98", Device: "d"}
	one, two := make([]byte, 5000), make([]byte, 5000)
	two[4000] = 7
	v := &vna{T: t}
	d := stow(t, StowConfig{URL: v.serve(), Requests: 1})
	b.receiveBytes(o, one)
	b.run(b.archived(1), d)
	second := b.receiveBytes(o, two)
	if err := b.ledger.Release(t.Context(), second, "admin"); err != nil {
		t.Fatal(err)
	}
	b.run(func() bool { s := b.stats(); return s.Backlog["vna"].Unconfirmed == 1 || s.Archived > 1 }, d)
	b.reopenLedger()
	if s := b.stats(); s.Archived != 1 || s.Backlog["vna"].Unconfirmed != 1 {
		t.Fatalf("%+v", s)
	}
	if err := b.ledger.Confirm(t.Context(), second, "admin"); err != nil || b.stats().Archived != 2 {
		t.Errorf("%+v %v", b.stats(), err)
	}
}

func TestABadURLIsRefused(t *testing.T) {
	for _, u := range []string{"", "vna.example.org", "ftp://h/x", "https:///x", "https://user:secret@h/x", "https://h/x?a=b", "https://h/x#y"} {
		if _, err := NewStow(StowConfig{Name: "vna", URL: u}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
}
