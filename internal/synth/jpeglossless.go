package synth

import "math/bits"

// losslessLengths are the code lengths of the difference categories 0 to 16: the
// table that ITU-T T.81 §K.3.1 suggests for luminance DC, continued to 16. A
// fixed table keeps the encoder in one pass; it costs a few per cent of size.
var losslessLengths = [17]uint{2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}

// losslessCodes assigns the codes in order of length (T.81 §C.2).
var losslessCodes = func() (codes [17]uint32) {
	code, length := uint32(0), losslessLengths[0]
	for i, l := range losslessLengths {
		code <<= l - length
		codes[i], length = code, l
		code++
	}
	return codes
}()

// jpegLossless encodes one frame as JPEG Lossless, Non-Hierarchical, First-Order
// Prediction: T.81 process 14 with selection value 1 (PS3.5 §8.2.1).
func jpegLossless(p *plane, precision int) []byte {
	out := append(make([]byte, 0, len(p.px)*2), 0xFF, 0xD8)                        // SOI
	out = append(out, 0xFF, 0xC3, 0, 11, byte(precision), byte(p.h>>8), byte(p.h), // SOF3
		byte(p.w>>8), byte(p.w), 1, 1, 0x11, 0)
	out = appendHuffmanTable(out)
	out = append(out, 0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0) // SOS: predictor 1, no point transform
	w := bitWriter{out: out}
	for y := range p.h {
		for x := range p.w {
			w.difference(int(p.px[y*p.w+x]) - predict(p, x, y, precision))
		}
	}
	return append(w.flush(), 0xFF, 0xD9) // EOI
}

// predict is T.81 §H.1.2.1: left; above in the first column; the middle of the
// range for the first sample.
func predict(p *plane, x, y, precision int) int {
	switch {
	case x > 0:
		return int(p.px[y*p.w+x-1])
	case y > 0:
		return int(p.px[(y-1)*p.w])
	}
	return 1 << (precision - 1)
}

func appendHuffmanTable(out []byte) []byte {
	out = append(out, 0xFF, 0xC4, 0, byte(2+1+16+len(losslessLengths)), 0) // DHT, class 0, table 0
	var counts [17]byte
	for _, l := range losslessLengths {
		counts[l]++
	}
	out = append(out, counts[1:]...)
	for category := range losslessLengths {
		out = append(out, byte(category))
	}
	return out
}

// bitWriter writes bits, most significant first, and stuffs a zero byte behind
// each FFH (T.81 §F.1.2.3).
type bitWriter struct {
	out  []byte
	acc  uint64
	have uint
}

func (w *bitWriter) put(v uint32, n uint) {
	w.acc = w.acc<<n | uint64(v)
	for w.have += n; w.have >= 8; w.have -= 8 {
		b := byte(w.acc >> (w.have - 8))
		w.out = append(w.out, b)
		if b == 0xFF {
			w.out = append(w.out, 0)
		}
	}
}

// difference writes the category of d and its bits (T.81 §H.1.2.2, §F.1.2.1.1).
// With at most 15 bits of precision the category never exceeds 15.
func (w *bitWriter) difference(d int) {
	magnitude := max(d, -d)
	category := uint(bits.Len(uint(magnitude)))
	w.put(losslessCodes[category], losslessLengths[category])
	if d < 0 {
		d--
	}
	w.put(uint32(d)&(1<<category-1), category)
}

// flush fills the last byte with ones (T.81 §F.1.2.3).
func (w *bitWriter) flush() []byte {
	if w.have > 0 {
		w.put(1<<(8-w.have)-1, 8-w.have)
	}
	return w.out
}
