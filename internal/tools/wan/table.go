package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"edged/internal/tools/lab"
)

// figureNames are the figures of the last line, in order; goals are those of
// objects of 512 KiB.
var figureNames = []string{"relay_Gbps", "relay_kpps",
	"auto_1g", "auto_1g-0.1", "auto_1g-1", "quic_1g", "quic_1g-0.1", "quic_1g-1", "cstore_1g", "cstore_1g-0.1", "cstore_1g-1", "tuned_1g", "tuned_1g-0.1", "tuned_1g-1",
	"cstore_5g", "quic_tls_loopback", "tcp_tls_loopback", "rss_edged", "rss_hubd",
	"urgent_100m_auto", "urgent_100m_quic", "urgent_100m_tcp", "urgent_1g_auto", "urgent_1g_quic", "urgent_1g_tcp", "fallback_s", "fallback_late_s"}

// theRun says where the figures come from.
func theRun(ctx context.Context, b *bench, o options) lab.Section {
	s := lab.Machine(ctx, b.Lab, "make build && go run ./internal/tools/wan "+strings.Join(os.Args[1:], " "))
	s.Row("seed of the loss", fmt.Sprint(o.seed))
	s.Row("DCMTK", lab.FirstLine(ctx, "storescu", "--version"))
	s.Row("congestion control of the peers", o.congestion)
	s.Row("rsync", lab.FirstLine(ctx, "rsync", "--version"))
	s.Row("curl", lab.FirstLine(ctx, "curl", "--version"))
	return s
}

// thePeers says how each is set up.
func thePeers(all []peer) lab.Section {
	s := lab.Section{Title: "Who carries", Head: []string{"", "set up"}}
	for _, p := range all {
		if p.missing() {
			s.Row(p.name, p.program+" is not installed")
		} else {
			s.Row(p.name, p.how)
		}
	}
	return s
}

// plan is what was asked for.
type plan struct {
	lines  []wire
	sizes  []size
	peers  []peer
	extras []extra
}

func newPlan(o options) (p plan, err error) {
	var errs [4]error
	p.lines, errs[0] = chosen(lines, lineID, o.lines)
	p.sizes, errs[1] = chosen(sizes, sizeID, o.sizes)
	p.peers, errs[2] = chosen(peers, peerID, o.peers)
	p.extras, errs[3] = chosen(extras, extraID, o.extras)
	return p, errors.Join(errs[:]...)
}

// tell is what happened on the way, for people.
func tell(carriers []string, lanes, most int) string {
	if len(carriers) == 0 {
		return ""
	}
	text := strings.Join(carriers, " → ")
	switch {
	case most > lanes:
		text += fmt.Sprintf(", lanes: %d at the end, %d at most", lanes, most)
	case lanes == 1:
		text += ", 1 lane"
	case lanes > 1:
		text += fmt.Sprintf(", %d lanes", lanes)
	}
	return text
}
