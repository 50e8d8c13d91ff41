package syslog5424

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxMessage is how long a message may be with its header: what every receiver of
// PS3.15 §A.6 takes.
const MaxMessage = 32768

// Facilities for audit messages (RFC 5424 §6.2.1).
const (
	Security = 10 // as PS3.15 §A.6 has it
	LogAudit = 13
)

// Severities (RFC 5424 §6.2.1) that audit messages have (PS3.15 §A.6).
const (
	Warning = 4
	Notice  = 5
)

// Header is what the messages of one source have in common. A field that is empty, or has
// nothing that may stand there, is "-".
type Header struct {
	Facility int    // If zero, Security.
	Hostname string // without it a receiver does not know who speaks
	App      string // If empty, "edged".
	ProcID   string
	MsgID    string // If empty, "DICOM+RFC3881".
}

var errTooLong = errors.New("longer than every receiver takes")

// Format makes a SYSLOG-MSG (RFC 5424 §6). A severity of zero is Notice. What is not
// UTF-8 in the text becomes U+FFFD.
func (h Header) Format(severity int, at time.Time, text []byte) ([]byte, error) {
	if severity == 0 {
		severity = Notice
	}
	if h.Facility == 0 {
		h.Facility = Security
	}
	if h.Facility < 0 || h.Facility > 23 || severity < 0 || severity > 7 {
		return nil, fmt.Errorf("format a message: there is no facility %d with severity %d", h.Facility, severity)
	}
	if len(text) > MaxMessage {
		return nil, fmt.Errorf("format a message of %d bytes: %w (%d)", len(text), errTooLong, MaxMessage)
	}
	m := fmt.Appendf(nil, "<%d>1 %s %s %s %s %s - \ufeff%s", h.Facility*8+severity, timestamp(at),
		printable(h.Hostname, 255), printable(or(h.App, "edged"), 48), printable(h.ProcID, 128), printable(or(h.MsgID, "DICOM+RFC3881"), 32),
		strings.ToValidUTF8(string(text), "\ufffd"))
	if len(m) > MaxMessage {
		return nil, fmt.Errorf("format a message of %d bytes: %w (%d)", len(m), errTooLong, MaxMessage)
	}
	return m, nil
}

// timestamp: six digits of the second at most (RFC 5424 §6.2.3).
func timestamp(t time.Time) string {
	if t.Year() < 0 || t.Year() > 9999 {
		return "-"
	}
	return t.Format("2006-01-02T15:04:05.000000Z07:00")
}

// printable keeps what is PRINTUSASCII (RFC 5424 §6).
func printable(s string, limit int) string {
	kept := strings.Map(func(r rune) rune {
		if r < 33 || r > 126 {
			return -1
		}
		return r
	}, s)
	return or(kept[:min(len(kept), limit)], "-")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// frame puts a message as RFC 5425 §4.3 has it behind b.
func frame(b, message []byte) []byte {
	b = strconv.AppendInt(b, int64(len(message)), 10)
	return append(append(b, ' '), message...)
}
