package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
)

// answers are real requests, one at least for every operation, in this order.
func answers(d *desk) []struct{ id, method, path, body string } {
	held := d.troubleID("held")
	return []struct{ id, method, path, body string }{
		{"status", "GET", "/status", ""},
		{"destinations", "GET", "/destinations", ""},
		{"nodes", "GET", "/nodes", ""},
		{"appliances", "GET", "/appliances?limit=2&search=box", ""},
		{"appliance", "GET", "/appliances/box1", ""},
		{"revoke", "POST", "/appliances/box1/revoke", ""},
		{"approve", "POST", "/appliances/box1/approve", ""},
		{"newCode", "POST", "/codes", `{"facility":"ASL1"}`},
		{"codes", "GET", "/codes", ""},
		{"cancelCode", "POST", "/codes/" + d.openCode() + "/cancel", ""},
		{"trouble", "GET", "/trouble", ""},
		{"trouble", "GET", "/trouble?state=lost&destination=vna&appliance=box2&limit=1", ""},
		{"searchTrouble", "POST", "/trouble/search", `{"words":"a900","state":"permanent","limit":"1"}`},
		{"findings", "GET", "/findings?appliance=box1&code=fiscal.check&limit=1", ""},
		{"events", "GET", "/events", ""},
		{"retryEvents", "POST", "/events/pacs/retry", ""},
		{"auditVerify", "GET", "/audit/verify", ""},
		{"release", "POST", "/trouble/" + held + "/release", ""},
		{"retry", "POST", "/trouble/" + d.troubleID("permanent") + "/retry", ""},
		{"confirmLost", "POST", "/trouble/" + d.troubleID("lost") + "/confirm-lost", `{"seen":"N. N. in the viewer, today"}`},
		{"confirm", "POST", "/trouble/" + d.unconfirmed() + "/confirm", ""},
		{"releaseMany", "POST", "/trouble/release", `{"destination":"vna"}`},
		{"retryMany", "POST", "/trouble/retry", `{"words":"a900"}`},
		{"confirmMany", "POST", "/trouble/confirm", `{"appliance":"box1"}`},
		{"studies", "GET", "/studies?limit=1", ""},
		{"study", "GET", "/studies/1?limit=2", ""},
		{"audit", "GET", "/audit?actor=cli&limit=3", ""},
		{"kpi", "GET", "/kpi?from=2026-01-01&to=2026-12-31&by=day", ""},
		{"tokens", "GET", "/tokens", ""},
		{"newToken", "POST", "/tokens", `{"name":"new","role":"viewer","ttl":"1h"}`},
		{"revokeToken", "POST", "/tokens/new/revoke", ""},
	}
}

func (d *desk) troubleID(state string) string {
	d.Helper()
	rows, err := d.h.ledger.TroublePage(d.Context(), ledger.TroubleFilter{State: state}, 0, 1)
	d.must(err)
	if len(rows) == 0 {
		d.Fatalf("nothing is %s", state)
	}
	return rows[0].ID.String()
}

func (d *desk) openCode() string {
	d.Helper()
	d.must(d.h.ledger.AddCode(d.Context(), [32]byte{99}, "ASL9", time.Now().Add(time.Hour), "cli:test"))
	codes, err := d.h.ledger.Codes(d.Context(), true, ledger.CodeMark{}, 10)
	d.must(err)
	return codes[0].ID
}

// unconfirmed makes an object that no commitment can confirm, in a ledger that asks
// for commitments beside the hub's.
func (d *desk) unconfirmed() string {
	d.Helper()
	c := ledgerConfig(d.h.cfg)
	for i := range c.Destinations {
		c.Destinations[i].Confirm = "commitment"
	}
	l, err := ledger.Open(d.Context(), c)
	d.must(err)
	defer l.Close()
	jobs, err := l.Lease(d.Context(), "copy", 20, time.Hour)
	d.must(err)
	for _, j := range jobs {
		if j.Conflict {
			d.must(l.Stored(d.Context(), j, ""))
			_, err := l.Ask(d.Context(), "copy", "2.25.1", 10, func(int) time.Duration { return time.Hour })
			d.must(err)
			return j.Object.ID.String()
		}
	}
	d.Fatal("no object has two contents")
	return ""
}

