package synth

import (
	"encoding/binary"
	"math/rand/v2"
)

// plane is one grey image; its arithmetic is on integers only, see doc.go.
type plane struct {
	w, h int
	px   []uint16
}

func newPlane(w, h int, background uint16) *plane {
	p := &plane{w: w, h: h, px: make([]uint16, w*h)}
	for i := range p.px {
		p.px[i] = background
	}
	return p
}

// ellipse fills an ellipse; centre and half axes are in thousandths of the
// plane's width and height, so that a phantom looks the same in any size.
func (p *plane) ellipse(cx, cy, rx, ry int, v uint16) {
	cx, rx, cy, ry = cx*p.w/1000, rx*p.w/1000, cy*p.h/1000, ry*p.h/1000
	if rx <= 0 || ry <= 0 {
		return
	}
	for y := max(0, cy-ry); y < min(p.h, cy+ry+1); y++ {
		half := rx * isqrt(ry*ry-(y-cy)*(y-cy)) / ry
		row := p.px[y*p.w : (y+1)*p.w]
		for x := max(0, cx-half); x < min(p.w, cx+half+1); x++ {
			row[x] = v
		}
	}
}

// noise adds noise of triangular distribution, -(2^bits-1) to 2^bits-1, clamped
// to 0 and top. bits is at most 8.
func (p *plane) noise(src *rand.ChaCha8, bits uint, top int) {
	var buf [4096]byte
	mask := uint16(1)<<bits - 1
	for at := 0; at < len(p.px); at += len(buf) / 2 {
		src.Read(buf[:]) // never fails
		part := p.px[at:min(len(p.px), at+len(buf)/2)]
		for i := range part {
			r := binary.LittleEndian.Uint16(buf[2*i:])
			v := int(part[i]) + int(r&mask) - int(r>>8&mask)
			part[i] = uint16(max(0, min(top, v)))
		}
	}
}

// isqrt is the integer square root by Newton's method.
func isqrt(n int) int {
	if n < 2 {
		return max(n, 0)
	}
	x := n
	for y := (x + 1) / 2; y < x; y = (x + n/x) / 2 {
		x = y
	}
	return x
}

// swing moves between -amount and amount with period steps, as a triangle wave.
func swing(step, period, amount int) int {
	phase := step % period * 4 * amount / period
	switch {
	case phase < amount:
		return phase
	case phase < 3*amount:
		return 2*amount - phase
	}
	return phase - 4*amount
}
