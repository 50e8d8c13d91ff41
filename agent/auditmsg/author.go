package auditmsg

import "time"

// Author is the one who reports: the appliance (AuditSourceIdentification).
type Author struct {
	ID   string // of this appliance, unique within the site
	Site string // the facility; may be empty

	// Accessions and PatientIDs say that these numbers may leave the appliance. If
	// false they are not in any message, whatever the caller gives.
	Accessions, PatientIDs bool
}

// Outcome is how an event ended (EventOutcomeIndicator).
type Outcome int

const (
	Success Outcome = 0
	Minor   Outcome = 4  // it is tried again: a wrong password, a line that broke
	Serious Outcome = 8  // it was given up
	Major   Outcome = 12 // it cannot be done any more: an account locked, a security system that may have been overcome
)

// Event is what every message has.
type Event struct {
	Time    time.Time // in the zone that the message shall show
	Outcome Outcome   // any other number is Serious
	Reason  string    // why it ended so; without it nothing is said
}

// Party is one who takes part: a process, a person, or a device.
type Party struct {
	ID        string   // of a process: its number, as in the logs; of a person: LOGIN@APPLIANCE (§A.5.2.1)
	AETitles  []string // of a DICOM application, those that took part
	Login     string   // of a person who is known by another one elsewhere; not beside AETitles
	Name      string   // of a process or of a person who works here; never of one who is examined
	Host      string   // an IP address or a name; always the same one for the same node (§A.5.2.4)
	Requestor bool     // started what happened
}

// Activity reports that the appliance has started, or stops.
type Activity struct {
	Event
	Stop      bool
	Process   Party
	Launchers []Party // who started or stopped it, where that is known
}

// Activity writes the message "Application Activity".
func (a Author) Activity(m Activity) []byte {
	kind := start
	if m.Stop {
		kind = stop
	}
	parties := append([]role{{m.Process, &application}}, roles(m.Launchers, &launcher)...)
	return write(message{
		Event:   m.Event.element(applicationActivity, "E", &kind),
		Parties: participants(parties),
		Source:  a.element(),
	})
}

// Login reports that somebody logged in or out, or tried to.
type Login struct {
	Event
	Logout bool
	// Expired: the appliance ended the session, not the person.
	Expired bool
	Person  Party // Host is mandatory here: where the person sits
	Node    Party // who checked; left out without an ID
}

// Login writes the message "User Authentication".
func (a Author) Login(m Login) []byte {
	kind := login
	if m.Logout {
		kind = logout
	}
	m.Person.Requestor, m.Node.Requestor = !m.Expired, m.Expired
	m.Person.Host = orUnknown(clean(m.Person.Host, maxName))
	parties := []role{{m.Person, nil}}
	if m.Node.ID != "" {
		parties = append(parties, role{m.Node, nil})
	}
	return write(message{
		Event:   m.Event.element(userAuthentication, "E", &kind),
		Parties: participants(parties),
		Source:  a.element(),
	})
}

// Transfer is a study, or a part of one, on its way between two nodes.
type Transfer struct {
	Event
	From, To  Party
	Others    []Party // such as the person who asked for it
	Study     Study
	PatientID string // told only if the Author may
}

// Study is what was transferred.
type Study struct {
	UID        string
	Accessions []string // told only if the Author may
	Classes    []Class
}

// Class counts the instances of a SOP class.
type Class struct {
	UID       string
	Instances int64
}

// Beginning writes the message "Begin Transferring DICOM Instances".
func (a Author) Beginning(m Transfer) []byte { return a.transfer(m, beginTransferring, "E") }

// Held says what the receiver had before: the action of a transfer that has ended.
type Held string

const (
	Unknown   Held = "R" // the one who reports is the sender, or does not know; also: the same instances
	New       Held = "C"
	Different Held = "U"
)

// Transferred writes the message "DICOM Instances Transferred".
func (a Author) Transferred(m Transfer, held Held) []byte {
	if held != New && held != Different {
		held = Unknown
	}
	return a.transfer(m, instancesTransferred, string(held))
}

func (a Author) transfer(m Transfer, id code, action string) []byte {
	parties := append([]role{{m.From, &source}, {m.To, &destination}}, roles(m.Others, nil)...)
	return write(message{
		Event:   m.Event.element(id, action, nil),
		Parties: participants(parties),
		Source:  a.element(),
		Objects: []object{a.study(m.Study), a.patient(m.PatientID)},
	})
}

// Alert reports something that who guards the network should look at.
type Alert struct {
	Event // Minor, Serious: it was fended off; Major: perhaps not (§A.5.3.11)
	Kind  AlertKind
	// Reporter saw it, Performers did it.
	Reporter   Party
	Performers []Party
	Node       string // what it is about: a name or an address; if empty, this appliance
	Text       string // what happened; at most MaxText bytes
}

// Alert writes the message "Security Alert".
func (a Author) Alert(m Alert) []byte {
	kind := m.Kind.code()
	parties := append([]role{{m.Reporter, nil}}, roles(m.Performers, nil)...)
	for i := range parties[1:] {
		parties[i+1].Requestor = false // as the table says
	}
	return write(message{
		Event:   m.Event.element(securityAlert, "E", &kind),
		Parties: participants(parties),
		Source:  a.element(),
		Objects: []object{a.node(m.Node, m.Text)},
	})
}

// LogUsed reports that the appliance's own audit log was read or verified.
type LogUsed struct {
	Event          // its Reason says what was found
	Reader  Party  // who read
	Address string // URI of the log
}

// LogUsed writes the message "Audit Log Used".
func (a Author) LogUsed(m LogUsed) []byte {
	m.Reader.Requestor = true
	return write(message{
		Event:   m.Event.element(auditLogUsed, "R", nil),
		Parties: participants([]role{{m.Reader, nil}}),
		Source:  a.element(),
		Objects: []object{{ID: orUnknown(clean(m.Address, maxName)), Type: "2", Role: "13", IDType: uri, Name: "Security Audit Log"}},
	})
}
