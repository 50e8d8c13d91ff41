package page

import (
	"encoding/json"
	"flag"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

var update = flag.Bool("update", false, "write openapi.json from the types")

type object = map[string]any

// enums are the values that a type may have, as the package status lists them.
var enums = map[reflect.Type]any{
	reflect.TypeFor[status.State]():         status.States,
	reflect.TypeFor[status.ReasonCode]():    status.ReasonCodes,
	reflect.TypeFor[status.Warning]():       status.Warnings,
	reflect.TypeFor[status.Hop]():           status.AllHops,
	reflect.TypeFor[status.RefusalCode]():   status.RefusalCodes,
	reflect.TypeFor[status.ContextResult](): status.ContextResults,
	reflect.TypeFor[status.Transport]():     []status.Transport{status.QUIC, status.TCP, status.NoTransport},
	reflect.TypeFor[status.WhyCode]():       status.WhyCodes,
	reflect.TypeFor[status.ClockState]():    status.ClockStates,
	reflect.TypeFor[status.EventKind]():     []status.EventKind{status.StatusChanged, status.StudiesChanged, status.DevicesChanged},
}

func schema(t reflect.Type) object {
	if values, ok := enums[t]; ok {
		return object{"type": "string", "enum": values}
	}
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": schema(t.Elem())}
	case reflect.Struct:
		return structSchema(t)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int64, reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint32:
		return object{"type": "integer", "format": "int32"}
	case reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "string"}
}

func structSchema(t reflect.Type) object {
	properties, required := object{}, []string{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		properties[name] = schema(t.Field(i).Type)
		if t.Field(i).Type.Kind() == reflect.Pointer && options == "" {
			properties[name] = object{"anyOf": []object{schema(t.Field(i).Type), {"type": "null"}}}
		}
		if options == "" {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required}
}

func answer(description, kind string, body object) object {
	return object{"description": description, "content": object{kind: object{"schema": body}}}
}

func operation(summary string, answers object) object {
	return object{"get": object{"summary": summary, "responses": answers}}
}

// described is the document that openapi.json has to be.
func described() object {
	line := object{"type": "string"}
	ok := func(what, kind string, body object) object { return object{"200": answer(what, kind, body)} }
	studies := operation("The latest studies, latest first. Without names and UIDs.", object{
		"200": answer("studies", "application/json", schema(reflect.TypeFor[studyList]())),
		"400": answer("the limit is not a number from 1 to 500", "text/plain", line),
	})
	studies["get"].(object)["parameters"] = []object{{"name": "limit", "in": "query",
		"schema": object{"type": "integer", "minimum": 1, "maximum": maxStudies, "default": 50}}}
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "edged, local page", "version": "1",
			"description": "What an appliance tells about itself. Nothing here changes anything and nothing here names a person. Text from devices is passed on as it came: treat it as hostile."},
		"paths": object{
			"/healthz": operation("Is the process alive?", ok("it is", "text/plain", line)),
			"/readyz": operation("Would an image sent now be accepted?", object{
				"200": answer("it would", "text/plain", line), "503": answer("it would not; one line says why", "text/plain", line)}),
			"/metrics":        operation("Figures in Prometheus text format.", ok("figures", "text/plain", line)),
			"/api/v1/status":  operation("State, counters, spool and line.", ok("status", "application/json", schema(reflect.TypeFor[status.Status]()))),
			"/api/v1/studies": studies,
			"/api/v1/devices": operation("Configured devices and those that were met.", ok("devices", "application/json", schema(reflect.TypeFor[deviceList]()))),
			"/api/v1/events": operation("Server-sent events: hello, status, studies, devices (data: Event), and beat every 10 seconds of silence.", object{
				"200": answer("a stream; data of status, studies and devices is this", "text/event-stream", schema(reflect.TypeFor[status.Event]())),
				"503": answer("too many open streams", "text/plain", line)}),
			"/api/v1/openapi.json": operation("This document.", ok("OpenAPI 3.1", "application/json", object{"type": "object"})),
		},
	}
}

// The document in the binary is made of the types that the answers are made of:
// run with -update after changing them, and read the difference.
func TestOpenAPIDescribesTheTypes(t *testing.T) {
	want, err := json.MarshalIndent(described(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Skip("openapi.json written: build again to embed it")
	}
	got, err := assetFiles.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("openapi.json is not what the types say: go test ./agent/page -run OpenAPI -update")
	}
}

// Every path that the page serves is described, every described path answers
// with the kind of content that is promised, and nothing else is described.
func TestOpenAPIDescribesExactlyWhatIsServed(t *testing.T) {
	var doc struct {
		Paths map[string]struct {
			Get struct {
				Responses map[string]struct{ Content map[string]any }
			}
		}
	}
	if err := json.NewDecoder(ask(t, ordinary(), "/api/v1/openapi.json").Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	undescribed := []string{"/{$}", "/assets/{name}"}
	for _, r := range newPage(t, ordinary()).routes() {
		if _, ok := doc.Paths[r.pattern]; ok == slices.Contains(undescribed, r.pattern) {
			t.Errorf("%s: described is %t", r.pattern, ok)
		}
	}
	for path, item := range doc.Paths {
		if path == "/api/v1/events" {
			continue // a stream never ends here; events_test reads it
		}
		w := httptest.NewRecorder()
		newPage(t, ordinary()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
		if _, ok := item.Get.Responses["200"].Content[kind]; w.Code != 200 || !ok {
			t.Errorf("%s answers %d with %q", path, w.Code, kind)
		}
	}
}
