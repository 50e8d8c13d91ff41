package main

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write openapi.json from the operations")

type node = map[string]any

// openapi makes the document of the operations and their types.
type openapi struct{ schemas node }

func (d *openapi) schema(t reflect.Type, enum string) node {
	switch {
	case enum != "":
		return node{"type": "string", "enum": strings.Split(enum, ",")}
	case t == reflect.TypeFor[time.Time]():
		return node{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Slice:
		return node{"type": "array", "items": d.schema(t.Elem(), "")}
	case reflect.Map:
		return node{"type": "object", "additionalProperties": d.schema(t.Elem(), "")}
	case reflect.Struct:
		return d.named(t)
	case reflect.Bool:
		return node{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return node{"type": "integer", "format": "int64"}
	case reflect.Float64:
		return node{"type": "number"}
	}
	return node{"type": "string"}
}

// named puts a struct below components, once.
func (d *openapi) named(t reflect.Type) node {
	name := t.Name()
	if inner, ok := strings.CutPrefix(name, "page["); ok {
		name = inner[strings.LastIndexAny(inner, "./")+1:len(inner)-1] + "Page"
	}
	ref := node{"$ref": "#/components/schemas/" + name}
	if d.schemas[name] != nil {
		return ref
	}
	d.schemas[name] = node{} // it may hold itself
	properties, required := node{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		properties[key] = d.schema(f.Type, f.Tag.Get("enum"))
		if options == "" {
			required = append(required, key)
		}
	}
	d.schemas[name] = node{"type": "object", "properties": properties, "required": required}
	return ref
}

func content(kind string, schema node) node { return node{kind: node{"schema": schema}} }

func (d *openapi) operation(o *operation) node {
	ok := node{"description": "done"}
	if _, lines := o.answer.(stream); lines {
		ok["content"] = content("application/jsonl", node{"type": "string"})
	} else {
		ok["content"] = content("application/json", d.schema(reflect.TypeOf(o.answer), ""))
	}
	problem := node{"description": "why not, and what to do (RFC 9457)", "content": content("application/problem+json", d.named(reflect.TypeFor[problem]()))}
	out := node{"operationId": o.id, "summary": o.summary, "responses": node{"200": ok, "default": problem}, "x-role": o.min.String()}
	if o.min > nobody {
		out["security"] = []node{{"token": []string{}}}
	} else {
		out["security"] = []node{{}, {"token": []string{}}}
	}
	parameters := []node{}
	for _, part := range strings.Split(o.path, "/") {
		if name, found := strings.CutPrefix(part, "{"); found {
			parameters = append(parameters, node{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": node{"type": "string"}})
		}
	}
	for _, p := range o.query {
		parameters = append(parameters, node{"name": p.name, "in": "query", "description": p.about, "schema": node{"type": "string"}})
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	if o.body != nil {
		out["requestBody"] = node{"content": content("application/json", d.schema(reflect.TypeOf(o.body), ""))}
	}
	return out
}

// plain are the paths that are no operations.
var plain = map[string]struct{ summary, kind string }{
	"/healthz":             {"Is the process alive?", "text/plain"},
	"/readyz":              {"Would an object that comes now be received? 503 when not, with a sentence.", "text/plain"},
	"/metrics":             {"Figures in Prometheus text format. For viewers; without a token on a loopback address.", "text/plain"},
	"/api/v1/openapi.json": {"This document.", "application/json"},
}

func described() node {
	d := &openapi{schemas: node{}}
	paths := node{}
	for path, p := range plain {
		get := node{"summary": p.summary, "responses": node{"200": node{"description": "yes", "content": node{p.kind: node{}}}}}
		switch path {
		case "/readyz":
			get["responses"].(node)["503"] = node{"description": "no: what is away, in a sentence", "content": node{p.kind: node{}}}
		case "/metrics":
			get["security"] = []node{{}, {"token": []string{}}}
			get["responses"].(node)["default"] = node{"description": "why not, and what to do (RFC 9457)", "content": content("application/problem+json", d.named(reflect.TypeFor[problem]()))}
		}
		paths[path] = node{"get": get}
	}
	for i := range operations {
		o := &operations[i]
		path := "/api/v1" + o.path
		if paths[path] == nil {
			paths[path] = node{}
		}
		paths[path].(node)[strings.ToLower(o.method)] = d.operation(o)
	}
	return node{
		"openapi": "3.1.0",
		"info": node{"title": "hubd", "version": "1",
			"description": "What the hub of the appliances shows and does. Roles: viewer < operator < admin; x-role is the least that an operation needs. Text of peers (archives, appliances) is passed on as it came: treat it as hostile."},
		"paths": paths,
		"components": node{"schemas": d.schemas, "securitySchemes": node{"token": node{"type": "http", "scheme": "bearer",
			"description": "hubd token new --name NAME --role ROLE, on the hub's machine, makes the first one."}}},
	}
}

// Run with -update after changing operations or types, and read the difference.
func TestOpenAPIDescribesTheOperations(t *testing.T) {
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
	if string(openAPI) != string(want) {
		t.Error("openapi.json is not what the operations say: go test ./cmd/hubd -run OpenAPI -update")
	}
}

// Every path that is served to programs is described, and every described one is
// served. What is served to browsers is a page of an operation, or one of these.
func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	d := newDesk(t)
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, methods := range doc.Paths {
		for m := range methods {
			described[strings.ToUpper(m)+" "+path] = true
		}
	}
	served := map[string]bool{}
	for _, pattern := range d.h.desk.routes().patterns {
		method, path, _ := strings.Cut(pattern, " ")
		if strings.HasPrefix(path, "/api/v1/") || plain[path].kind != "" {
			served[pattern] = true
			continue
		}
		isPage := slices.ContainsFunc(operations, func(o operation) bool { return o.method == method && (pagePath(&o) == path || path == "/{$}") })
		if !isPage && !slices.Contains([]string{"GET /login", "POST /login", "POST /logout"}, pattern) {
			t.Errorf("%s is served and is no operation", pattern)
		}
	}
	for r := range described {
		if !served[r] {
			t.Errorf("%s is described and not served", r)
		}
	}
	for r := range served {
		if !described[r] {
			t.Errorf("%s is served and not described", r)
		}
	}
	if len(served) < 25 {
		t.Errorf("%d routes", len(served))
	}
}
