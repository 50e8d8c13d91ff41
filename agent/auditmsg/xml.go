package auditmsg

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// What follows mirrors the schema of §A.5.1, in its order.

type message struct {
	XMLName xml.Name      `xml:"AuditMessage"`
	Event   event         `xml:"EventIdentification"`
	Parties []participant `xml:"ActiveParticipant"`
	Source  auditSource   `xml:"AuditSourceIdentification"`
	Objects []object      `xml:"ParticipantObjectIdentification"`
}

type event struct {
	Action  string `xml:"EventActionCode,attr"`
	Time    string `xml:"EventDateTime,attr"`
	Outcome string `xml:"EventOutcomeIndicator,attr"`
	ID      code   `xml:"EventID"`
	Kind    *code  `xml:"EventTypeCode"`
	Reason  string `xml:"EventOutcomeDescription,omitempty"`
}

type participant struct {
	UserID      string `xml:"UserID,attr"`
	Alternative string `xml:"AlternativeUserID,attr,omitempty"`
	Name        string `xml:"UserName,attr,omitempty"`
	Requestor   bool   `xml:"UserIsRequestor,attr"`
	Point       string `xml:"NetworkAccessPointID,attr,omitempty"`
	PointType   string `xml:"NetworkAccessPointTypeCode,attr,omitempty"`
	Role        *code  `xml:"RoleIDCode"`
}

type auditSource struct {
	Site string `xml:"AuditEnterpriseSiteID,attr,omitempty"`
	ID   string `xml:"AuditSourceID,attr"`
	Type struct {
		Code string `xml:"csd-code,attr"`
	} `xml:"AuditSourceTypeCode"`
}

type object struct {
	ID          string       `xml:"ParticipantObjectID,attr"`
	Type        string       `xml:"ParticipantObjectTypeCode,attr"`
	Role        string       `xml:"ParticipantObjectTypeCodeRole,attr"`
	IDType      code         `xml:"ParticipantObjectIDTypeCode"`
	Name        string       `xml:"ParticipantObjectName"`
	Detail      *detail      `xml:"ParticipantObjectDetail"`
	Description *description `xml:"ParticipantObjectDescription"`
}

type detail struct {
	Type  string `xml:"type,attr"`
	Value string `xml:"value,attr"`
}

type description struct {
	Accessions []accession `xml:"Accession"`
	Classes    []sopClass  `xml:"SOPClass"`
}

type accession struct {
	Number string `xml:"Number,attr"`
}

type sopClass struct {
	UID       string `xml:"UID,attr,omitempty"`
	Instances int64  `xml:"NumberOfInstances,attr"`
}

func write(m message) []byte {
	b, err := xml.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("an audit message of texts and numbers: %v", err))
	}
	return append([]byte(xml.Header[:len(xml.Header)-1]), b...)
}

func (e Event) element(id code, action string, kind *code) event {
	return event{Action: action, Time: when(e.Time), Outcome: e.Outcome.String(), ID: id, Kind: kind, Reason: clean(e.Reason, maxReason)}
}

// String is the indicator as the schema has it.
func (o Outcome) String() string {
	switch o {
	case Success, Minor, Serious, Major:
		return strconv.Itoa(int(o))
	}
	return strconv.Itoa(int(Serious))
}

// when: xsd:dateTime has no year 0, and no zone beyond 14 hours.
func when(t time.Time) string {
	const furthest = 14 * 60 * 60
	if _, offset := t.Zone(); offset < -furthest || offset > furthest {
		t = t.UTC()
	}
	if t.Year() < 1 || t.Year() > 9999 {
		t = time.Time{}
	}
	return t.Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

// role is a party in a role; nil if the table gives it none.
type role struct {
	Party
	code *code
}

func roles(parties []Party, c *code) (all []role) {
	for _, p := range parties[:min(len(parties), MaxOthers)] {
		all = append(all, role{p, c})
	}
	return all
}

// participants leaves one requestor at most (§A.5.2).
func participants(parties []role) (all []participant) {
	taken := false
	for _, p := range parties {
		e := p.element()
		e.Requestor = p.Requestor && !taken
		taken = taken || p.Requestor
		all = append(all, e)
	}
	return all
}

func (r role) element() participant {
	e := participant{UserID: orUnknown(clean(r.ID, maxName)), Name: clean(r.Name, maxName), Role: r.code}
	if e.Alternative = titles(r.AETitles); e.Alternative == "" {
		e.Alternative = clean(r.Login, maxName)
	}
	if e.Point = clean(r.Host, maxName); e.Point != "" {
		e.PointType = "1" // a name
		if _, err := netip.ParseAddr(e.Point); err == nil {
			e.PointType = "2"
		}
	}
	return e
}

// titles encodes AE titles as §A.5.2.2 says.
func titles(list []string) string {
	var kept []string
	for _, t := range list[:min(len(list), MaxTitles)] {
		if t = strings.ReplaceAll(clean(t, maxTitle), ";", "_"); t != "" {
			kept = append(kept, t)
		}
	}
	if kept == nil {
		return ""
	}
	return "AETITLES=" + strings.Join(kept, ";")
}

// element: 4 is an application server (§A.5.1.2.1).
func (a Author) element() auditSource {
	s := auditSource{Site: clean(a.Site, maxName), ID: orUnknown(clean(a.ID, maxName))}
	s.Type.Code = "4"
	return s
}

func (a Author) study(s Study) object {
	d := &description{Classes: classes(s.Classes)}
	if a.Accessions {
		for _, n := range s.Accessions {
			if n = clean(n, maxID); n != "" && len(d.Accessions) < MaxAccessions {
				d.Accessions = append(d.Accessions, accession{n})
			}
		}
	}
	if d.Accessions == nil && d.Classes == nil {
		d = nil
	}
	return object{ID: orUnknown(clean(s.UID, maxID)), Type: "2", Role: "3", IDType: studyUID, Name: "Study", Description: d}
}

// classes sums up what is beyond the bound.
func classes(list []Class) (all []sopClass) {
	for i, c := range list {
		if i < MaxClasses {
			all = append(all, sopClass{clean(c.UID, maxID), max(c.Instances, 0)})
			continue
		}
		if i == MaxClasses {
			all = append(all, sopClass{})
		}
		all[MaxClasses].Instances += max(c.Instances, 0)
	}
	return all
}

const withheld = "withheld"

func (a Author) patient(id string) object {
	if id = clean(id, maxID); !a.PatientIDs || id == "" {
		id = withheld
	}
	return object{ID: id, Type: "1", Role: "1", IDType: patientID, Name: withheld}
}

// node is the subject of an alert; 13 is a security resource. Base64 keeps the text from
// the parser of who reads it, so it is cut but not cleaned.
func (a Author) node(name, text string) object {
	if name = clean(name, maxName); name == "" {
		name = orUnknown(clean(a.ID, maxName))
	}
	value := base64.StdEncoding.EncodeToString([]byte(text[:min(len(text), MaxText)]))
	return object{ID: name, Type: "2", Role: "13", IDType: nodeID, Name: "Node", Detail: &detail{"Alert Description", value}}
}
