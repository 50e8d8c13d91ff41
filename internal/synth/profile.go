package synth

import (
	"fmt"
	"strconv"
	"strings"
)

// Profile says which studies are made.
type Profile struct {
	Kind    string // demo, small, ct, mr, us, mg, sr, bench or large; if empty, demo
	Objects int    // bench and large: how many objects
	Size    int64  // bench and large: bytes of each data set
}

// The profiles that need no figures. Small has every kind of object and transfer
// syntax of Demo in thumbnails, for quick tests.
var (
	Demo  = Profile{Kind: "demo"}
	Small = Profile{Kind: "small"}
)

// Bench is n objects of exactly size bytes of random pixels, at least MinSize.
// Below 4 GiB they are native, from there on encapsulated, because the length of
// a native Pixel Data has 32 bits.
func Bench(n int, size int64) Profile { return Profile{Kind: "bench", Objects: n, Size: size} }

type maker func(seed uint64, p Profile) Study

var makers = map[string]maker{"ct": ctStudy, "mr": mrStudy, "us": usStudy, "mg": mgStudy, "sr": srStudy}

func (p Profile) kinds() []maker {
	switch p.Kind {
	case "", "demo", "small":
		return []maker{ctStudy, mrStudy, usStudy, mgStudy, srStudy}
	case "bench", "large":
		return []maker{benchStudy}
	}
	if makers[p.Kind] == nil {
		panic("synth: no profile " + p.Kind)
	}
	return []maker{makers[p.Kind]}
}

// pixels scales an edge of an image: thumbnails are an eighth.
func (p Profile) pixels(n int) int {
	if p.Kind == "small" {
		return n / 8
	}
	return n
}

// count scales the number of images in a series.
func (p Profile) count(n int) int {
	if p.Kind == "small" {
		return min(n, 2)
	}
	return n
}

// ParseProfile reads the names that a user types: demo, small, ct, mr, us, mg,
// sr, bench, bench:NxSIZE or large:SIZE, as in bench:300x512KiB or large:4GiB.
func ParseProfile(s string) (Profile, error) {
	kind, figures, _ := strings.Cut(s, ":")
	p := Profile{Kind: kind}
	switch {
	case kind == "bench":
		return parseBench(p, figures)
	case kind == "large":
		p.Objects = 1
		return parseSize(p, figures, "4GiB")
	case figures == "" && (kind == "demo" || kind == "small" || makers[kind] != nil):
		return p, nil
	}
	return p, fmt.Errorf("profile %q: allowed are demo, small, ct, mr, us, mg, sr, bench:NxSIZE, large:SIZE", s)
}

func parseBench(p Profile, figures string) (Profile, error) {
	n, size, _ := strings.Cut(figures, "x")
	if n == "" {
		n = "300"
	}
	var err error
	if p.Objects, err = strconv.Atoi(n); err != nil || p.Objects < 1 || p.Objects > maxObjects {
		return p, fmt.Errorf("profile bench:%s: want a number of objects from 1 to %d, as in bench:300x512KiB", figures, maxObjects)
	}
	return parseSize(p, size, "512KiB")
}

// maxObjects bounds a benchmark.
const maxObjects = 10_000_000

func parseSize(p Profile, s, fallback string) (Profile, error) {
	if s == "" {
		s = fallback
	}
	digits := strings.TrimRight(s, "BKMGTi")
	unit, ok := units[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 1 || n > maxSize/unit || n*unit < MinSize {
		return p, fmt.Errorf("profile %s: size %q: want a number with KiB, MiB or GiB, from %d bytes to 1TiB", p.Kind, s, MinSize)
	}
	p.Size = n * unit &^ 1 // a data set has an even length (PS3.5 §7.1)
	return p, nil
}

const maxSize = int64(1) << 40

var units = map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
