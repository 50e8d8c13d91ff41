package hubtest

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// DayConfig says how a day of a region is made small.
type DayConfig struct {
	Seed       uint64
	Appliances int
	Length     time.Duration // of the ten hours from 8 to 18. If zero, 1 min.
	Objects    int           // about so many; the rest of the day's is left out, whole studies at a time. If zero, all.
	Shrink     int64         // lengths are divided by it. If zero, 1.
	MaxObjects int           // of one study, the rest of it is left out. If zero, all.
}

// Arrival is a study that is ready at an appliance.
type Arrival struct {
	At        time.Duration // since the day began
	Appliance int
	Seed      uint64
	Count     int
	Kind      Kind
}

// Make makes its objects.
func (a Arrival) Make() []Object { return Study(a.Seed, a.Count, a.Kind) }

// facility is a class of them: of a thousand, studies a day, and what these are.
type facility struct {
	share   float64
	studies int
	mix     []part
}

type part struct {
	modality string
	share    float64
	objects  [2]int   // from, to
	length   [2]int64 // from, to, KiB
	priority uint8
}

// Sizes of a study are as those of a year in Italian departments: small objects of CT
// and MR by the hundred, few of tens of megabytes. With these shares 8,700
// facilities have some 20 million objects in ten hours, 560 a second.
func facilities() []facility {
	mix := func(ct, mr float64) []part {
		return []part{
			{"CT", ct, [2]int{300, 1500}, [2]int64{514, 526}, 1},
			{"MR", mr, [2]int{300, 1000}, [2]int64{130, 514}, 1},
			{"MG", 0.06, [2]int{4, 4}, [2]int64{26_000, 28_000}, 1},
			{"US", 0.20, [2]int{20, 60}, [2]int64{900, 2_000}, 1},
			{"XA", 0.01, [2]int{5, 30}, [2]int64{20_000, 60_000}, 0},
			{"NM", 0.01, [2]int{2, 6}, [2]int64{300, 2_000}, 1},
			{"DX", 1, [2]int{1, 4}, [2]int64{8_000, 18_000}, 1}, // whatever is left
		}
	}
	return []facility{
		{0.9955, 70, mix(0.012, 0.006)},
		{0.0040, 355, mix(0.16, 0.06)},
		{0.0005, 1835, mix(0.20, 0.06)},
	}
}

// Day is the arrivals of a day in their order: at 10 and at 15 o'clock three times what
// comes at the quiet ends.
func Day(c DayConfig) []Arrival {
	c.Length, c.Shrink = cmp.Or(c.Length, time.Minute), cmp.Or(c.Shrink, 1)
	r := rand.New(rand.NewPCG(c.Seed, 5))
	var all []Arrival
	kinds := facilities()
	for i := range c.Appliances {
		// The first facilities are the large ones, at least one of each class.
		large := int(math.Ceil(kinds[2].share * float64(c.Appliances)))
		middle := int(math.Ceil(kinds[1].share * float64(c.Appliances)))
		kind := kinds[0]
		switch {
		case i < large:
			kind = kinds[2]
		case i < large+middle:
			kind = kinds[1]
		}
		for range kind.studies {
			all = append(all, c.arrival(r, i, kind))
		}
	}
	all = c.thin(r, all)
	slices.SortFunc(all, func(a, b Arrival) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seed, b.Seed)) })
	return all
}

func (c DayConfig) arrival(r *rand.Rand, i int, f facility) Arrival {
	p := choose(r, f.mix)
	count := p.objects[0] + r.IntN(p.objects[1]-p.objects[0]+1)
	if c.MaxObjects > 0 {
		count = min(count, c.MaxObjects)
	}
	length := (p.length[0] + r.Int64N(p.length[1]-p.length[0])) << 10 / c.Shrink
	return Arrival{
		At: time.Duration(hour(r) * float64(c.Length)), Appliance: i, Seed: r.Uint64(), Count: count,
		Kind: Kind{Modality: p.modality, Length: length, Priority: p.priority, Calling: p.modality + "1"},
	}
}

func choose(r *rand.Rand, mix []part) part {
	x := r.Float64()
	for _, p := range mix {
		if x -= p.share; x < 0 {
			return p
		}
	}
	return mix[len(mix)-1]
}

// hour is when, as a part of the day: two peaks on a base, by rejection.
func hour(r *rand.Rand) float64 {
	for {
		x := r.Float64()
		peak := func(at float64) float64 { return math.Exp(-math.Pow((x-at)/0.08, 2)) }
		if 3*r.Float64() < 1+2*max(peak(0.2), peak(0.7)) {
			return x
		}
	}
}

// thin leaves studies out until about c.Objects objects are left.
func (c DayConfig) thin(r *rand.Rand, all []Arrival) []Arrival {
	if c.Objects == 0 {
		return all
	}
	total := 0
	for _, a := range all {
		total += a.Count
	}
	keep := float64(c.Objects) / float64(total)
	return slices.DeleteFunc(all, func(Arrival) bool { return r.Float64() >= keep })
}
