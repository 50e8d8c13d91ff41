package page

import (
	"context"
	"time"

	"edged/agent/status"
)

// demo is a Source of invented appliances: no person, no real facility. The
// handler tests and the screenshots share it.
type demo struct {
	status  status.Status
	studies []status.Study
	moving  []status.Study // of which none is among the studies, as after an outage
	devices []status.Device
	bell    Bell
}

var _ Source = (*demo)(nil)

func (d *demo) Status() status.Status                             { return d.status }
func (d *demo) Devices() []status.Device                          { return d.devices }
func (d *demo) Studies(n int) []status.Study                      { return d.studies[:min(n, len(d.studies))] }
func (d *demo) Moving(n int) []status.Study                       { return d.moving[:min(n, len(d.moving))] }
func (d *demo) Subscribe(ctx context.Context) <-chan status.Event { return d.bell.Subscribe(ctx) }

var rome = mustLocation("Europe/Rome")

func mustLocation(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return loc
}

// morning is a winter's day at 08:42:07 in Rome.
var morning = time.Date(2026, 11, 21, 8, 42, 7, 0, rome)

func before(d time.Duration) time.Time { return morning.Add(-d) }

// ordinary is an appliance on an ordinary morning.
func ordinary() *demo {
	min := time.Minute
	return &demo{
		status: status.Status{
			State:    status.OK,
			Counters: status.Counters{Received: 1248036, AtHub: 1247812, Archived: 1247206, Refused: 3},
			Spool: status.Spool{Objects: 48211, Bytes: 31_400_000_000, FreeBytes: 1_720_000_000_000, DaysLeft: days41(),
				Scrub: status.Scrub{Position: 1247990, Objects: 40112, Bytes: 26_000_000_000, PassedAt: before(7 * time.Hour)}},
			Uplink: status.Uplink{Connected: true, Transport: status.QUIC, Hub: "hub.example:8443", Since: before(150 * min),
				RateBitsPerSecond: 412_000_000, BacklogObjects: 224, BacklogBytes: 117_000_000, BacklogStudies: 1,
				Lanes: 4, Why: status.WhyFaster, UDPOpen: truth(true), RTTMS: 21.3, CapBits: 600_000_000, CapUntil: morning.Add(9*time.Hour + 17*min + 53*time.Second),
				Rates: status.Classes{Routine: 330_000_000, Backfill: 82_000_000}, BytesSent: 640e9, WireBytes: 657e9, Receipts: 1_300_000, Connects: 5, Switches: 1,
				BytesLeft: status.Classes{Urgent: 1e9, Routine: 600e9, Backfill: 39e9}, CapBackfill: 100_000_000,
				Carriers: []status.Carrier{
					{Transport: status.QUIC, Lanes: 4, GoodputBits: 812_000_000, MeasuredAt: before(8 * min), RTTMS: 21.3, Sent: 5_000_000, Lost: 1100, MTU: 1452, Congestion: "newreno"},
					{Transport: status.TCP, GoodputBits: 130_000_000, MeasuredAt: before(9 * min), RTTMS: 21.9, MTU: 1500, Congestion: "cubic"}},
				Nodes: []status.Node{{Address: "hub.example:8443", InUse: true}, {Address: "hub2.example:8443"}, {Address: "hub3.example:8443", SetAside: true}}},
			DICOM:    status.DICOM{Associations: 2, Ready: true},
			Facility: status.Facility{Code: "000000", Name: "Radiologia – Ospedale di Esempio"},
			AETitle:  "EDGED", Version: "0.1.0", StartedAt: before(26 * time.Hour), At: morning,
			LastReceivedAt: before(4 * time.Second), LastArchivedAt: before(3 * min),
		},
		studies: []status.Study{
			moving(study("CT", "CT1", 842, 442e6, 7*min, status.Hops{Received: 190, Sending: 34, AtHub: 418, Archived: 200}), 331e6, 98_000_000, 9*time.Second),
			study("CR", "DX1", 2, 31e6, 11*min, status.Hops{AtHub: 2}),
			study("MR", "RM1", 614, 161e6, 22*min, status.Hops{Archived: 614}),
			study("MG", "MAMMO", 4, 109e6, 31*min, status.Hops{Archived: 4}),
			study("US", "ECO1", 38, 92e6, 44*min, status.Hops{Archived: 38}),
			study("CT", "CT1", 1310, 688e6, 58*min, status.Hops{Archived: 1310}),
			study("SR", "CT1", 1, 24e3, 58*min, status.Hops{Archived: 1}),
		},
		devices: []status.Device{
			{AETitle: "CT1", Address: "192.0.2.11", Name: "TC 1", Known: true, LastSeen: before(4 * time.Second), Stored: 702114},
			{AETitle: "RM1", Address: "192.0.2.12", Name: "Risonanza 1", Known: true, LastSeen: before(20 * min), Stored: 401877},
			{AETitle: "DX1", Address: "192.0.2.13", Name: "Sala raggi 2", Known: true, LastSeen: before(11 * min), Stored: 38420},
			{AETitle: "MAMMO", Address: "192.0.2.14", Name: "Mammografo", Known: true, LastSeen: before(31 * min), Stored: 21004},
			{AETitle: "ECO1", Address: "192.0.2.15", Name: "Ecografo", Known: true, LastSeen: before(44 * min), Stored: 84621},
		},
	}
}

