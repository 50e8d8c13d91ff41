package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"edged/internal/synth"
)

// aProxy knows CONNECT, and alone the hub's name.
type aProxy struct {
	name, to string
	wg       sync.WaitGroup

	mu    sync.Mutex // guards what follows
	asked int
	other []string // what it was asked for besides
}

func newProxy(t *testing.T, name, to string) (*aProxy, string) {
	t.Helper()
	p := &aProxy{name: name, to: to}
	s := httptest.NewServer(p)
	t.Cleanup(func() { s.Close(); p.wg.Wait() })
	return p, s.URL
}

// ServeHTTP implements http.Handler.
func (p *aProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.RequestURI != p.name {
		p.mu.Lock()
		p.other = append(p.other, r.Method+" "+r.RequestURI)
		p.mu.Unlock()
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, "no", http.StatusBadGateway)
		return
	}
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	from, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		to.Close()
		return
	}
	io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		p.wg.Go(func() {
			io.Copy(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
}

func (p *aProxy) count(t *testing.T) int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.other) > 0 {
		t.Errorf("the proxy was asked for %q", p.other)
	}
	return p.asked
}

// Where a proxy alone leads out, and alone knows the hub's name (hub.invalid has no
// address, RFC 6761 §6.4), an appliance enrols, renews its certificate, and sends.
func TestApplianceBehindAProxy(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	_, port, _ := net.SplitHostPort(r.hub)
	name := net.JoinHostPort("hub.invalid", port)
	p, url := newProxy(t, name, r.hub)
	r.startHub()
	r.hub = name
	r.rewrite("edged.yaml", "uplink: {hubs: ["+name+"], proxy: "+url+"}")
	r.enroll()
	enrolled := p.count(t)
	if enrolled < 2 {
		t.Errorf("%d tunnels to enrol", enrolled)
	}
	old := r.age(250 * day)
	r.startEdged()
	r.await("a new certificate", func() bool { return r.bundle(r.identityFile()).Cert.NotAfter.After(old.Cert.NotAfter) })
	objects := synthetic(t, 1, synth.Bench(3, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.mustArriveOnce(r.keep(objects...))
	if n := p.count(t) - enrolled; n < 2 {
		t.Errorf("%d tunnels to renew and to send", n)
	}
	if st := r.status(); string(st.Uplink.Transport) != "tcp" || st.Uplink.Why != "proxy" {
		t.Errorf("it sends over %s: %s", st.Uplink.Transport, st.Uplink.Why)
	}
	for lang, words := range map[string]string{"it": "solo tramite un proxy", "en": "the only way out is through a proxy", "de": "nur über einen Proxy"} {
		if page := r.fetch("/line?lang=" + lang); !strings.Contains(page, words) {
			t.Errorf("the page in %s does not say %q", lang, words)
		}
	}
	if page := r.fetch("/metrics"); !strings.Contains(page, "\n"+`edged_uplink_why{why="proxy"} 1`) {
		t.Error("the metrics do not say why")
	}
}
