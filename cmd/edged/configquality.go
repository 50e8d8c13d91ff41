package main

import (
	"fmt"
	"time"

	"edged/internal/quality"
)

// Quality says what is done about data that is wrong. Whatever stands here, an image is
// taken and sent on as it came.
type Quality struct {
	Hold             bool            `yaml:"hold"`
	Actions          []QualityAction `yaml:"actions"`
	AccessionPattern string          `yaml:"accession_pattern"`
	TestNames        []string        `yaml:"test_names"`
	CodeIssuers      []string        `yaml:"code_issuers"`
	FacilityNames    []string        `yaml:"facility_names"`
	FacilityCodes    []string        `yaml:"facility_codes"`
	DateSlack        time.Duration   `yaml:"date_slack"`
	ClockDrift       time.Duration   `yaml:"clock_drift"`
	DriftStudies     int             `yaml:"drift_studies"`
	UsualPercent     int             `yaml:"usual_percent"`
	UsualStudies     int             `yaml:"usual_studies"`
}

// QualityAction is what one finding, or each of a cause, does.
type QualityAction struct {
	Finding string `yaml:"finding"`
	Level   string `yaml:"level" allowed:"off|info|warn|hold"`
}

// SetDefaults are the values of an action that is listed without them.
func (a *QualityAction) SetDefaults() { a.Level = "info" }

func defaultQuality() Quality {
	return Quality{Hold: true, DateSlack: 24 * time.Hour, ClockDrift: time.Minute, DriftStudies: 5, UsualPercent: 50, UsualStudies: 10}
}

// codes are those that the action is about: one, or all of a cause.
func (a QualityAction) codes() (out []quality.Entry) {
	for _, e := range quality.Table() {
		if string(e.Code) == a.Finding || string(e.Cause) == a.Finding {
			out = append(out, e)
		}
	}
	return out
}

func (a QualityAction) level() (l quality.Level) {
	l.UnmarshalText([]byte(a.Level)) // one of the allowed words
	return l
}

// config is what the checker wants. Later actions override earlier ones.
func (q Quality) config() quality.Config {
	c := quality.Config{Actions: map[quality.Code]quality.Level{}, AccessionPattern: q.AccessionPattern, TestNames: q.TestNames, CodeIssuers: q.CodeIssuers,
		DateSlack: q.DateSlack, ClockDrift: q.ClockDrift, DriftStudies: q.DriftStudies, UsualPercent: q.UsualPercent, UsualStudies: q.UsualStudies}
	for _, a := range q.Actions {
		for _, e := range a.codes() {
			c.Actions[e.Code] = a.level()
		}
	}
	for _, e := range quality.Table() {
		if level, set := c.Actions[e.Code]; !q.Hold && (level == quality.Hold || !set && e.Level == quality.Hold) {
			c.Actions[e.Code] = quality.Warn
		}
	}
	return c
}

func (q Quality) check(bad complain) {
	for i, a := range q.Actions {
		key := fmt.Sprintf("quality.actions[%d]", i)
		codes := a.codes()
		if len(codes) == 0 {
			bad(key+".finding", "there is no finding and no cause %.40q; docs/findings.md lists them", a.Finding)
			continue
		}
		if a.level() == quality.Hold && codes[0].Cause.Number() > 3 {
			bad(key+".level", "%s cannot be hold: off, info or warn; what is wrong with data holds back no examination, only broken images, reused UIDs and two patients in one study do", a.Finding)
		}
	}
	for key, n := range map[string]int64{"date_slack": int64(q.DateSlack), "clock_drift": int64(q.ClockDrift), "drift_studies": int64(q.DriftStudies), "usual_studies": int64(q.UsualStudies)} {
		if n <= 0 {
			bad("quality."+key, "is not more than zero")
		}
	}
	if q.UsualPercent < 1 || q.UsualPercent > 100 {
		bad("quality.usual_percent", "%d is not between 1 and 100", q.UsualPercent)
	}
	for key, list := range map[string][]string{"test_names": q.TestNames, "code_issuers": q.CodeIssuers, "facility_names": q.FacilityNames, "facility_codes": q.FacilityCodes} {
		if len(list) > 16 {
			bad("quality."+key, "has %d entries, at most 16 are looked at", len(list))
		}
	}
	if err := (quality.Config{AccessionPattern: q.AccessionPattern}).Validate(); err != nil {
		bad("quality.accession_pattern", "%v", err)
	}
}