func truth(v bool) *bool { return &v }

func days41() *float64 { v := 41.7; return &v }

func study(modality, device string, n int64, bytes float64, age time.Duration, hops status.Hops) status.Study {
	first := before(age)
	return status.Study{
		Key: status.StudyKey([]byte("demo"), modality+device+first.String()), Modality: modality, Device: device,
		Instances: n, Bytes: int64(bytes), FirstReceived: first, LastReceived: first.Add(90 * time.Second),
		AtHubAt: first.Add(2 * time.Minute), ArchivedAt: first.Add(3 * time.Minute), Hops: hops, State: hops.State(),
		Complete: hops.Received == 0, Revision: 1,
	}
}

// moving is a study on its way: so much was sent, so fast, with so much time left.
func moving(s status.Study, sent float64, rate int64, left time.Duration) status.Study {
	s.Progress = &status.Progress{SentBytes: int64(sent), TotalBytes: s.Bytes, RateBitsPerSecond: rate}
	if left > 0 {
		s.Progress.EndsAt = morning.Add(left)
	}
	return s
}

// scenes are the four states and their neighbours, each as people would meet it.
func scenes() map[string]*demo {
	all, min := map[string]*demo{}, time.Minute
	scene := func(name string, state status.State, reasons ...status.Reason) *demo {
		d := ordinary()
		d.status.State, d.status.Reasons = state, reasons
		all[name] = d
		return d
	}
	scene("ok", status.OK)

	busy := scene("catching_up", status.CatchingUp, status.Reason{Code: status.Backlog, Count: 21480})
	busy.status.Uplink.BacklogObjects, busy.status.Uplink.BacklogBytes, busy.status.Uplink.BacklogStudies = 21480, 61_000_000_000, 7

	busy.studies[2] = moving(study("MR", "RM1", 614, 161e6, 22*min, status.Hops{Received: 500, Sending: 90, AtHub: 24}), 7e6, 3_400_000, 6*time.Minute)
	busy.studies[4] = moving(study("US", "ECO1", 38, 92e6, 44*min, status.Hops{Received: 38}), 0, 0, 0)
	busy.studies[5] = moving(study("CT", "CT1", 1310, 688e6, 58*min, status.Hops{Received: 1200, Sending: 60, AtHub: 50}), 30e6, 80_000_000, 66*time.Second)
	for n := range 3 {
		busy.studies = append(busy.studies, moving(study("CT", "CT1", 1310, 688e6, time.Duration(70+n)*min, status.Hops{Received: 1310}), 0, 0, 0))
	}
	for i := range busy.studies {
		busy.studies[i].Complete = true
	}
	busy.status.Uplink.Transport, busy.status.Uplink.Why, busy.status.Uplink.UDPOpen, busy.status.Uplink.Lanes = status.TCP, status.WhyUDPBlocked, truth(false), 1

	pause := scene("paused", status.Attention, status.Reason{Code: status.Paused})
	pause.status.Uplink.PausedUntil, pause.status.Uplink.RateBitsPerSecond = morning.Add(48*min), 0
	pause.studies[0].Progress.RateBitsPerSecond, pause.studies[0].Progress.EndsAt = 0, time.Time{}
	pause.status.Uplink.Test = &status.LineTest{At: before(14 * time.Hour), Seconds: 10, UDPOpen: truth(true), Transport: status.QUIC, Carriers: pause.status.Uplink.Carriers}

	look := scene("attention", status.Attention,
		status.Reason{Code: status.Quarantined, Count: 2}, status.Reason{Code: status.UnknownCallers, Count: 1})
	look.status.Counters.Quarantined = 2
	look.studies[1] = study("CR", "DX1", 2, 31e6, 11*time.Minute, status.Hops{Quarantined: 2})
	look.devices = append(look.devices,
		status.Device{AETitle: "ECO_NEW", Address: "192.0.2.40", LastSeen: before(6 * time.Minute), Refused: 3,
			LastRefusal: &status.Refusal{Code: status.UnknownCalling, At: before(6 * time.Minute)}},
		status.Device{AETitle: "RM2", Name: "Risonanza 2", Address: "192.0.2.16", Known: true, Stored: 1200, Refused: 1,
			LastSeen: before(time.Hour), LastRefusal: &status.Refusal{Code: status.WrongCalled, Detail: "EDGE1", At: before(time.Hour)}})
	look.status.Warnings = []status.Warning{status.KeepHub}

	down := scene("stopped", status.Stopped, status.Reason{Code: status.LinkDown, Count: 1532})
	down.status.Uplink = status.Uplink{Transport: status.NoTransport, Hub: "hub.example:8443", Since: before(48 * time.Minute),
		BacklogObjects: 1532, BacklogBytes: 803_000_000, BacklogStudies: 4, LastError: "dial hub.example:8443: no route to host"}
	for i := range down.studies[:4] {
		down.studies[i].Hops = status.Hops{Received: down.studies[i].Instances}
	}

	full := scene("full", status.Stopped, status.Reason{Code: status.SpoolFull})
	full.status.Spool.FreeBytes, full.status.DICOM.Ready, full.status.DICOM.NotReady = 0, false, "the disk is full"

	old := scene("stale", status.OK)
	old.status.At = before(time.Minute)

	ends := scene("certificate", status.Attention, status.Reason{Code: status.CertEnds, Count: 12})
	ends.status.CertificateUntil = morning.Add(12*24*time.Hour + time.Hour)

	held := scene("held", status.Attention, status.Reason{Code: status.Damaged, Count: 1}, status.Reason{Code: status.HeldBack, Count: 12})
	held.status.Findings.Unreadable = 3
	held.studies[0] = study("CT", "CT1", 842, 442e6, 7*time.Minute, status.Hops{Held: 12, Archived: 830})

	lost := scene("lost", status.Attention, status.Reason{Code: status.Lost, Count: 2}, status.Reason{Code: status.Damaged, Count: 1})
	lost.status.Spool.Damage = status.Damage{HubHasCopy: 1, NoOtherCopy: 2}
	lost.status.Spool.Unfinished = 1
	lost.status.Warnings = []status.Warning{status.NotRecoverable}
	lost.studies[0].Expected, lost.studies[1].Revision = 900, 2

	starting := scene("starting", status.CatchingUp, status.Reason{Code: status.Starting})
	starting.status.Recovering = &status.Recovering{Done: 12000, Total: 48211}
	starting.status.DICOM.Ready = false
	starting.studies, starting.status.SpoolUnknown = nil, true
	starting.status.Counters, starting.status.Spool = status.Counters{}, status.Spool{}
	starting.status.Uplink.BacklogObjects, starting.status.Uplink.BacklogBytes, starting.status.Uplink.BacklogStudies = 0, 0, 0
	starting.status.LastReceivedAt, starting.status.LastArchivedAt = time.Time{}, time.Time{}

	unenrolled := scene("unenrolled", status.Attention, status.Reason{Code: status.Unenrolled, Count: 5})
	unenrolled.status.Uplink = status.Uplink{Transport: status.NoTransport, Hub: "hub.example:8443", BacklogObjects: 5, BacklogBytes: 2_600_000}
	unenrolled.status.Warnings = []status.Warning{status.NotEnrolled}

	all["outage"], all["six"] = afterAnOutage(), sixAtOnce()

	empty := scene("empty", status.OK, status.Reason{Code: status.Shadow})
	empty.studies, empty.devices = nil, nil
	empty.status.Counters, empty.status.Spool = status.Counters{}, status.Spool{FreeBytes: 40e9}
	empty.status.Uplink = status.Uplink{Transport: status.NoTransport}
	empty.status.LastReceivedAt, empty.status.LastArchivedAt = time.Time{}, time.Time{}
	empty.status.Warnings = []status.Warning{status.ShadowMode, status.UnsafeFilesystem}
	return all
}
