package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"edged/hub/ledger"
	"edged/hub/receive"
)

// Status is what the console shows and /api/v1/status answers. It holds figures
// and names of appliances, never of people (P10).
type Status struct {
	State        string              `json:"state" enum:"ok,catching_up,attention,stopped"` // ok | catching_up | attention | stopped
	Version      string              `json:"version"`
	StartedAt    time.Time           `json:"started_at"`
	Listen       string              `json:"listen"`
	Counters     Counters            `json:"counters"`
	Rates        Rates               `json:"rates"`
	Disk         Disk                `json:"disk"`
	Devices      Devices             `json:"devices"`
	Strangers    int                 `json:"strangers"` // connections to the TCP port that are not of appliances
	Destinations []DestinationStatus `json:"destinations"`
	Sinks        []SinkStatus        `json:"sinks"`
	Warnings     []string            `json:"warnings"`

	here   int           // appliances connected to this node
	bucket string        // what is wrong with it
	walk   time.Duration // for how long nothing was brought to changed destinations, though there is more
	start  []string      // the first of the warnings: of the configuration and the clock
}

// Counters are for the life of the data directory. Held, quarantined and lost are
// of this moment.
type Counters struct {
	Objects     int64 `json:"objects"`
	Bytes       int64 `json:"bytes"`
	Receipts    int64 `json:"receipts"`
	Archived    int64 `json:"archived"`
	Held        int64 `json:"held"`
	Quarantined int64 `json:"quarantined"`
	Lost        int64 `json:"lost"`        // asked for again, the copy here is missing or damaged
	Uncommitted int64 `json:"uncommitted"` // stored, and the archive has not committed itself yet
	Unconfirmed int64 `json:"unconfirmed"` // stored, and no commitment can say which of two contents
	Unrouted    int64 `json:"unrouted"`    // no required destination is for them: never archived
	Tests       int64 `json:"tests"`
}

// Rates are means of the last minute, of all nodes together.
type Rates struct {
	ObjectsPerSecond  float64 `json:"objects_per_second"`
	BytesPerSecond    float64 `json:"bytes_per_second"`
	ArchivedPerSecond float64 `json:"archived_per_second"`
}

// Disk is where the objects are. Below the reserve nothing new is received.
type Disk struct {
	FreeBytes    int64 `json:"free_bytes"`
	ReserveBytes int64 `json:"reserve_bytes"`
	Full         bool  `json:"full"`
}

// Devices says who has enrolled and who is there.
type Devices struct {
	Enrolled    int64             `json:"enrolled"`
	Revoked     int64             `json:"revoked"`
	Connections int               `json:"connections"` // to this node; an appliance may have several
	Carriers    map[string]int    `json:"carriers"`    // connections by what carries them
	Connected   []ConnectedDevice `json:"connected"`   // the first of them, at most 100
}

// ConnectedDevice is one connection of an appliance.
type ConnectedDevice struct {
	Device  string    `json:"device"`
	Carrier string    `json:"carrier" enum:"quic,tcp"` // quic | tcp
	Since   time.Time `json:"since"`
	Bytes   int64     `json:"bytes"`
}

// DestinationStatus is what an archive has not got yet, and why.
type DestinationStatus struct {
	Name           string    `json:"name"`
	Type           string    `json:"type" enum:"dir,cstore,stow"`
	Confirm        string    `json:"confirm" enum:"commitment,stow,dir,success"`
	Required       bool      `json:"required"`
	BacklogObjects int64     `json:"backlog_objects"`
	BacklogBytes   int64     `json:"backlog_bytes"`
	OldestSeconds  float64   `json:"oldest_seconds"`
	Held           int64     `json:"held"`
	Quarantined    int64     `json:"quarantined"`
	Skipped        int64     `json:"skipped"`              // archived, and it never gets them: not required, and there was no room, or no more time
	LastWords      string    `json:"last_words,omitempty"` // why the object that was sent back last must wait
	Error          string    `json:"error,omitempty"`
	ErrorSince     time.Time `json:"error_since,omitzero"`

	// Of a destination that confirms by storage commitment.
	Uncommitted     int64   `json:"uncommitted"`
	WaitedSeconds   float64 `json:"uncommitted_oldest_seconds"`
	Unconfirmed     int64   `json:"unconfirmed"`
	CommitmentError string  `json:"commitment_error,omitempty"` // why it cannot be asked for

	skippedAgo time.Duration // since the last that it does not get
}

