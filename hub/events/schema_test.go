package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema is as much of JSON Schema as docs/study-event.schema.json uses.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Const      any
	Enum       []any
	Pattern    string
	Minimum    *float64
	Required   []string
	Properties map[string]*schema
	Additional json.RawMessage `json:"additionalProperties"`
	Items      *schema
	Defs       map[string]*schema `json:"$defs"`
}

// check appends what is wrong with v.
func (s *schema) check(root *schema, where string, v any) (wrong []string) {
	if s.Ref != "" {
		return root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")].check(root, where, v)
	}
	bad := func(format string, args ...any) { wrong = append(wrong, where+": "+fmt.Sprintf(format, args...)) }
	if s.Const != nil && s.Const != v || s.Enum != nil && !slices.Contains(s.Enum, v) {
		bad("%v is none of %v %v", v, s.Const, s.Enum)
	}
	kind := "other"
	switch v := v.(type) {
	case string:
		kind = "string"
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			bad("%q does not match %s", v, s.Pattern)
		}
	case float64:
		kind = "integer"
		if v != float64(int64(v)) || s.Minimum != nil && v < *s.Minimum {
			bad("%v", v)
		}
	case []any:
		kind = "array"
		for i, e := range v {
			wrong = append(wrong, s.Items.check(root, fmt.Sprintf("%s[%d]", where, i), e)...)
		}
	case map[string]any:
		kind = "object"
		wrong = append(wrong, s.fields(root, where, v)...)
	}
	if s.Type != "" && s.Type != kind {
		bad("is a %s, want %s", kind, s.Type)
	}
	return wrong
}

func (s *schema) fields(root *schema, where string, v map[string]any) (wrong []string) {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			wrong = append(wrong, where+": no "+name)
		}
	}
	var additional *schema
	if a := string(s.Additional); a != "" && a != "false" {
		_ = json.Unmarshal(s.Additional, &additional)
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch p := s.Properties[name]; {
		case p != nil:
			wrong = append(wrong, p.check(root, where+"."+name, v[name])...)
		case additional != nil:
			wrong = append(wrong, additional.check(root, where+"."+name, v[name])...)
		default:
			wrong = append(wrong, where+": "+name+" is not described")
		}
	}
	return wrong
}

// What is told is what docs/study-event.schema.json describes, hostile texts and
// illegible headers included; and nothing that it describes is never told.
func TestEveryEventIsAsTheSchemaSays(t *testing.T) {
	text, err := os.ReadFile("../../docs/study-event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.receive("one", "1.2.3", 1, header())
	r.receive("one", "1.2.3", 1, header(map[uint32]string{0x00200013: "2"}))
	gone := r.receive("two", "1.2.3", 2, header(map[uint32]string{0x0020000E: "\xff\"", 0x00280011: "\x01\x00"}))
	delete(r.copies, gone.ID)
	r.receive("two", "1.2.3", 3, "no data set")
	r.archive()
	r.say("one", "1.2.3", 1, 2)
	m := &memory{}
	r.run(r.config(m))
	m.wait(t, 1)
	var v any
	if err := json.Unmarshal(m.got[0], &v); err != nil {
		t.Fatal(err)
	}
	for _, w := range s.check(&s, "event", v) {
		t.Error(w)
	}
	if wrong := s.check(&s, "event", map[string]any{"format": "x", "more": 1.5}); len(wrong) < 8 {
		t.Errorf("the check finds only %v", wrong)
	}
}
