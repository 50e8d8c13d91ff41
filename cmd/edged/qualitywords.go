package main

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"edged/agent/status"
	"edged/internal/quality"
)

// sentence is page.Sentence: the heading of a finding's cause, and what was found, with its
// values as people write them.
func (j *assessor) sentence(language string, f status.Finding) (cause, says string) {
	if dayLayouts[language] == "" {
		language = quality.Languages[0]
	}
	all := findingWords(language)
	e, _ := quality.Lookup(quality.Code(f.Code))
	cause, says = all["cause."+f.Cause], all[f.Code]
	if says == "" {
		return cause, f.Code // of a later version
	}
	if e.Kinds[1] != quality.None && f.Values[1] == "" { // what stands in brackets for who looks closer says nothing by half
		says = quality.WithoutAside(says)
	}
	return cause, strings.NewReplacer("{a}", sayValue(language, e.Kinds[0], f.Values[0]), "{b}", sayValue(language, e.Kinds[1], f.Values[1])).Replace(says)
}

var findingWords = func() func(string) map[string]string {
	all := sync.OnceValue(func() map[string]map[string]string {
		m := map[string]map[string]string{}
		for _, language := range quality.Languages {
			m[language] = quality.Words(language)
		}
		return m
	})
	return func(language string) map[string]string { return all()[language] }
}()

// sayValue is a value in a sentence. What a device wrote is kept from turning the writing of
// what stands around it, or from ending the sentence.
func sayValue(language string, kind quality.Kind, v string) string {
	if v == "" {
		return "–"
	}
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case kind == quality.Date:
		if day, err := time.Parse(time.DateOnly, v); err == nil {
			return day.Format(dayLayouts[language])
		}
	case kind == quality.Count && err == nil:
		return grouped(language, n)
	case kind == quality.Bytes && err == nil:
		return grouped(language, n) + "\u00a0byte" + map[bool]string{true: "s"}[language == "en" && n != 1]
	case kind == quality.Seconds && err == nil:
		return spanOf(n)
	}
	return status.Shown(v)
}

// dayLayouts are how people write a day.
var dayLayouts = map[string]string{"it": "02/01/2006", "de": "02.01.2006", "en": "2 Jan 2006"}

// grouped is a number in groups of three.
func grouped(language string, n int64) string {
	s := strconv.FormatInt(n, 10)
	mark := "."
	if language == "en" {
		mark = ","
	}
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + mark + s[i:]
	}
	return s
}

// spanOf is how much a clock is wrong, without its direction for less than it matters.
func spanOf(seconds int64) string {
	sign := ""
	if seconds < 0 {
		sign, seconds = "−", -seconds
	}
	switch {
	case seconds < 120:
		return sign + strconv.FormatInt(seconds, 10) + "\u00a0s"
	case seconds < 2*3600:
		return sign + strconv.FormatInt(seconds/60, 10) + "\u00a0min"
	}
	return sign + strconv.FormatInt(seconds/3600, 10) + "\u00a0h"
}