// Real answers of every operation are what the document says.
func TestAnswersAreAsDescribed(t *testing.T) {
	d := newDesk(t)
	d.busy()
	token := d.token("admin")
	var doc node
	d.must(json.Unmarshal(openAPI, &doc))
	asked := map[string]bool{"auditExport": true} // lines, read in another test
	for _, a := range answers(d) {
		asked[a.id] = true
		o := operationOf(a.id)
		if o.method != a.method {
			t.Errorf("%s is %s", a.id, o.method)
		}
		w := d.ask(a.method, "/api/v1"+a.path, token, a.body)
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s", a.id, w.Code, w.Header().Get("Content-Type"), w.Body)
			continue
		}
		described := doc["paths"].(node)["/api/v1"+o.path].(node)[strings.ToLower(o.method)].(node)
		schema := described["responses"].(node)["200"].(node)["content"].(node)["application/json"].(node)["schema"].(node)
		if err := conforms(doc, schema, v, a.id); err != nil {
			t.Error(err)
		}
	}
	for _, o := range operations {
		if !asked[o.id] {
			t.Errorf("%s was not asked", o.id)
		}
	}
	w := d.ask("GET", "/api/v1/appliances/nobody", token, "")
	var v any
	d.must(json.Unmarshal(w.Body.Bytes(), &v))
	if err := conforms(doc, node{"$ref": "#/components/schemas/problem"}, v, "problem"); err != nil || w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, err, w.Body)
	}
}

// Who may what: every operation, by every role. What is refused has not happened.
func TestEveryOperationNeedsItsRole(t *testing.T) {
	d := newDesk(t)
	d.busy()
	tokens := map[role]string{nobody: "", viewer: d.token("viewer"), operator: d.token("operator"), admin: d.token("admin")}
	want := map[string]role{
		"status": nobody, "destinations": viewer, "nodes": viewer, "appliances": viewer, "appliance": viewer, "trouble": viewer, "events": viewer, "studies": viewer, "study": viewer, "findings": viewer, "kpi": viewer,
		"approve": operator, "revoke": operator, "codes": operator, "newCode": operator, "cancelCode": operator, "release": operator, "retry": operator,
		"releaseMany": operator, "searchTrouble": operator, "retryEvents": operator, "retryMany": operator, "audit": operator, "auditVerify": operator, "auditExport": operator,
		"confirm": admin, "confirmLost": admin, "confirmMany": admin, "tokens": admin, "newToken": admin, "revokeToken": admin,
	}
	path := strings.NewReplacer("{id}", "x", "{key}", "0", "{name}", "x", "{sink}", "x")
	for i := range operations {
		o := &operations[i]
		least, ok := want[o.id]
		if !ok {
			t.Errorf("%s: nobody has decided who may", o.id)
		}
		for r, token := range tokens {
			w := d.ask(o.method, "/api/v1"+path.Replace(o.path), token, "")
			refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden
			if refused == (r >= least) {
				t.Errorf("%s by %s: %d", o.id, r, w.Code)
			}
			if refused && (w.Code == http.StatusUnauthorized) != (r == nobody) {
				t.Errorf("%s by %s: %d", o.id, r, w.Code)
			}
		}
	}
}

// P11: without a token nobody sees a study, an object or a word of an archive, on
// whatever path; on an address that is not loopback nobody sees anything but whether
// the hub is alive.
func TestWithoutATokenNoStudyNoObjectAndNoChange(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		d := newDesk(t, func(c *Config) { c.Console.Listen = listen })
		d.busy()
		object := d.troubleID("held")
		open := map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /login": true, "GET /api/v1/openapi.json": true}
		if listen == "127.0.0.1:0" {
			open["GET /metrics"], open["GET /api/v1/status"], open["GET /{$}"] = true, true, true
		}
		fill := strings.NewReplacer("{id}", "box1", "{key}", "1", "{name}", "x", "{sink}", "pacs", "{$}", "")
		for _, pattern := range d.h.desk.routes().patterns {
			method, path, _ := strings.Cut(pattern, " ")
			w := d.ask(method, fill.Replace(path), "", "")
			if (w.Code == http.StatusOK) != open[pattern] && pattern != "POST /login" && pattern != "POST /logout" {
				t.Errorf("%s: %s: %d", listen, pattern, w.Code)
			}
			for _, secret := range []string{"1.2.98", "1.2.99", "ROSSI", "A900", object} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("%s: %s shows %q", listen, pattern, secret)
				}
			}
		}
	}
}

