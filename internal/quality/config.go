package quality

import (
	"fmt"
	"regexp"
	"time"
)

// Config has the thresholds, and what is done about each code. The zero value is safe.
type Config struct {
	Actions map[Code]Level // in place of the Table's; hold only for the first three checks

	AccessionPattern string   // regular expression (RE2) of a whole number. If "", any.
	TestNames        []string // besides those that are known
	CodeIssuers      []string // who gives codici fiscali, as issuer. If empty, the ministry's OID.

	DateSlack    time.Duration // between study date and receipt. If zero, 24 h.
	ClockDrift   time.Duration // of a device's median. If zero, 60 s.
	DriftStudies int           // that a median rests on, at least. If zero, 5.
	UsualPercent int           // of the usual count: fewer is told. If zero, 50.
	UsualStudies int           // that a usual count rests on, at least. If zero, 10.
}

// codeIssuer is the root of codici fiscali in HL7 Italia's table.
const codeIssuer = "2.16.840.1.113883.2.9.4.3.2"

func (c Config) filled() Config {
	or := func(p *int, n int) {
		if *p == 0 {
			*p = n
		}
	}
	if c.DateSlack == 0 {
		c.DateSlack = 24 * time.Hour
	}
	if c.ClockDrift == 0 {
		c.ClockDrift = time.Minute
	}
	if len(c.CodeIssuers) == 0 {
		c.CodeIssuers = []string{codeIssuer}
	}
	or(&c.DriftStudies, 5)
	or(&c.UsualPercent, 50)
	or(&c.UsualStudies, 10)
	return c
}

// Validate says which key is wrong, and what is allowed.
func (c Config) Validate() error {
	for _, e := range table { // in its order, so that the first one told is always the same
		if l, set := c.Actions[e.Code]; set && (l > Hold || l == Hold && !mayHold(e)) {
			return fmt.Errorf("actions: %s cannot be %s: off, info or warn (hold is for checks 1 to %d)", e.Code, l, holding)
		}
	}
	for code := range c.Actions {
		if _, ok := order[code]; !ok {
			return fmt.Errorf("actions: there is no code %.40q", code)
		}
	}
	switch {
	case len(c.AccessionPattern) > maxText:
		return fmt.Errorf("accession pattern: longer than %d bytes", maxText)
	case len(c.TestNames) > maxList || len(c.CodeIssuers) > maxList:
		return fmt.Errorf("test names, code issuers: more than %d", maxList)
	case c.DateSlack < 0 || c.ClockDrift < 0 || c.DriftStudies < 0 || c.UsualStudies < 0:
		return fmt.Errorf("thresholds: less than zero")
	case c.UsualPercent < 0 || c.UsualPercent > 100:
		return fmt.Errorf("usual percent: %d is not 0 to 100", c.UsualPercent)
	}
	_, err := c.pattern()
	return err
}

// pattern is nil where any number will do.
func (c Config) pattern() (*regexp.Regexp, error) {
	if c.AccessionPattern == "" {
		return nil, nil
	}
	p, err := regexp.Compile(`\A(?:` + c.AccessionPattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("accession pattern: %w", err)
	}
	return p, nil
}

func mayHold(e Entry) bool { return e.Cause.Number() <= holding }
