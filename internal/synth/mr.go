package synth

const mrClass = "1.2.840.10008.5.1.4.1.1.4" // MR Image Storage

// mrStudy is a head: a stack in RLE Lossless, and a localizer in Explicit VR Big
// Endian, a retired transfer syntax that old machines still send.
func mrStudy(seed uint64, p Profile) Study {
	e := newExam(seed, "MR", "RM ENCEFALO")
	common := dataset{
		"BodyPartExamined": "HEAD", "PatientPosition": "HFS", "ScanningSequence": "SE",
		"SequenceVariant": "SK", "ScanOptions": "", "MRAcquisitionType": "2D", "RepetitionTime": "4000",
		"EchoTime": "98", "EchoTrainLength": 12, "FlipAngle": "150", "MagneticFieldStrength": "1.5",
		"WindowCenter": "600", "WindowWidth": "1200", "AcquisitionNumber": 1,
	}.with(e.frameOfReference())
	edge, n := p.pixels(256), p.count(12)
	scout := e.series(1, mrClass, explicitBE, "LOCALIZZATORE", common)
	scout.add(1, func() dataset {
		img := scout.head(0, 1, edge)
		return pixelModule(edge, edge, 16, 12).with(axial(edge, edge, 24000/edge, 1000, 0),
			dataset{"ImageType": `ORIGINAL\PRIMARY\OTHER`, "PixelData": img.px})
	})
	stack := e.series(2, mrClass, rleLossless, "T2 TSE ASSIALE", common)
	for i := range n {
		stack.add(i+1, func() dataset {
			img := stack.head(i, n, edge)
			return pixelModule(edge, edge, 16, 12).with(axial(edge, edge, 24000/edge, 500, i*600), dataset{
				"ImageType": `ORIGINAL\PRIMARY\OTHER`, "SpacingBetweenSlices": "6", "PixelData": fragments{rle16(img)}})
		})
	}
	return *e.study
}

// head draws slice i of n of a T2-weighted head.
func (s series) head(i, n, edge int) *plane {
	p := newPlane(edge, edge, 0)
	size := 500 + 500*isqrt(10000-(200*i/n-100)*(200*i/n-100))/100
	part := func(cx, cy, rx, ry int, v uint16) { p.ellipse(cx, cy, rx*size/1000, ry*size/1000, v) }
	part(500, 500, 360, 440, 800) // fat
	part(500, 500, 340, 420, 60)  // bone
	part(500, 500, 310, 390, 500) // grey matter
	part(500, 500, 270, 350, 380) // white matter
	part(450, 460, 35, 110, 1500) // ventricles
	part(550, 460, 35, 110, 1500)
	p.noise(s.source(i+1), 4, 4095)
	return p
}
