package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// conforms checks a value against a schema of openapi.json: as much of JSON Schema
// 2020-12 as that uses. It is stricter in one thing: what is not described is wrong.
func conforms(doc, schema node, v any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		s, ok := doc["components"].(node)["schemas"].(node)[name].(node)
		if !ok {
			return fmt.Errorf("%s: no schema %s", at, name)
		}
		return conforms(doc, s, v, at)
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%s: %v is not one of %v", at, v, enum)
	}
	switch schema["type"] {
	case "object":
		return conformsObject(doc, schema, v, at)
	case "array":
		all, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: %T is no array", at, v)
		}
		for i, one := range all {
			if err := conforms(doc, schema["items"].(node), one, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	case "string":
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%s: %T is no string", at, v)
		}
		if schema["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
				return fmt.Errorf("%s: %v", at, err)
			}
		}
		return nil
	case "integer", "number":
		f, ok := v.(float64)
		if !ok || schema["type"] == "integer" && f != math.Trunc(f) {
			return fmt.Errorf("%s: %v is no %s", at, v, schema["type"])
		}
		return nil
	case "boolean":
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%s: %T is no boolean", at, v)
		}
		return nil
	}
	return fmt.Errorf("%s: a schema without a type that is known: %v", at, schema)
}

func conformsObject(doc, schema node, v any, at string) error {
	o, ok := v.(node)
	if !ok {
		return fmt.Errorf("%s: %T is no object", at, v)
	}
	properties, _ := schema["properties"].(node)
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, ok := o[key.(string)]; !ok {
			return fmt.Errorf("%s: %v is missing", at, key)
		}
	}
	for key, one := range o {
		s, ok := properties[key].(node)
		if !ok {
			s, ok = schema["additionalProperties"].(node)
		}
		if !ok {
			return fmt.Errorf("%s: %s is not described", at, key)
		}
		if err := conforms(doc, s, one, at+"."+key); err != nil {
			return err
		}
	}
	return nil
}