// What archives say may name a patient: operators read it, viewers do not.
func TestTheWordsOfArchivesAreForOperators(t *testing.T) {
	d := newDesk(t)
	d.busy()
	for _, path := range []string{"/api/v1/trouble", "/api/v1/studies/1"} {
		if body := d.ask("GET", path, d.token("viewer"), "").Body.String(); strings.Contains(body, "ROSSI") {
			t.Errorf("%s shows them to a viewer", path)
		}
		if body := d.ask("GET", path, d.token("operator"), "").Body.String(); !strings.Contains(body, "ROSSI") {
			t.Errorf("%s does not show them to an operator", path)
		}
	}
	if w := d.ask("GET", "/api/v1/trouble?words=rossi", d.token("operator"), ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "/trouble/search") {
		t.Errorf("they stand in a URL: %d %s", w.Code, w.Body)
	}
	if w := d.ask("POST", "/api/v1/trouble/search", d.token("viewer"), `{"words":"rossi"}`); w.Code != http.StatusForbidden {
		t.Errorf("a viewer can guess them: %d", w.Code)
	}
	for words, found := range map[string]int{"rossi": 2, " ROSSI ": 2, "bianchi": 0, "": 4} {
		w := d.ask("POST", "/api/v1/trouble/search", d.token("operator"), fmt.Sprintf(`{"words":%q}`, words))
		var got struct{ Items []Trouble }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Items) < found || found < 4 && len(got.Items) != found {
			t.Errorf("%q: %d found, want %d: %s", words, len(got.Items), found, w.Body)
		}
	}
	b := d.logIn("operator")
	w := b.do("POST", "/trouble/search", url.Values{"csrf": {b.csrf("/trouble")}, "words": {"rossi"}, "limit": {"1"}})
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `name="words" value="rossi"`) || !strings.Contains(w.Body.String(), `name="cursor"`) || strings.Contains(w.Body.String(), "?words") {
		t.Errorf("the page: %d %s", w.Code, w.Body)
	}
}

// Every list can be walked to its end, by pages of one, and shows each row once.
func TestListsAreWalkedByCursor(t *testing.T) {
	d := newDesk(t)
	d.busy()
	token := d.token("admin")
	for path, key := range map[string]string{"/appliances": "id", "/codes": "id", "/studies": "key", "/audit": "seq", "/tokens": "name", "/trouble": "id", "/studies/1": "id"} {
		whole := d.get("/api/v1"+path+"?limit=500", token)["items"].([]any)
		var walked []string
		for cursor, n := "", 0; n < 100; n++ {
			p := d.get("/api/v1"+path+"?limit=1&cursor="+cursor, token)
			for _, item := range p["items"].([]any) {
				walked = append(walked, fmt.Sprint(item.(node)[key]))
			}
			next, more := p["next"].(string)
			if cursor = next; !more {
				break
			}
		}
		var want []string
		for _, item := range whole {
			want = append(want, fmt.Sprint(item.(node)[key]))
		}
		if len(want) == 0 || !slices.Equal(walked, want) {
			t.Errorf("%s: got %v, want %v", path, walked, want)
		}
	}
}

