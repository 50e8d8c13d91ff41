package main

import (
	"regexp"
	"slices"
	"strings"
)

// journalKeys are the attributes of log lines whose values are our own: numbers, times,
// words of this program. What a device, the hub or somebody at the page said or is called
// is under others (calling, called, name, words, err), and those are left out.
var journalKeys = []string{"time", "level", "msg", "done", "of", "in", "on", "objects", "object", "at_hub_for", "until", "messages", "took", "version", "status", "association",
	"unread", "instances", "series", "matches", "rate", "backfill_rate", "schedule", "keys", "key", "max_pdu", "generation", "device_generation", "proved", "missing", "segment", "seq", "next", "pause", "held_at_hub", "permanent"}

// attribute is a key and its value as slog's TextHandler writes them.
var attribute = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)`)

// ownJournal keeps of the journal what this program says by itself: the level, the
// message, and attributes that are on the list. Of a line of another form, as a crash
// leaves them, only the place in the program stays.
func ownJournal(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		b.WriteString(withoutUIDs(ownLine(line)) + "\n")
	}
	return b.String()
}

// ofManager is a line of the service manager, which knows nothing of what came in.
var ofManager = regexp.MustCompile(`^\S+ \S+ systemd\[1\]: `)

// frameOf is where a goroutine was: a file of ours or of Go, and a line.
var frameOf = regexp.MustCompile(`[A-Za-z0-9_./@-]+\.go:[0-9]+`)

// head is what the journal puts before a line: when, where, who.
var head = regexp.MustCompile(`^\d{4}-\S+ `)

func ownLine(line string) string {
	at := strings.Index(line, "level=")
	if at < 0 {
		if ofManager.MatchString(line) {
			return line
		}
		return head.FindString(line) + strings.TrimSpace("(left out) "+frameOf.FindString(line))
	}
	out := []string{strings.TrimSpace(head.FindString(line))}
	left := false
	for _, m := range attribute.FindAllStringSubmatch(line[at:], -1) {
		if slices.Contains(journalKeys, m[1]) {
			out = append(out, m[0])
		} else {
			left = true
		}
	}
	if left {
		out = append(out, "(more is left out)")
	}
	return strings.TrimSpace(strings.Join(out, " "))
}
