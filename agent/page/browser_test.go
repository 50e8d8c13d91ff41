package page

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edged/agent/status"
)

// A green page that has lost its appliance is a lie that costs an examination.
// A real browser opens a page, and then contact is lost in one way or another:
// the page turns grey by itself, and one that keeps its contact does not. The
// clock of 25 seconds is wound short here, in the files that the browser gets.
func TestGreenHasToBeEarned(t *testing.T) {
	browser := chromium(t)
	never := func(string, int64) bool { return false }
	cases := []struct {
		name string
		gone func(path string, pages int64) bool // what is refused, after so many pages
		grey bool
	}{
		{"all is well", never, false},
		{"no events, but pages", func(path string, _ int64) bool { return path == "/api/v1/events" }, false},
		{"the appliance is gone", func(_ string, pages int64) bool { return pages > 1 }, true},
		{"events go on, the page fails", func(path string, pages int64) bool { return path == "/" && pages > 1 }, true},
		{"the script never comes", func(path string, _ int64) bool { return path == "/assets/page.js" }, true},
		{"htmx never comes", func(path string, _ int64) bool { return path == "/assets/htmx.js" }, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := hurried(t, c.gone)
			got := watch(t, browser, server.URL+"/?lang=it")
			if got.Grey != c.grey || got.Coloured == c.grey {
				t.Errorf("grey %t, coloured %t, title %q", got.Grey, got.Coloured, got.Title)
			}
			if scripted := c.name != "the script never comes"; scripted && (got.Title == "Pagina ferma") != c.grey {
				t.Errorf("the title is %q", got.Title)
			}
		})
	}
}

