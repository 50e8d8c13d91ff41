package uplink

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestBothCarriersSayWhy: that TCP is closed on the way must not hide that the hub
// behind UDP is another one.
func TestBothCarriersSayWhy(t *testing.T) {
	u := &Uplink{c: Config{Transport: "auto", LanesMin: 1, LanesMax: 4}.withDefaults()}
	team := newTeam(u, "hub")
	quic, tcp := errors.New("certificate signed by unknown authority"), errors.New("connection refused")
	for c, err := range map[string]error{carrierQUIC: quic, carrierTCP: tcp} {
		m := &member{carrier: c}
		team.members = append(team.members, m)
		if err := team.hear(event{m: m, over: true, err: err}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	why := team.why()
	if !errors.Is(why, quic) || !errors.Is(why, tcp) || !strings.Contains(why.Error(), quic.Error()) {
		t.Errorf("%v", why)
	}
}
