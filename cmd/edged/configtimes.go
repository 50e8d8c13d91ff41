package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Days of the week, Sunday first as in package time, written mon-fri or sat,sun.
type Days [7]bool

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// UnmarshalText reads days and ranges of days, with commas between them. A range
// may go over the end of the week: sat-mon.
func (d *Days) UnmarshalText(text []byte) error {
	var out Days
	for part := range strings.SplitSeq(string(text), ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(dayNames, first), slices.Index(dayNames, last)
		if from < 0 || to < 0 || isRange && from == to {
			return fmt.Errorf("%.40q is not days, as mon-fri or sat,sun; the days are mon, tue, wed, thu, fri, sat, sun", text)
		}
		for ; ; from = (from + 1) % 7 {
			out[from] = true
			if from == to {
				break
			}
		}
	}
	*d = out
	return nil
}

// WallTime is what the clock on the wall shows, 00:00 to 24:00.
type WallTime time.Duration

// UnmarshalText reads HH:MM.
func (w *WallTime) UnmarshalText(text []byte) error {
	hours, minutes, _ := strings.Cut(string(text), ":")
	h, errH := strconv.ParseUint(hours, 10, 8)
	m, errM := strconv.ParseUint(minutes, 10, 8)
	if errH != nil || errM != nil || len(hours) != 2 || len(minutes) != 2 || m > 59 || 60*h+m > 24*60 {
		return fmt.Errorf("%.40q is not a time from 00:00 to 24:00, as 08:30", text)
	}
	*w = WallTime(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)
	return nil
}

func (w WallTime) String() string {
	return fmt.Sprintf("%02d:%02d", time.Duration(w)/time.Hour, time.Duration(w)%time.Hour/time.Minute)
}

// DSCP is the differentiated services code point of all that is sent (RFC 2474),
// a number or the name of a well known one.
type DSCP uint8

// dscpNames are in RFC 2474 §4.2.2 (CS), RFC 2597 §6 (AF), RFC 3246 §2.7 (EF),
// RFC 5865 §1.2 (VA) and RFC 8622 §11 (LE).
var dscpNames = map[string]DSCP{
	"CS0": 0, "CS1": 8, "CS2": 16, "CS3": 24, "CS4": 32, "CS5": 40, "CS6": 48, "CS7": 56,
	"AF11": 10, "AF12": 12, "AF13": 14, "AF21": 18, "AF22": 20, "AF23": 22, "AF31": 26, "AF32": 28, "AF33": 30, "AF41": 34, "AF42": 36, "AF43": 38,
	"EF": 46, "VA": 44, "LE": 1,
}

// UnmarshalText reads 0 to 63 or a name.
func (d *DSCP) UnmarshalText(text []byte) error {
	if named, ok := dscpNames[strings.ToUpper(string(text))]; ok {
		*d = named
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil || n > 63 {
		return fmt.Errorf("%.40q is not a DSCP: 0 to 63, CS0 to CS7, AF11 to AF43, EF, VA or LE", text)
	}
	*d = DSCP(n)
	return nil
}