// SinkStatus is what a receiver of study events has not got yet.
type SinkStatus struct {
	Name          string  `json:"name"`
	Waiting       int64   `json:"waiting_events"`
	OldestSeconds float64 `json:"oldest_seconds"`
	Failed        int64   `json:"failed"` // refused for good
	LastWords     string  `json:"last_words,omitempty"`
}

func (h *theHub) sinks(ctx context.Context) ([]SinkStatus, error) {
	out := []SinkStatus{}
	names := h.events.SinkNames()
	if len(names) == 0 {
		return out, nil
	}
	s, err := h.ledger.EventStats(ctx, names)
	for _, name := range names {
		one := s.Sinks[name]
		out = append(out, SinkStatus{name, one.Waiting, one.Oldest.Seconds(), one.Failed, one.Words})
	}
	return out, err
}

func (h *theHub) status(ctx context.Context) (Status, error) {
	stats, err := h.ledger.Stats(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Version: programVersion(), StartedAt: h.started, Listen: h.udp.LocalAddr().String(), start: append(append([]string{}, h.nodeWarnings()...), h.cfg.warnings()...), Destinations: []DestinationStatus{}}
	s.Counters = Counters{Objects: stats.Objects, Bytes: stats.Bytes, Receipts: stats.Receipts, Archived: stats.Archived, Held: stats.Held, Lost: stats.Lost, Unrouted: stats.Unrouted, Tests: stats.Tests}
	s.Devices = h.devices(stats)
	if s.Sinks, err = h.sinks(ctx); err != nil {
		return Status{}, err
	}
	s.here = h.connected()
	s.Strangers = h.door.Strangers()
	for i, f := range h.forward.Status() {
		d, b := h.cfg.Destinations[i], stats.Backlog[f.Name]
		s.Counters.Quarantined += b.Quarantined
		s.Counters.Uncommitted += b.Uncommitted
		s.Counters.Unconfirmed += b.Unconfirmed
		s.Destinations = append(s.Destinations, DestinationStatus{
			Name: d.Name, Type: d.Type, Confirm: d.Confirm, Required: d.Required,
			BacklogObjects: b.Objects, BacklogBytes: b.Bytes, OldestSeconds: b.Oldest.Seconds(),
			Held: b.Held, Quarantined: b.Quarantined, LastWords: f.Last, Error: f.Error, ErrorSince: f.Since,
			Uncommitted: b.Uncommitted, WaitedSeconds: b.Waited.Seconds(), Unconfirmed: b.Unconfirmed, CommitmentError: f.Commitment,
			Skipped: b.Skipped, skippedAgo: b.SkippedAgo,
		})
	}
	space, err := h.objects.Space()
	if err != nil {
		return Status{}, err
	}
	s.Disk = Disk{space.Free, space.Reserve, space.Short()}
	s.bucket, s.walk = h.objects.Trouble(), stats.Stands
	s.warn()
	s.State = stateOf(s, h.broken() != nil)
	return s, nil
}

// warn says what somebody should look at, of all that is known.
func (s *Status) warn() {
	s.Warnings = append([]string{}, s.start...)
	if s.bucket != "" {
		s.Warnings = append(s.Warnings, "the bucket of the objects: "+s.bucket)
	}
	for _, k := range s.Sinks {
		s.Warnings = append(s.Warnings, k.warnings()...)
	}
	if s.walkStands() {
		s.Warnings = append(s.Warnings, fmt.Sprintf("rows are still being brought to the changed destinations, and nothing has moved for %s; until then nothing that came before the change is archived: the log says why",
			s.walk.Round(time.Minute)))
	}
	if n := s.Counters.Unrouted; n > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("no required destination is for %d objects: they are never archived, and their appliances keep them", n))
	}
	if s.Disk.Full {
		s.Warnings = append(s.Warnings, "the disk is full up to the reserve: nothing new is received until there is space; the appliances keep what they have")
	}
	for _, d := range s.Destinations {
		if d.stuck() {
			s.Warnings = append(s.Warnings, d.stuckWords())
		}
		if d.skips() {
			s.Warnings = append(s.Warnings, fmt.Sprintf("destination %s: it has not got %d objects and never gets them: it is not required, and there was no room for them here, or no more time; the required destinations have them",
				d.Name, d.Skipped))
		}
		s.Warnings = append(s.Warnings, d.commitmentWords()...)
	}
}

