package auditmsg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Check says where a message does not follow the schema of §A.5.1, for tests and for who
// receives.
func Check(b []byte) error {
	n, err := parse(b)
	if err != nil {
		return err
	}
	return n.valid()
}

// node is an element of a message as a receiver's parser sees it.
type node struct {
	name     string
	attrs    map[string]string
	children []*node
	text     string
}

// parse reads a whole document strictly.
func parse(b []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	root := &node{}
	for open := []*node{root}; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(root.children) != 1 || root.text != "" {
				return nil, fmt.Errorf("%d roots", len(root.children))
			}
			return root.children[0], nil
		}
		if err != nil {
			return nil, err
		}
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local, attrs: map[string]string{}}
			for _, a := range t.Attr {
				if _, twice := n.attrs[a.Name.Local]; twice || a.Name.Space != "" {
					return nil, fmt.Errorf("attribute %v", a.Name)
				}
				n.attrs[a.Name.Local] = a.Value
			}
			top.children = append(top.children, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += string(t)
		case xml.Comment, xml.Directive:
			return nil, fmt.Errorf("unexpected %T", t)
		}
	}
}

func (n *node) all(name string) (found []*node) {
	for _, c := range n.children {
		if c.name == name {
			found = append(found, c)
		}
	}
	return found
}

// The essentials of the RELAX NG schema of PS3.15 §A.5.1, by the name of the element.
// Attributes that end with ? are optional; children are in the order of the schema, with
// + * ? as there; a choice is written A|B.
var schema = map[string]struct {
	attrs    map[string]string // name to pattern
	children []string
	text     string // pattern; empty: none
}{
	"AuditMessage": {nil, []string{"EventIdentification", "ActiveParticipant+", "AuditSourceIdentification", "ParticipantObjectIdentification*"}, ""},
	"EventIdentification": {map[string]string{"EventActionCode?": "[CRUDE]", "EventDateTime": dateTime, "EventOutcomeIndicator": "0|4|8|12"},
		[]string{"EventID", "EventTypeCode*", "EventOutcomeDescription?"}, ""},
	"EventID":                 {coded, nil, ""},
	"EventTypeCode":           {coded, nil, ""},
	"EventOutcomeDescription": {nil, nil, free},
	"ActiveParticipant": {map[string]string{"UserID": free, "AlternativeUserID?": free, "UserName?": free, "UserIsRequestor": "true|false|0|1",
		"NetworkAccessPointID?": token, "NetworkAccessPointTypeCode?": "[1-5]"}, []string{"RoleIDCode*", "MediaIdentifier?"}, ""},
	"RoleIDCode":                {coded, nil, ""},
	"AuditSourceIdentification": {map[string]string{"AuditEnterpriseSiteID?": token, "AuditSourceID": token}, []string{"AuditSourceTypeCode*"}, ""},
	"AuditSourceTypeCode":       {map[string]string{"csd-code": "[1-9]"}, nil, ""},
	"ParticipantObjectIdentification": {map[string]string{"ParticipantObjectID": token, "ParticipantObjectTypeCode?": "[1-4]",
		"ParticipantObjectTypeCodeRole?": "[1-9]|1[0-9]|2[0-6]", "ParticipantObjectDataLifeCycle?": "[1-9]|1[0-5]", "ParticipantObjectSensitivity?": token},
		[]string{"ParticipantObjectIDTypeCode", "ParticipantObjectName|ParticipantObjectQuery", "ParticipantObjectDetail*", "ParticipantObjectDescription*"}, ""},
	"ParticipantObjectIDTypeCode":  {coded, nil, ""},
	"ParticipantObjectName":        {nil, nil, token},
	"ParticipantObjectQuery":       {nil, nil, binary},
	"ParticipantObjectDetail":      {map[string]string{"type": token, "value": binary}, nil, ""},
	"ParticipantObjectDescription": {nil, []string{"MPPS*", "Accession*", "SOPClass*", "ParticipantObjectContainsStudy?", "Encrypted?", "Anonymized?"}, ""},
	"Accession":                    {map[string]string{"Number": token}, nil, ""},
	"SOPClass":                     {map[string]string{"UID?": token, "NumberOfInstances": "[0-9]+"}, []string{"Instance*"}, ""},
}

const (
	free     = `[\x20-\x{10FFFF}]*` // of the schema's text: no control characters here
	token    = `([!-\x{10FFFF}]+( [!-\x{10FFFF}]+)*)?`
	binary   = `([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?`
	dateTime = `[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])`
)

var coded = map[string]string{"csd-code": token, "codeSystemName": token, "displayName?": token, "originalText": token}

// valid says where n does not follow the schema.
func (n *node) valid() error {
	rule, known := schema[n.name]
	if !known {
		return fmt.Errorf("element %s is not of the schema", n.name)
	}
	if err := n.validAttrs(rule.attrs); err != nil {
		return err
	}
	if err := n.validOrder(rule.children); err != nil {
		return err
	}
	if !matches(rule.text, n.text) {
		return fmt.Errorf("text %q of %s", n.text, n.name)
	}
	for _, c := range n.children {
		if err := c.valid(); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) validAttrs(rules map[string]string) error {
	seen := 0
	for name, pattern := range rules {
		name, optional := strings.CutSuffix(name, "?")
		value, there := n.attrs[name]
		if !there && !optional || there && !matches(pattern, value) {
			return fmt.Errorf("%s: attribute %s = %q", n.name, name, value)
		}
		if there {
			seen++
		}
	}
	if seen != len(n.attrs) {
		return fmt.Errorf("%s: attributes %v", n.name, n.attrs)
	}
	return nil
}

func (n *node) validOrder(rules []string) error {
	rest := n.children
	for _, rule := range rules {
		names := strings.Split(strings.TrimRight(rule, "+*?"), "|")
		got := 0
		for len(rest) > 0 && slices.Contains(names, rest[0].name) {
			rest, got = rest[1:], got+1
		}
		least, most := 1, 1
		switch rule[len(rule)-1] {
		case '+':
			most = 1 << 20
		case '*':
			least, most = 0, 1<<20
		case '?':
			least = 0
		}
		if got < least || got > most {
			return fmt.Errorf("%s: %d of %s", n.name, got, rule)
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%s: %s is out of order", n.name, rest[0].name)
	}
	return nil
}

var compiled sync.Map // pattern to *regexp.Regexp

func matches(pattern, s string) bool {
	r, ok := compiled.Load(pattern)
	if !ok {
		r = regexp.MustCompile(`^(?:` + pattern + `)$`)
		compiled.Store(pattern, r)
	}
	return r.(*regexp.Regexp).MatchString(s)
}
