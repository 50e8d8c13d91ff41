package page

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What an address or a form may ask of a list. What cannot be read is not asked for.

// dayAsked is the day, zero where none is asked for.
func (p *Page) dayAsked(v url.Values) time.Time {
	day, err := time.ParseInLocation(time.DateOnly, v.Get("day"), p.cfg.Location)
	if err != nil {
		return time.Time{}
	}
	return day
}

// pageAsked is the number of the page, from 1, and how many rows come before it.
func pageAsked(v url.Values, aPage int) (number, offset int) {
	number, _ = strconv.Atoi(v.Get("page"))
	number = min(max(number, 1), 1<<20)
	return number, (number - 1) * aPage
}

// wordsAsked are words to look for, at most so many bytes of them.
func wordsAsked(text string, most int) string {
	text = strings.TrimSpace(text)
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
