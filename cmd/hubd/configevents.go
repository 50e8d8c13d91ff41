package main

import "time"

// Events says who is told about studies, and when.
type Events struct {
	When  string `yaml:"when" allowed:"archived|received"`
	Sinks []Sink `yaml:"sinks"`
}

// Sink is one receiver of study events.
type Sink struct {
	Name       string        `yaml:"name"`
	Type       string        `yaml:"type" allowed:"file|http"`
	Path       string        `yaml:"path"`
	URL        string        `yaml:"url"`
	SecretFile string        `yaml:"secret_file"`
	Timeout    time.Duration `yaml:"timeout"`
}

func defaultEvents() Events { return Events{When: "archived"} }

// SetDefaults is where each element of sinks starts.
func (s *Sink) SetDefaults() { *s = Sink{Timeout: 30 * time.Second} }
