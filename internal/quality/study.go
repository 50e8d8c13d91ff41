package quality

import (
	"strings"
	"time"
	"unicode/utf8"
)

// longestSH is the most characters that an SH may have (PS3.5 §6.2).
const longestSH = 16

// accession is check 6.
func (l *list) accession(i Instance, in Context) {
	a := i.Accession
	if a == "" {
		l.add(AccMissing)
		return
	}
	l.addIf(i.AccessionIssuer == "", AccIssuer)
	n := utf8.RuneCountInString(a)
	l.addIf(n > longestSH, AccLong, a, decimal(int64(n)))
	if strings.Trim(a, "0") == "" {
		l.add(AccZeros, a)
		return // it is no number: it has no pattern, and is everybody's
	}
	l.addIf(l.checker.pattern != nil && !l.checker.pattern.MatchString(a), AccPattern, a)
	other := in.AccessionPatient
	l.addIf(other.ID != "" && i.Patient.ID != "" && !same(i.Patient, other), AccReused, a, other.ID)
}

// complete is check 7. Before a study has settled nothing is missing; what is too many is too
// many at once.
func (l *list) complete(s Study, in Context) {
	if s.Expected > 0 {
		l.addIf(s.Settled && s.Instances < s.Expected, StudyFewer, decimal(s.Expected), decimal(s.Instances))
		l.addIf(s.Instances > s.Expected, StudyMore, decimal(s.Expected), decimal(s.Instances))
		return // the MPPS knows this study, the device's usual one is another
	}
	d, c := in.Device, l.checker.config
	if !s.Settled || d.Usual <= 0 || d.UsualStudies < c.UsualStudies {
		return
	}
	few := product(max(s.Instances, 0), 100) < product(d.Usual, int64(c.UsualPercent))
	l.addIf(few, StudyUnusual, decimal(d.Usual), decimal(s.Instances))
}

// drift is the part of check 8 about a device.
func (l *list) drift(in Context) {
	d, allowed := in.Device, l.checker.config.ClockDrift
	if d.DriftStudies < l.checker.config.DriftStudies || d.Drift <= allowed && d.Drift >= -allowed {
		return
	}
	l.add(ClockDrift, decimal(int64(d.Drift/time.Second)), decimal(int64(allowed/time.Second)))
}