// In our own words: what is known of others, for whom theirs are not.
const (
	ownDestination = "it cannot be reached, or takes nothing"
	ownCommitment  = "storage commitment cannot be asked for"
	ownBucket      = "it cannot be reached, or takes nothing"
)

// inOwnWords is the same without a word that came from elsewhere (P10): an archive's comment
// may name a patient, and what a driver says names machines and users.
func (s Status) inOwnWords() Status {
	own := func(words *string, ours string) {
		if *words != "" {
			*words = ours
		}
	}
	s.Destinations, s.Sinks = slices.Clone(s.Destinations), slices.Clone(s.Sinks)
	for i := range s.Destinations {
		d := &s.Destinations[i]
		own(&d.Error, ownDestination)
		own(&d.CommitmentError, ownCommitment)
		d.LastWords = ""
	}
	for i := range s.Sinks {
		s.Sinks[i].LastWords = ""
	}
	own(&s.bucket, ownBucket)
	s.warn()
	return s
}

// maxConnected bounds the connections that a status lists: it is asked often, and a
// list of the whole fleet is what /api/v1/appliances is for.
const maxConnected = 100

func (h *theHub) devices(stats ledger.Stats) Devices {
	all := h.receive.Connections()
	slices.SortFunc(all, func(a, b receive.Connection) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), a.Since.Compare(b.Since))
	})
	d := Devices{Enrolled: stats.Devices, Revoked: stats.Revoked, Connections: len(all), Carriers: map[string]int{"quic": 0, "tcp": 0}, Connected: []ConnectedDevice{}}
	for i, n := range all {
		d.Carriers[n.Carrier]++
		if i < maxConnected {
			d.Connected = append(d.Connected, ConnectedDevice{n.Device, n.Carrier, n.Since, n.Bytes})
		}
	}
	return d
}

// connected counts appliances, not their connections.
func (h *theHub) connected() int {
	seen := map[string]struct{}{}
	for _, n := range h.receive.Connections() {
		seen[n.Device] = struct{}{}
	}
	return len(seen)
}

// late is how old the oldest waiting object may be before the hub is behind.
const late = time.Minute

// stuckAfter is how old it may be before somebody must look: an archive that
// answers everything with "later" is no error that passes.
const stuckAfter = 30 * time.Minute

func (d DestinationStatus) stuck() bool { return d.OldestSeconds > stuckAfter.Seconds() }

// skippedFor is for how long it is a warning that a destination does not get something.
const skippedFor = 7 * 24 * time.Hour

func (d DestinationStatus) skips() bool { return d.Skipped > 0 && d.skippedAgo < skippedFor }

// stuckWords say what is known of why, without the archive's comment, which may
// name a patient (P10): that is in the rows.
func (d DestinationStatus) stuckWords() string {
	words := fmt.Sprintf("destination %s: an object waits for it for %s", d.Name, time.Duration(d.OldestSeconds*float64(time.Second)).Round(time.Minute))
	if last := cmp.Or(d.Error, d.LastWords); last != "" {
		words += "; last heard: " + last
	}
	return words
}

// uncommittedAfter is how long an archive may take to report on what it stored
// before somebody must look.
const uncommittedAfter = 2 * time.Hour

func (d DestinationStatus) uncommitted() bool {
	return d.CommitmentError != "" || d.WaitedSeconds > uncommittedAfter.Seconds()
}