// What is asked wrongly is answered with a sentence that says what to do.
func TestWrongRequestsAreAnsweredWithAProblem(t *testing.T) {
	d := newDesk(t)
	d.busy()
	token := d.token("admin")
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/appliances?limit=0", "", 400, "want a number from 1 to 500"},
		{"GET", "/appliances?limit=501", "", 400, "want a number from 1 to 500"},
		{"GET", "/appliances?cursor=%21", "", 400, "leave it out to begin anew"},
		{"GET", "/audit?cursor=WyJ4Il0", "", 400, "leave it out to begin anew"},
		{"GET", "/appliances?state=happy", "", 400, "approved, revoked"},
		{"GET", "/appliances?quiet=-1h", "", 400, "as 1h or 7d"},
		{"GET", "/appliances?search=" + strings.Repeat("x", 201), "", 400, "more than 200 bytes"},
		{"GET", "/trouble?state=happy", "", 400, "held, permanent, unconfirmed, lost"},
		{"GET", "/studies/999999", "", 404, "there is none"},
		{"GET", "/studies/x", "", 404, "there is none"},
		{"POST", "/appliances/nobody/revoke", "", 404, "no such device"},
		{"POST", "/codes", `{"facility":"a b"}`, 400, "want 1 to 64 letters"},
		{"POST", "/codes", `{"facility":"A","ttl":"1s"}`, 400, "from 1m to 365d"},
		{"POST", "/codes", `{"facilty":"A"}`, 400, "unknown field"},
		{"POST", "/codes", `{"facility":"A"} {}`, 400, "more than one JSON value"},
		{"POST", "/codes/" + strings.Repeat("0", 32) + "/cancel", "", 409, "no code of this name is open"},
		{"POST", "/trouble/xyz/retry", "", 400, "64 hexadecimal digits"},
		{"POST", "/trouble/" + strings.Repeat("0", 64) + "/retry", "", 409, "it has no permanent job"},
		{"POST", "/trouble/" + strings.Repeat("0", 64) + "/confirm-lost", `{"seen":"A. A., today"}`, 409, "it has no job that is lost"},
		{"POST", "/trouble/" + strings.Repeat("0", 64) + "/confirm-lost", `{"seen":" "}`, 400, "who has seen the image"},
		{"POST", "/trouble/" + strings.Repeat("0", 64) + "/confirm-lost", `{"seen":"` + strings.Repeat("x", 501) + `"}`, 400, "500 bytes at most"},
		{"POST", "/trouble/xyz/confirm-lost", `{"seen":"A. A., today"}`, 400, "64 hexadecimal digits"},
		{"POST", "/trouble/retry", "{}", 400, "name a destination"},
		{"POST", "/trouble/retry", `{"words":" "}`, 400, "name a destination"},
		{"POST", "/trouble/retry", `{"words":" a9 "}`, 400, "want 3 characters at least"},
		{"POST", "/trouble/search", `{"words":"0"}`, 400, "want 3 characters at least"},
		{"POST", "/trouble/search", `{"state":"odd"}`, 400, "want one of"},
		{"POST", "/events/nobody/retry", "", 404, "no sink of this name"},
		{"POST", "/tokens", `{"name":"A B","role":"admin"}`, 400, "small letters"},
		{"POST", "/tokens", `{"name":"a","role":"king"}`, 400, "viewer, operator or admin"},
		{"POST", "/tokens/nobody/revoke", "", 404, "no such token"},
	} {
		w := d.ask(c.method, "/api/v1"+c.path, token, c.body)
		var p problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.code || p.Status != c.code || !strings.Contains(p.Title+p.Detail, c.want) {
			t.Errorf("%s %s %s: %d %s (%v)", c.method, c.path, c.body, w.Code, w.Body, err)
		}
	}
	big := d.ask("POST", "/api/v1/codes", token, `{"facility":"`+strings.Repeat("x", 100_000)+`"}`)
	if big.Code != http.StatusBadRequest {
		t.Errorf("a body of 100 kB: %d", big.Code)
	}
}

// Every change by the API is in the trail with the token's name and the address.
func TestEveryChangeIsInTheTrail(t *testing.T) {
	d := newDesk(t)
	d.busy()
	token := d.token("admin")
	d.origin = "10.20.30.40:5000"
	last := func() int64 {
		e, _, err := d.h.ledger.AuditPage(d.Context(), ledger.AuditFilter{}, 0, 1)
		d.must(err)
		return e[0].Seq
	}
	for _, a := range answers(d) {
		if a.method != "POST" {
			continue
		}
		before := last()
		w := d.ask(a.method, "/api/v1"+a.path, token, a.body)
		var done Done
		d.must(json.Unmarshal(w.Body.Bytes(), &done))
		e, _, err := d.h.ledger.AuditPage(d.Context(), ledger.AuditFilter{}, 0, 1)
		d.must(err)
		if a.id == "searchTrouble" {
			continue // changes nothing
		}
		nothing := strings.HasSuffix(a.id, "Many") && done.Done == 0
		if !nothing && (e[0].Seq == before || !strings.HasPrefix(e[0].Actor, "token:admin-") || e[0].Origin != "10.20.30.40") {
			t.Errorf("%s (%d): %+v", a.id, w.Code, e[0])
		}
	}
	if _, err := d.h.ledger.VerifyAudit(d.Context()); err != nil {
		t.Error(err)
	}
	w := d.ask("GET", "/api/v1/audit/export", token, "")
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	var e AuditEntry
	d.must(json.Unmarshal([]byte(lines[len(lines)-1]), &e))
	if e.Action != "audit export" || len(e.Hash) != 64 || len(lines) < 20 {
		t.Errorf("export of %d lines ends with %+v", len(lines), e)
	}
}

