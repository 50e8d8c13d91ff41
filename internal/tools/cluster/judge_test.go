package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"edged/hub/events"
	"edged/internal/dicom"
)

// What an archive has and should not, has not and should, or has otherwise, is each seen.
func TestWhatIsWrongIsSeen(t *testing.T) {
	a, b := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	for name, c := range map[string]struct {
		has  holding
		want verdict
	}{
		"all":         {holding{"1": {a}}, verdict{}},
		"missing":     {holding{}, verdict{missing: 1}},
		"altered":     {holding{"1": {b}}, verdict{altered: 1}},
		"twice":       {holding{"1": {a, a}}, verdict{duplicates: 1}},
		"two of them": {holding{"1": {a, b}}, verdict{duplicates: 1}},
		"a stranger":  {holding{"1": {a}, "2": {b}}, verdict{strangers: 1}},
	} {
		s := &site{sent: newLedger()}
		s.sent.made["1"] = &instance{digest: a, acked: map[int]bool{0: true}}
		var got verdict
		s.compare(&got, s.sent.acked(), c.has, map[string]bool{})
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// whole is a verdict on three instances without a fault.
func whole() *verdict {
	return &verdict{acked: 3, archived: 3, promised: promised{committed: 3}, told: told{studies: 2, events: 2}}
}

// Each fault alone is enough for the proof to fail; what came or was told again is none.
func TestEachFaultFailsTheProof(t *testing.T) {
	if err := whole().print(1); err != nil {
		t.Error(err)
	}
	again := whole()
	again.repeats, again.promised.again, again.told.repeats, again.told.failed = 5, 5, 5, 5
	if err := again.print(1); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(v *verdict){
		"nothing":                     func(v *verdict) { *v = verdict{} },
		"not archived":                func(v *verdict) { v.archived = 2 },
		"never sent":                  func(v *verdict) { v.strangers = 1 },
		"twice":                       func(v *verdict) { v.duplicates = 1 },
		"too often":                   func(v *verdict) { v.repeats = maxRepeats + 1 },
		"not committed":               func(v *verdict) { v.promised.committed, v.promised.missing = 2, 1 },
		"asked for what is not there": func(v *verdict) { v.promised.NotHeld = 1 },
		"a report refused":            func(v *verdict) { v.promised.Refused = 1 },
		"a study not told":            func(v *verdict) { v.told.silent = 1 },
		"an instance not told":        func(v *verdict) { v.told.missing = 1 },
		"told before commitment":      func(v *verdict) { v.told.early = 1 },
		"told wrongly":                func(v *verdict) { v.told.wrong = []string{"x"} },
	} {
		v := whole()
		spoil(v)
		if v.print(1) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// say tells a receiver of an event, signed with key.
func say(r *receiver, key, body string) int {
	signature, err := events.Signature([]byte(key), time.Now().Unix(), strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	digest := sha256.Sum256([]byte(body))
	q := httptest.NewRequest("POST", "/events", strings.NewReader(body))
	q.Header = http.Header{"Content-Type": {"application/json"}, "Edged-Signature": {signature}, "Idempotency-Key": {hex.EncodeToString(digest[:])}}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w.Code
}

// What a receiver was not told, told out of order, otherwise the second time, too early,
// or by somebody else is each seen; what it is told again is not.
func TestWhatIsToldWrongIsSeen(t *testing.T) {
	id := dicom.ID{7}
	complete := `{"study_instance_uid":"9","kind":"complete","revision":1,"series":[{"objects":[{"sop_instance_uid":"1","id":"` + id.String() + `","state":"archived"}]}]}`
	other := strings.Replace(complete, `"series"`, `"at":"later","series"`, 1)
	changed := strings.Replace(strings.Replace(complete, "complete", "changed", 1), `"revision":1`, `"revision":2`, 1)
	third := strings.Replace(changed, `"revision":2`, `"revision":3`, 1)
	waiting := strings.Replace(complete, `"archived"`, `"received"`, 1)
	acked := map[string]*instance{"1": {id: id, study: "9"}}
	for name, c := range map[string]struct {
		bodies []string
		key    string // "": the receiver's
		said   bool
		want   told
	}{
		"all":               {bodies: []string{complete, changed}, said: true, want: told{studies: 1, events: 2}},
		"again":             {bodies: []string{complete, complete}, said: true, want: told{studies: 1, events: 1, repeats: 1}},
		"nothing":           {said: true, want: told{studies: 1, silent: 1, missing: 1}},
		"no archive has it": {bodies: []string{waiting}, want: told{studies: 1, events: 1, missing: 1}},
		"too early":         {bodies: []string{complete}, want: told{studies: 1, events: 1, early: 1}},
		"no first":          {bodies: []string{changed}, said: true, want: told{studies: 1, silent: 1, events: 2, wrong: make([]string, 1)}},
		"one dropped":       {bodies: []string{complete, third}, said: true, want: told{studies: 1, events: 3, wrong: make([]string, 1)}},
		"other bytes":       {bodies: []string{complete, other}, said: true, want: told{studies: 1, events: 1, wrong: make([]string, 1)}},
		"another's secret":  {bodies: []string{complete}, key: "x", said: true, want: told{studies: 1, silent: 1, missing: 1, wrong: make([]string, 1)}},
		"no event":          {bodies: []string{"{}"}, said: true, want: told{studies: 1, silent: 1, missing: 1, wrong: make([]string, 1)}},
	} {
		r := newBareReceiver(func(string) bool { return c.said })
		for _, body := range c.bodies {
			say(r, cmp.Or(c.key, string(r.secret)), body)
		}
		got := r.verdict(acked)
		if len(got.wrong) == len(c.want.wrong) {
			got.wrong, c.want.wrong = nil, nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// It fails now and then, before it has an event and after, and is told again.
func TestTheReceiverFailsNowAndThen(t *testing.T) {
	r := newBareReceiver(func(string) bool { return true })
	for n := range 2 * failEvery {
		body := fmt.Sprintf(`{"study_instance_uid":"%d","kind":"complete","revision":1}`, n)
		for range 10 {
			if say(r, string(r.secret), body) == http.StatusOK {
				break
			}
		}
	}
	got := r.verdict(nil)
	if got.failed != 2 || got.events != 2*failEvery || got.repeats != 1 || len(got.wrong) != 0 {
		t.Errorf("%+v", got)
	}
}