// hurried serves a page that turns grey after 5 seconds instead of 25 and asks
// after 1.4 instead of 14: the room between is for slow machines.
func hurried(t *testing.T, gone func(string, int64) bool) *httptest.Server {
	t.Helper()
	var pages atomic.Int64
	page := newPage(t, ordinary())
	faster := strings.NewReplacer("1ms 25s", "1ms 5s", "every 15s", "every 1500ms")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			pages.Add(1)
		}
		if gone(r.URL.Path, pages.Load()) {
			http.Error(w, "gone", http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path == "/api/v1/events" || r.URL.Path == "/assets/htmx.js" {
			page.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		fmt.Fprint(w, faster.Replace(answer.Body.String()))
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server
}

type seen struct {
	Title          string
	Grey, Coloured bool
}

// look waits for grey at most nine seconds, nearly twice the hurried clock, and
// tells what a person would see.
const look = `new Promise(tell => {
	const end = Date.now() + 9000, seen = id => getComputedStyle(document.getElementById(id)).visibility === "visible";
	const again = () => seen("stale") || Date.now() > end
		? setTimeout(() => tell(JSON.stringify({Title: document.title, Grey: seen("stale"), Coloured: seen("state")})), 200)
		: setTimeout(again, 100);
	again();
})`

func watch(t *testing.T, browser, url string) (got seen) {
	t.Helper()
	b := drive(t, browser)
	session := b.open(url)
	if raw := b.evaluate(session, look); json.Unmarshal([]byte(raw), &got) != nil {
		t.Fatalf("the browser says %q", raw)
	}
	return got
}

// changing is a Source that can be exchanged while it is shown.
type changing struct {
	Bell
	now atomic.Pointer[demo]
}

func (c *changing) Status() status.Status        { return c.now.Load().status }
func (c *changing) Devices() []status.Device     { return c.now.Load().devices }
func (c *changing) Studies(n int) []status.Study { return c.now.Load().Studies(n) }
func (c *changing) Moving(n int) []status.Study  { return c.now.Load().Moving(n) }

// What happens on the appliance is on the page within a second or two, without a
// reload: the mark that is left in the window is still there afterwards, what somebody
// opened is open, and what he is writing is written where he writes it.
func TestAChangeIsSeenWithoutReload(t *testing.T) {
	source := &changing{}
	scene := func(name string) *demo {
		d := scenes()[name]
		d.devices[0].Negotiation = &status.Negotiation{At: morning, Called: "EDGED", Accepted: true}
		return d
	}
	source.now.Store(scene("ok"))
	p, err := New(allDesks(Config{Source: source, Anonymous: AnonymousMasked, Location: rome, now: func() time.Time { return morning }}))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	defer server.Close()
	defer server.CloseClientConnections()
	b := drive(t, chromium(t))
	session := b.open(server.URL + "/?lang=it")
	b.evaluate(session, `window.mark = "here"; document.querySelector("#devices details").open = true;
		document.getElementById("find").focus(); document.getElementById("find").value = "abc"; "ok"`)
	source.now.Store(scene("attention"))
	source.Ring(status.StatusChanged)
	got := b.evaluate(session, `new Promise(tell => {
		const end = Date.now() + 60000, part = id => document.getElementById(id);
		const again = () => !part("warnings").hidden || Date.now() > end
			? tell([window.mark, part("word").textContent, part("state").className, part("devices").textContent.includes("ECO_NEW"), part("warnings").hidden,
				document.querySelector("#devices details").open, document.activeElement.id, part("find").value].join())
			: setTimeout(again, 50);
		again();
	})`)
	if got != "here,Da controllare,state is-attention,true,false,true,find,abc" {
		t.Errorf("the page has %q", got)
	}
}

// Where somebody fills in a form nothing moves: what he writes for one device must never
// be sent for another that has come meanwhile.
func TestAFormThatIsFilledInIsLeftAlone(t *testing.T) {
	source := &changing{}
	source.now.Store(scenes()["attention"])
	p := deskPage(t, source)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/devices" {
			p.ServeHTTP(w, r)
			return
		}
		asked.Add(1)
		for _, l := range p.deviceLeaves() { // as an administrator sees it
			if rq := p.request(r); l.path == "/devices" {
				rq.Viewer = viewers[2]
				data, err := l.build(rq)
				if err != nil {
					t.Error(err)
				}
				p.draw(w, rq, l, data)
			}
		}
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	b := drive(t, chromium(t))
	session := b.open(server.URL + "/devices")
	b.evaluate(session, `document.querySelector("#pending details").open = true; document.getElementById("name-0").focus(); document.getElementById("name-0").value = "ECO di sopra"; "ok"`)
	next := scenes()["attention"]
	newcomer := next.devices[len(next.devices)-2]
	newcomer.AETitle, newcomer.LastSeen = "AAA_FIRST", morning
	next.devices = append([]status.Device{newcomer}, next.devices...)
	next.devices[2].Name = "changed"
	source.now.Store(next)
	source.Ring(status.DevicesChanged)
	got := b.evaluate(session, `new Promise(tell => {
		const end = Date.now() + 60000, list = () => document.getElementById("device-list").textContent.includes("changed");
		const again = () => list() || Date.now() > end
			? tell([list(), document.querySelector("#pending input[name=title]").value, document.getElementById("name-0").value].join())
			: setTimeout(again, 50);
		again();
	})`)
	if got != "true,ECO_NEW,ECO di sopra" {
		t.Errorf("the page has %q after %d answers", got, asked.Load())
	}
}

// remote is a browser that is driven over two pipes (Chrome DevTools Protocol,
// messages end with a zero byte).
type remote struct {
	t    *testing.T
	in   *os.File
	out  *bufio.Reader
	last int

	session string // of the page that is looked at
}

func drive(t *testing.T, browser string) *remote {
	t.Helper()
	// Not t.Context(): that ends before Cleanup, which lets the browser close in order.
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	itsIn, ourOut := pipe(t)
	ourIn, itsOut := pipe(t)
	command := exec.CommandContext(ctx, browser, append(browserFlags(t), "--remote-debugging-pipe")...)
	command.ExtraFiles = []*os.File{itsIn, itsOut} // 3 and 4, as the protocol wants them
	command.WaitDelay = 10 * time.Second
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	itsIn.Close()
	itsOut.Close() // so that our reading ends when the browser does
	b := &remote{t: t, in: ourOut, out: bufio.NewReader(ourIn)}
	t.Cleanup(func() {
		b.call("", "Browser.close", object{}, nil) // all its processes leave the profile alone after this
		_ = command.Wait()                         // how it went is no matter
	})
	return b
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// open shows url in a page of its own and returns when it has loaded.
func (b *remote) open(url string) (session string) {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", object{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &attached)
	b.call(attached.SessionID, "Page.navigate", object{"url": url}, nil)
	b.evaluate(attached.SessionID, `new Promise(tell => document.readyState === "complete" ? tell("") : addEventListener("load", () => tell("")))`)
	return attached.SessionID
}

// evaluate returns the string that expression is, or comes to be.
func (b *remote) evaluate(session, expression string) string {
	b.t.Helper()
	var answer struct{ Result struct{ Value string } }
	b.call(session, "Runtime.evaluate", object{"expression": expression, "awaitPromise": true}, &answer)
	return answer.Result.Value
}

// call sends one command and reads up to its answer; events are passed over.
func (b *remote) call(session, method string, params object, result any) {
	b.t.Helper()
	b.last++
	message := object{"id": b.last, "method": method, "params": params}
	if session != "" {
		message["sessionId"] = session
	}
	raw, err := json.Marshal(message)
	if err == nil {
		_, err = b.in.Write(append(raw, 0))
	}
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		raw, err := b.out.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(raw[:len(raw)-1], &answer); err != nil || answer.Error != nil {
			b.t.Fatalf("%s: %v %s", method, err, raw)
		}
		if answer.ID != b.last {
			continue
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

func chromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no browser")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: what a browser does is not tested")
	}
	return browser
}

func browserFlags(t *testing.T) []string {
	t.Helper()
	return []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir()}
}
