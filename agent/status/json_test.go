package status

import (
	"encoding/json"
	"strings"
	"testing"
)

// The names that scripts outside rely on (DESIGN 5.3), with the JSON type that
// each has in a Status that knows nothing yet.
var promised = map[string]string{
	"state": "string", "counters.received": "number", "counters.at_hub": "number", "counters.archived": "number",
	"counters.refused": "number", "counters.quarantined": "number", "counters.discarded": "number",
	"findings.unreadable": "number",
	"spool.objects":       "number", "spool.bytes": "number", "spool.free_bytes": "number",
	"spool.unfinished": "number", "spool.scrub.position": "number", "spool.scrub.damaged": "number",
	"uplink.connected": "bool", "uplink.transport": "string", "uplink.rate_bits_per_second": "number",
	"uplink.lanes": "number", "uplink.cap_bits_per_second": "number", "uplink.rates.urgent": "number", "uplink.bytes_by_class.backfill": "number",
	"uplink.backlog_objects": "number", "uplink.backlog_bytes": "number",
}

func TestStatusKeepsItsPromisedNames(t *testing.T) {
	raw, err := json.Marshal(Status{})
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for path, want := range promised {
		if got := kind(lookup(doc, path)); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func lookup(doc map[string]any, path string) any {
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		return doc[head]
	}
	inner, _ := doc[head].(map[string]any)
	return lookup(inner, rest)
}

func kind(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	}
	return "absent"
}
