package synth

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
)

const (
	usMultiClass = "1.2.840.10008.5.1.4.1.1.3.1" // Ultrasound Multi-frame Image Storage
	usClass      = "1.2.840.10008.5.1.4.1.1.6.1" // Ultrasound Image Storage
	usFrames     = 20
	usQuality    = 90
)

// usStudy is an abdomen: a clip in JPEG Baseline and an uncompressed still.
func usStudy(seed uint64, p Profile) Study {
	e := newExam(seed, "US", "ECOGRAFIA ADDOME")
	common := dataset{"BodyPartExamined": "ABDOMEN", "PatientOrientation": "", "UltrasoundColorDataPresent": 1}
	w, h, n := p.pixels(640), p.pixels(480), p.count(usFrames)
	clip := e.series(1, usMultiClass, jpegBaseline, "CLIP", common)
	clip.add(1, func() dataset {
		var frames fragments
		for i := range n {
			frames = append(frames, clip.jpegFrame(i, w, h))
		}
		return colourModule(w, h, "YBR_FULL_422").with(dataset{
			"ImageType": `ORIGINAL\PRIMARY\ABDOMINAL\0001`, "NumberOfFrames": n, "FrameTime": "40",
			"FrameIncrementPointer": int(dictionary["FrameTime"].tag), "LossyImageCompression": "01",
			"LossyCompressionRatio": "8", "LossyCompressionMethod": "ISO_10918_1", "PixelData": frames})
	})
	still := e.series(2, usClass, explicitLE, "FERMO IMMAGINE", common)
	still.add(1, func() dataset {
		return colourModule(w/2, h/2, "RGB").with(dataset{"ImageType": `ORIGINAL\PRIMARY\ABDOMINAL\0001`,
			"LossyImageCompression": "00", "PixelData": rgb(still.sector(0, w/2, h/2))})
	})
	return *e.study
}

func (s series) jpegFrame(i, w, h int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, s.sector(i, w, h), &jpeg.Options{Quality: usQuality}); err != nil {
		panic(err) // only for images of more than 65535 lines
	}
	return b.Bytes()
}

// sector draws frame i: speckle in a fan below the probe, an organ that
// breathes, a vessel in Doppler red and blue.
func (s series) sector(i, w, h int) *image.RGBA {
	p := newPlane(w, h, 90)
	p.ellipse(480+swing(i, usFrames, 20), 550, 180, 160, 140)
	p.ellipse(560, 520+swing(i, usFrames, 10), 50, 60, 20)
	p.noise(s.source(i+1), 5, 255)
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, s.dot(p, i, x, y))
		}
	}
	return img
}

func (s series) dot(p *plane, i, x, y int) color.RGBA {
	dx, dy := x-p.w/2, y+p.h/10
	reach := dx*dx + dy*dy
	if 3*max(dx, -dx) > 2*dy || reach > p.h*p.h*11/10 {
		return color.RGBA{A: 255}
	}
	v := byte(p.px[y*p.w+x])
	vx, vy := x-p.w*2/5, y-p.h*7/10
	if vx*vx+vy*vy < p.h*p.h/400 {
		pulse := byte(128 + swing(i, usFrames/2, 127))
		return color.RGBA{R: pulse, B: 255 - pulse, A: 255}
	}
	return color.RGBA{R: v, G: v, B: v, A: 255}
}

// rgb takes the alpha away.
func rgb(img *image.RGBA) []byte {
	b := make([]byte, 0, len(img.Pix)/4*3)
	for i := 0; i < len(img.Pix); i += 4 {
		b = append(b, img.Pix[i:i+3]...)
	}
	return b
}
