package syslog5424

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var moment = time.Date(2026, 11, 22, 18, 20, 14, 250_000_999, time.FixedZone("CET", 3600))

func TestMessagesAreOfRFC5424(t *testing.T) {
	for _, c := range []struct {
		h        Header
		severity int
		at       time.Time
		want     string
	}{
		{Header{Hostname: "edged-7f3a", ProcID: "4711"}, 0, moment, "<85>1 2026-11-22T18:20:14.250000+01:00 edged-7f3a edged 4711 DICOM+RFC3881 - \ufeff<x/>"},
		{Header{Facility: LogAudit, App: "hub", MsgID: "M"}, Warning, moment.UTC(), "<108>1 2026-11-22T17:20:14.250000Z - hub - M - \ufeff<x/>"},
		{Header{Hostname: "a b\r\nc\u00e9\x00", App: strings.Repeat("x", 99), ProcID: " ", MsgID: "\x7f"}, 7, time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC),
			"<87>1 - abc " + strings.Repeat("x", 48) + " - - - \ufeff<x/>"},
	} {
		got, err := c.h.Format(c.severity, c.at, []byte("<x/>"))
		if err != nil || string(got) != c.want {
			t.Errorf("got  %q, %v\nwant %q", got, err, c.want)
		}
	}
}

func TestMessagesAreBoundedAndUTF8(t *testing.T) {
	if m, err := (Header{}).Format(0, moment, []byte("a\xff\xffb")); err != nil || !utf8.Valid(m) || !strings.HasSuffix(string(m), "a\ufffdb") {
		t.Errorf("%q, %v", m, err)
	}
	for _, n := range []int{MaxMessage - 20, MaxMessage, 10 * MaxMessage} {
		if m, err := (Header{}).Format(0, moment, make([]byte, n)); !errors.Is(err, errTooLong) {
			t.Errorf("%d bytes became %d, %v", n, len(m), err)
		}
	}
	for _, c := range [][2]int{{24, 5}, {-1, 5}, {10, 8}, {10, -1}} {
		if m, err := (Header{Facility: c[0]}).Format(c[1], moment, nil); err == nil {
			t.Errorf("facility %d, severity %d became %q", c[0], c[1], m)
		}
	}
}

// unframe reads one message as a receiver of RFC 5425 §4.3 does, strictly.
func unframe(r *bufio.Reader) (string, error) {
	digits, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(digits, " "))
	if err != nil || digits[0] == '0' || n < 1 || n > MaxMessage {
		return "", fmt.Errorf("length %q", digits)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	return string(b), nil
}

func TestFramesAreCounted(t *testing.T) {
	var wire []byte
	for _, m := range []string{"<85>1 a", "12 34", "è\n"} {
		wire = frame(wire, []byte(m))
	}
	if got, want := string(wire), "7 <85>1 a5 12 343 è\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