// commitmentWords say why what an archive has stored is not archived.
func (d DestinationStatus) commitmentWords() (words []string) {
	if d.CommitmentError != "" {
		words = append(words, fmt.Sprintf("destination %s: %s", d.Name, d.CommitmentError))
	}
	if d.WaitedSeconds > uncommittedAfter.Seconds() {
		words = append(words, fmt.Sprintf("destination %s: it has stored %d objects that it does not commit itself to, the oldest for %s; they are not archived",
			d.Name, d.Uncommitted, time.Duration(d.WaitedSeconds*float64(time.Second)).Round(time.Minute)))
	}
	if d.Unconfirmed > 0 {
		words = append(words, fmt.Sprintf("destination %s: %d objects share a SOP Instance UID with other contents, so that no storage commitment confirms them: hubd objects ls", d.Name, d.Unconfirmed))
	}
	return words
}

// standsAfter is for how long a walk over the rows may do nothing: a page takes seconds.
const standsAfter = 5 * time.Minute

func (s *Status) walkStands() bool { return s.walk > standsAfter }

// stateOf is the worst of what there is.
func stateOf(s Status, broken bool) string {
	state := "ok"
	for _, d := range s.Destinations {
		if d.OldestSeconds > late.Seconds() {
			state = "catching_up"
		}
	}
	for _, d := range s.Destinations {
		if d.Error != "" || d.stuck() || d.skips() || d.uncommitted() {
			state = "attention"
		}
	}
	if s.Counters.Held+s.Counters.Quarantined+s.Counters.Lost+s.Counters.Unconfirmed+s.Counters.Unrouted > 0 || s.Disk.Full || s.bucket != "" || s.walkStands() || slices.ContainsFunc(s.Sinks, func(k SinkStatus) bool { return len(k.warnings()) > 0 }) {
		state = "attention"
	}
	if broken {
		state = "stopped"
	}
	return state
}

// broken is why nothing can be received, nil when it can.
func (h *theHub) broken() error {
	if err := h.absence.err(); err != nil {
		return err
	}
	if err := h.ledger.Err(); err != nil {
		return err
	}
	return h.objects.Failed()
}

// Here is how many appliances are connected, for the page.
func (s Status) Here() int64 { return int64(s.here) }

// ByteRate is for the page.
func (s Status) ByteRate() int64 { return int64(s.Rates.BytesPerSecond) }

// Need is something that a person has to look at, and where.
type Need struct{ Text, Path string }

// Needs are what a person must do first, the worst first.
func (s Status) Needs() (out []Need) {
	add := func(n int64, path, one, more string) {
		switch {
		case n == 1:
			out = append(out, Need{"1 object " + one, path})
		case n > 1:
			out = append(out, Need{humanNumber(n) + " objects " + more, path})
		}
	}
	add(s.Counters.Lost, "/trouble?state=lost", "is missing or damaged here; its appliances were asked to send it again.", "are missing or damaged here; their appliances were asked to send them again.")
	add(s.Counters.Quarantined, "/trouble?state=permanent", "is refused by an archive for good: tell it to take it, then retry.", "are refused by an archive for good: tell it to take them, then retry.")
	add(s.Counters.Held, "/trouble?state=held", "is held until somebody releases it.", "are held until somebody releases them.")
	add(s.Counters.Unconfirmed, "/trouble?state=unconfirmed", "cannot be confirmed by a storage commitment: compare what the archive has.", "cannot be confirmed by a storage commitment: compare what the archive has.")
	for _, d := range s.Destinations {
		if d.Error != "" {
			out = append(out, Need{fmt.Sprintf("Archive %s takes nothing since %s: %s", d.Name, d.ErrorSince.UTC().Format("2006-01-02 15:04 UTC"), d.Error), "/destinations"})
		}
	}
	for _, w := range s.Warnings {
		out = append(out, Need{Text: w})
	}
	return out
}

// Sentence says what the state means.
func (s Status) Sentence() string {
	waiting := int64(0)
	for _, d := range s.Destinations {
		waiting += d.BacklogObjects
	}
	switch s.State {
	case "ok":
		return "What arrives is archived at once."
	case "catching_up":
		return fmt.Sprintf("%s objects wait for an archive; they get there by themselves.", humanNumber(waiting))
	case "stopped":
		return "Nothing is received; the appliances keep what they have."
	}
	return "Something here does not get better by itself. Appliances keep what is not archived."
}
