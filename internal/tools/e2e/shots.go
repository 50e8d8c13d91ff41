package main

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// picture is one that the documentation has.
type picture struct {
	name, path, language string
	in                   bool
}

// pictures are taken while there is something to see.
var pictures = []picture{
	{"state-attention", "/", "it", false}, {"state-en", "/", "en", false}, {"state-de", "/", "de", false},
	{"studies", "/studies", "it", true}, {"studies-anybody", "/studies", "it", false}, {"study", "/studies/*", "it", true}, {"receipt", "/studies/*/receipt", "it", true},
	{"devices", "/devices", "it", true}, {"setup-sheet", "/devices/of/*/sheet", "it", true},
	{"fix", "/fix", "it", true}, {"tests", "/tests", "it", true}, {"alarms", "/alarms", "it", true}, {"line", "/line", "it", true},
	{"system", "/system", "it", true}, {"audit", "/audit", "it", true}, {"days", "/days", "it", true}, {"help", "/help", "it", false}, {"login", "/login", "it", false},
}

// shots takes them. The pages are found again: what there is has changed.
func shots(ctx context.Context, p *play) error {
	if p.shots == "" {
		return nil
	}
	if err := p.fillShare(ctx, 0, 5*senders); err != nil { // some of them are wrong, for the page To fix
		return err
	}
	if err := crawlAll(ctx, p); err != nil {
		return err
	}
	for _, s := range pictures {
		t, err := p.viewer(ctx, s.language, s.in)
		if err != nil {
			p.wrong("%s: %v", s.name, err)
			continue
		}
		if path := p.oneOf(s.path); path == "" {
			p.wrong("there is no page %s to take a picture of", s.path)
		} else if err := t.open(path); err != nil {
			p.wrong("%v", err)
		} else {
			p.take(t, s.name)
		}
		t.close()
	}
	return nil
}

// oneOf is a page of a pattern, without its query.
func (p *play) oneOf(pattern string) string {
	for _, f := range p.pages {
		if got, _, _ := strings.Cut(f.pattern, "?"); got == pattern {
			return f.path
		}
	}
	return ""
}

// shot takes a picture of the first page in a state.
func (p *play) shot(t *tab, path, name string) {
	if p.shots != "" && path == "/" {
		p.take(t, name)
	}
}

// largest is what a picture in the repository may weigh.
const largest = 250 << 10

// take writes a picture of at most a screen and a half, with few colours, so that
// it is small.
func (p *play) take(t *tab, name string) {
	var height int64
	var raw []byte
	if err := t.eval("Math.max(700, Math.min(document.documentElement.scrollHeight, 1500))", &height); err != nil {
		p.wrong("%s: %v", name, err)
		return
	}
	err := t.do(emulation.SetDeviceMetricsOverride(1280, height, 1, false), chromedp.CaptureScreenshot(&raw), emulation.ClearDeviceMetricsOverride())
	if err == nil {
		raw, err = small(raw)
	}
	if err == nil {
		err = os.MkdirAll(p.shots, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(p.shots, name+".png"), raw, 0o644)
	}
	switch {
	case err != nil:
		p.wrong("%s: %v", name, err)
	case len(raw) > largest:
		p.wrong("the picture %s has %d bytes", name, len(raw))
	}
}

// small is a PNG with a palette of the 256 colours that are most used.
func small(raw []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	flat := image.NewPaletted(full.Bounds(), mostUsed(full))
	draw.Draw(flat, flat.Bounds(), full, full.Bounds().Min, draw.Src)
	var out bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	err = e.Encode(&out, flat)
	return out.Bytes(), err
}

func mostUsed(m image.Image) color.Palette {
	times := map[color.RGBA]int{}
	for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
		for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
			times[color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)]++
		}
	}
	return top(times, 256)
}

// top are the n colours that stand most often; of two alike, the darker one.
func top(times map[color.RGBA]int, n int) (p color.Palette) {
	all := slices.SortedFunc(maps.Keys(times), func(a, b color.RGBA) int {
		return cmp.Or(times[b]-times[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	for _, c := range all[:min(n, len(all))] {
		p = append(p, c)
	}
	return p
}