// Retry of many frees what matches, and tells how many there are left.
func TestManyAreFreedByWhatTheArchiveSaid(t *testing.T) {
	d := newDesk(t)
	d.busy()
	token := d.token("operator")
	w := d.ask("POST", "/api/v1/trouble/retry", token, `{"words":"does not match","destination":"vna"}`)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"done": 2`) || strings.Contains(w.Body.String(), `"more": true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	left := d.get("/api/v1/trouble?state=permanent", token)["items"].([]any)
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// What cannot be freed stays where it is and comes first: it hides nothing that comes
// after it, however much it is.
func TestManyGoOnBehindWhatCannotBeFreed(t *testing.T) {
	d := newDesk(t)
	token, ctx, l := d.token("operator"), t.Context(), d.h.ledger
	var all []hub.Object
	for n := range mostAtOnce + 3 {
		all = append(all, d.object("box", n, "x"))
	}
	d.must(l.Receive(ctx, all))
	for _, destination := range []string{"vna", "copy"} {
		jobs, err := l.Lease(ctx, destination, len(all), time.Hour)
		d.must(err)
		for _, j := range jobs {
			if destination == "vna" && j.Object.ID != all[len(all)-1].ID {
				d.must(l.Done(ctx, j, ""))
			} else {
				d.must(l.Refuse(ctx, j, "A900"))
			}
		}
	}
	for range all { // the archive has all but one, and the hub no copy of those
		ids, err := l.Expired(ctx, 0, 1000)
		d.must(err)
		if len(ids) == 0 {
			break
		}
		d.must(l.Removed(ctx, ids))
	}
	freed, from, rounds := 0, "", 0
	for more := true; more; rounds++ {
		w := d.ask("POST", "/api/v1/trouble/retry", token, `{"destination":"copy","cursor":"`+from+`"}`)
		var done Done
		d.must(json.Unmarshal(w.Body.Bytes(), &done))
		if w.Code != 200 || rounds > 3 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		freed, more, from = freed+done.Done, done.More, done.Next
	}
	if freed != 1 || rounds != 2 {
		t.Errorf("%d freed by %d requests", freed, rounds)
	}
	if w := d.ask("POST", "/api/v1/trouble/retry", token, `{"cursor":"`+cursor(1)+`"}`); w.Code != http.StatusBadRequest {
		t.Errorf("of everything: %d", w.Code)
	}
	if w := d.ask("POST", "/api/v1/trouble/retry", token, `{"destination":"copy","cursor":"x"}`); w.Code != http.StatusBadRequest {
		t.Errorf("a cursor of nothing: %d", w.Code)
	}
}

// The API says whether the trail is good, as the command line does.
func TestTheTrailIsVerifiedByAPI(t *testing.T) {
	d := newDesk(t)
	token := d.token("operator")
	v := d.get("/api/v1/audit/verify", token)
	last, _ := v["last_hash"].(string)
	if v["good"] != true || len(last) != 64 {
		t.Fatalf("got %v", v)
	}
	d.must(d.h.ledger.Audit(t.Context(), "cli:test", "nothing", "x", ""))
	if v := d.get("/api/v1/audit/verify?last="+last, token); v["good"] != true || v["last_hash"] == last {
		t.Errorf("with a hash that was kept: %v", v)
	}
	if v := d.get("/api/v1/audit/verify?last="+strings.Repeat("ab", 32), token); v["good"] != false || !strings.Contains(fmt.Sprint(v["why"]), "no row of the chain") {
		t.Errorf("with another: %v", v)
	}
	if w := d.ask("GET", "/api/v1/audit/verify?last=x", token, ""); w.Code != http.StatusBadRequest {
		t.Errorf("with none: %d", w.Code)
	}
}

// An answer that takes longer than the server gives a short one comes whole, as long as
// pieces go through: a trail of years over a slow line.
func TestALongAnswerIsNotCutByTheServersTime(t *testing.T) {
	c := &console{h: &theHub{log: slog.New(slog.DiscardHandler)}}
	const limit, pieces = 100 * time.Millisecond, 8
	cut := make(chan error, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.reply(w, stream{kind: "application/jsonl", name: "x", write: func(w io.Writer) error {
			tick := time.NewTicker(limit / 2)
			defer tick.Stop()
			for range pieces {
				<-tick.C
				if _, err := w.Write(make([]byte, 3*streamPiece)); err != nil {
					return err
				}
			}
			cut <- r.Context().Err()
			return nil
		}})
	}))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = limit, limit
	srv.Start()
	defer srv.Close()
	rs, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Body.Close()
	n, err := io.Copy(io.Discard, rs.Body)
	if err != nil || n != pieces*3*streamPiece {
		t.Errorf("%d bytes of %d, %v", n, pieces*3*streamPiece, err)
	}
	if err := <-cut; err != nil {
		t.Errorf("the question to the rows would have ended: %v", err)
	}
}
