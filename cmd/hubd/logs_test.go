package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"edged/dimse"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// gossip is an archive that refuses every second object, commits itself to none, and
// names a patient when it says why.
type gossip struct {
	stored, asked atomic.Int64
}

func (*gossip) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (g *gossip) Store(_ context.Context, _ *dimse.Association, _ dimse.StoreRequest, data io.Reader) dimse.Status {
	if _, err := io.Copy(io.Discard, data); err != nil || g.stored.Add(1)%2 == 0 {
		return dimse.StatusCannotUnderstand
	}
	return dimse.StatusSuccess
}

func (g *gossip) RequestCommitment(context.Context, *dimse.Association, dimse.CommitmentRequest) dimse.Answer {
	g.asked.Add(1)
	return dimse.Answer{Status: dimse.StatusProcessingFailure, Comment: "ROSSI^MARIO 1950"}
}

// A run with names in every place where a peer can put them: none of them is in the
// log at info, and no UID (P10).
func TestTheLogNamesNobody(t *testing.T) {
	archive := &gossip{}
	s := newSite(t)
	s.only = fmt.Sprintf("log: {level: info}\ndestinations:\n- {name: vna, type: cstore, address: '%s', ae_title: VNA, calling: HUBSCU, confirm: commitment}\n", serveDICOMArchive(t, archive, archive))
	s.configure()
	logged := &logText{}
	cfg, err := load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Console.Listen = "127.0.0.1:0"
	h, err := openHub(t.Context(), cfg, slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.serve(ctx) }()
	source := uplinktest.NewSource()
	for n := range 8 {
		source.Add(uint64(n), 3000, 1)
	}
	s.uplink(s.enrol(), source, func(*uplink.Uplink) bool {
		stuck, err := h.ledger.Stuck(t.Context(), 100)
		return err == nil && len(stuck) >= 4 && archive.asked.Load() > 0
	})
	d := &desk{T: t, h: h, handler: h.desk.handler(), origin: "127.0.0.1:1"}
	token := d.token("operator")
	for _, path := range []string{"/api/v1/trouble?words=ROSSI", "/api/v1/studies?appliance=ROSSI", "/ROSSI%5EMARIO", "/api/v1/studies/1"} {
		d.ask("GET", path, token, "")
	}
	d.ask("POST", "/api/v1/trouble/retry", token, `{"words":"ROSSI"}`)
	d.ask("POST", "/api/v1/trouble/search", token, `{"words":"ROSSI"}`)
	d.ask("GET", "/api/v1/appliances", tokenPrefix+"ROSSI", "")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := h.close(); err != nil {
		t.Error(err)
	}
	text := logged.String()
	var uids []string
	source.Each(func(it *uplinktest.Item) { uids = append(uids, it.Study, it.Names.SOPInstance) })
	for _, secret := range append(uids, "ROSSI", "MARIO", token) {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if !strings.Contains(text, "hubd ready") || !strings.Contains(text, "hubd stops") {
		t.Errorf("no log: %s", text)
	}
	event := regexp.MustCompile(`msg="?([^" ]+)`)
	for line := range strings.Lines(text) {
		m := event.FindStringSubmatch(line)
		if m == nil || strings.ToLower(m[1][:1]) != m[1][:1] {
			t.Errorf("an event begins with a small letter: %s", line)
		}
	}
}
