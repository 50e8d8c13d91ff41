package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ByteSize is a number of bytes, written with its unit: 512KiB, 2GiB, 10GB, 0.
type ByteSize int64

// BitRate is bits a second, written with its unit: 800Mbit/s, 0.
type BitRate int64

type unit struct {
	name  string
	scale int64
}

// Largest first, so that String finds the shortest form.
var sizeUnits = []unit{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
}

var rateUnits = []unit{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}, {"bit/s", 1}}

var errUnit = errors.New("unit")

// UnmarshalText reads a size. A number other than 0 must have its unit.
func (s *ByteSize) UnmarshalText(text []byte) error {
	n, err := parseUnit(string(text), sizeUnits)
	if err != nil {
		return fmt.Errorf("%q is not a size from 0 with its unit, as 512KiB, 2GiB or 10GB", clip(string(text)))
	}
	*s = ByteSize(n)
	return nil
}

// UnmarshalText reads a rate. A number other than 0 must have its unit.
func (r *BitRate) UnmarshalText(text []byte) error {
	n, err := parseUnit(string(text), rateUnits)
	if err != nil {
		return fmt.Errorf("%q is not a rate from 0 with its unit, as 20Mbit/s or 1Gbit/s", clip(string(text)))
	}
	*r = BitRate(n)
	return nil
}

func (s ByteSize) String() string { return formatUnit(int64(s), sizeUnits) }
func (r BitRate) String() string  { return formatUnit(int64(r), rateUnits) }

// MarshalText is the inverse of UnmarshalText.
func (s ByteSize) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText is the inverse of UnmarshalText.
func (r BitRate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// BytesPerSecond is what a token bucket counts.
func (r BitRate) BytesPerSecond() int64 { return int64(r) / 8 }

func parseUnit(s string, units []unit) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "0" {
		return 0, nil
	}
	for _, u := range units {
		num, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil {
			return 0, errUnit
		}
		total := f * float64(u.scale)
		if math.IsNaN(total) || total < 0 || total >= math.MaxInt64 {
			return 0, errUnit
		}
		return int64(total), nil
	}
	return 0, errUnit
}

func formatUnit(n int64, units []unit) string {
	if n == 0 {
		return "0"
	}
	for _, u := range units {
		if n%u.scale == 0 {
			return strconv.FormatInt(n/u.scale, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// ParseDuration is time.ParseDuration, days as well (7d, 1d12h), never negative.
func ParseDuration(s string) (time.Duration, error) {
	var days time.Duration
	if num, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseInt(num, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("duration %q: %w", clip(s), errUnit)
		}
		days, s = time.Duration(n)*24*time.Hour, rest
		if s == "" {
			s = "0"
		}
	}
	t, err := time.ParseDuration(s)
	if err != nil || t < 0 || days < 0 || days+t < days {
		return 0, fmt.Errorf("duration %q: %w", clip(s), errUnit)
	}
	return days + t, nil
}
