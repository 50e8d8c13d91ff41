package main

import (
	"strings"
	"testing"

	"edged/internal/config"
	"edged/internal/quality"
)

// What is done about findings is configured by finding or by cause; what cannot be is
// refused by its key.
func TestQualityConfig(t *testing.T) {
	read := func(text string) (Config, error) {
		c := defaultConfig()
		err := config.Decode("edged.yaml", []byte("quality: "+text), &c)
		return c, err
	}
	c, err := read(`{actions: [{finding: object, level: warn}, {finding: object.cut, level: hold}, {finding: fiscal.missing, level: "off"}]}`)
	if a := c.Quality.config().Actions; err != nil || a[quality.PixelsShort] != quality.Warn || a[quality.Cut] != quality.Hold || a[quality.FiscalMissing] != quality.Off {
		t.Errorf("%v, %v", a, err)
	}
	c, err = read(`{hold: false, actions: [{finding: object.cut, level: hold}]}`)
	checker, newErr := quality.New(c.Quality.config())
	if err != nil || newErr != nil || quality.Worst(checker.Instance(quality.Instance{Unreadable: true, Cut: true}, quality.Context{})) != quality.Warn {
		t.Errorf("%v, %v: without hold something holds", err, newErr)
	}
	for text, key := range map[string]string{
		`{actions: [{finding: fiscal_code, level: hold}]}`: "quality.actions[0].level",
		`{actions: [{finding: nothing, level: warn}]}`:     "quality.actions[0].finding",
		`{accession_pattern: "("}`:                         "quality.accession_pattern",
		`{date_slack: 0s}`:                                 "quality.date_slack",
		`{usual_percent: 101}`:                             "quality.usual_percent",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), key+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
