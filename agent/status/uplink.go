package status

import "time"

// Transport of the uplink.
type Transport string

const (
	QUIC        Transport = "quic"
	TCP         Transport = "tcp"
	NoTransport Transport = "none"
)

// Transports lists those that carry something.
var Transports = []Transport{QUIC, TCP}

// Uplink is the line to the hub.
type Uplink struct {
	Connected         bool      `json:"connected"`
	Transport         Transport `json:"transport"`
	Hub               string    `json:"hub"`            // HOST:PORT of the node in use, "" when none is configured
	Since             time.Time `json:"since,omitzero"` // of the present connection, or of its loss
	RateBitsPerSecond int64     `json:"rate_bits_per_second"`
	BacklogObjects    int64     `json:"backlog_objects"` // received, not yet at the hub
	BacklogBytes      int64     `json:"backlog_bytes"`
	BacklogStudies    int64     `json:"backlog_studies"`
	LastError         string    `json:"last_error,omitempty"` // one line for technicians; never a UID or a name

	Lanes    int64     `json:"lanes"`         // connections side by side
	Why      WhyCode   `json:"why,omitempty"` // this transport and no other; absent while there is none
	Carriers []Carrier `json:"carriers"`      // those that the configuration allows
	UDPOpen  *bool     `json:"udp_open"`      // null: not known yet
	RTTMS    float64   `json:"rtt_ms"`        // there and back; 0: not known

	Rates       Classes   `json:"rates"`                        // of rate_bits_per_second
	CapBits     int64     `json:"cap_bits_per_second"`          // in force now; 0: unlimited
	CapUntil    time.Time `json:"cap_until,omitzero"`           // when the schedule brings another; absent: not within a week
	CapBackfill int64     `json:"cap_backfill_bits_per_second"` // of these for backfill; 0: no cap of its own
	PausedUntil time.Time `json:"paused_until,omitzero"`        // somebody paused sending; it goes on by itself

	BytesSent   int64   `json:"bytes_sent"`     // since the start, of data sets
	WireBytes   int64   `json:"wire_bytes"`     // the same with what carries them, and line tests, as the cap counts it
	BytesLeft   Classes `json:"bytes_by_class"` // of bytes_sent, by priority
	Receipts    int64   `json:"receipts"`       // believed since the start
	InFlight    int64   `json:"in_flight"`      // instances offered without an answer to the end
	NotBelieved int64   `json:"not_believed"`   // statements of a hub that were not believed: either it is broken or you are under attack
	Switches    int64   `json:"switches"`       // changes of transport since the start
	Connects    int64   `json:"connects"`       // connections made since the start

	Nodes []Node    `json:"nodes"`               // of the hub, in the order of the configuration
	Test  *LineTest `json:"line_test,omitempty"` // the last one since the start
}

// Classes has one figure for each priority.
type Classes struct {
	Urgent   int64 `json:"urgent"`
	Routine  int64 `json:"routine"`
	Backfill int64 `json:"backfill"`
}

// WhyCode says why the present transport was chosen. What it carried when it was
// measured is in Carriers.
type WhyCode string

const (
	WhyConfigured WhyCode = "configured"  // the configuration names it
	WhyFirst      WhyCode = "first"       // it answered first, and nothing was compared yet
	WhyFaster     WhyCode = "faster"      // it carried clearly more
	WhyClose      WhyCode = "close"       // both carry about the same: QUIC is preferred
	WhyUDPBlocked WhyCode = "udp_blocked" // only TCP gets through
	WhyTCPBlocked WhyCode = "tcp_blocked" // only UDP gets through
	WhyProxy      WhyCode = "proxy"       // only a proxy leads out, and it carries TCP
)

// WhyCodes lists all of them.
var WhyCodes = []WhyCode{WhyConfigured, WhyFirst, WhyFaster, WhyClose, WhyUDPBlocked, WhyTCPBlocked, WhyProxy}

// Carrier is how a transport does on this line.
type Carrier struct {
	Transport   Transport `json:"transport"`
	Lanes       int64     `json:"lanes"`                   // connected now
	GoodputBits int64     `json:"goodput_bits_per_second"` // data set bits when it was last measured under load; 0: never
	MeasuredAt  time.Time `json:"measured_at,omitzero"`
	RTTMS       float64   `json:"rtt_ms"`               // there and back; 0: not known
	MinRTTMS    float64   `json:"min_rtt_ms,omitempty"` // of a line test: on the empty line
	Sent        int64     `json:"packets_sent"`         // of the connected lanes
	Lost        int64     `json:"packets_lost"`         // of these
	MTU         int64     `json:"mtu"`                  // the largest packet that went through; 0: not known
	Congestion  string    `json:"congestion,omitempty"` // the algorithm
	LastError   string    `json:"last_error,omitempty"` // why its last connection ended or could not be made
}

// Loss is the share of packets that were lost; false when too few were sent to say.
func (c Carrier) Loss() (share float64, known bool) {
	if c.Sent < 1000 {
		return 0, false
	}
	return float64(c.Lost) / float64(c.Sent), true
}

// Of returns the line of a transport, zero when there is none.
func (u Uplink) Of(t Transport) Carrier {
	for _, c := range u.Carriers {
		if c.Transport == t {
			return c
		}
	}
	return Carrier{Transport: t}
}

// Node is one address of the hub.
type Node struct {
	Address  string `json:"address"`
	InUse    bool   `json:"in_use"`
	SetAside bool   `json:"set_aside"` // what it said was not believed: it is left alone for a while
}

// LineTest is the result of a test of the line: some seconds at full speed within
// the cap, on connections of its own.
type LineTest struct {
	At         time.Time `json:"at"`  // when it ended
	Hub        string    `json:"hub"` // HOST:PORT of the node
	Seconds    float64   `json:"seconds"`
	CapBits    int64     `json:"cap_bits_per_second"`    // that it kept to, on the wire; 0: unlimited
	BesideBits int64     `json:"beside_bits_per_second"` // of images that were sent meanwhile
	UDPOpen    *bool     `json:"udp_open"`               // null: not known
	Transport  Transport `json:"transport"`              // that carried most
	Carriers   []Carrier `json:"carriers"`               // what each carried
	Error      string    `json:"error,omitempty"`        // it could not be done: why
}

// Of returns the line of a transport, zero when there is none.
func (t LineTest) Of(of Transport) Carrier { return Uplink{Carriers: t.Carriers}.Of(of) }

// Progress is how far a study is of which something is still to be sent.
type Progress struct {
	SentBytes         int64     `json:"sent_bytes"`           // at the hub, or on the way to it
	TotalBytes        int64     `json:"total_bytes"`          // of what is here and is to be sent
	RateBitsPerSecond int64     `json:"rate_bits_per_second"` // 0: it waits for its turn, or nobody knows yet
	EndsAt            time.Time `json:"ends_at,omitzero"`     // at this rate, of what is here now; absent: nobody can say
}
