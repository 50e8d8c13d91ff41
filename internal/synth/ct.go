package synth

const ctClass = "1.2.840.10008.5.1.4.1.1.2" // CT Image Storage

// ctStudy is a chest: thin slices uncompressed, and thick ones in JPEG Lossless.
func ctStudy(seed uint64, p Profile) Study {
	e := newExam(seed, "CT", "TC TORACE")
	common := dataset{
		"ImageType": `ORIGINAL\PRIMARY\AXIAL`, "BodyPartExamined": "CHEST", "PatientPosition": "HFS",
		"AcquisitionNumber": 1, "KVP": "120", "XRayTubeCurrent": 250, "ConvolutionKernel": "B31f",
		"RescaleIntercept": "-1024", "RescaleSlope": "1", "RescaleType": "HU",
		"WindowCenter": `40\-600`, "WindowWidth": `400\1500`,
	}.with(e.frameOfReference())
	thin := e.series(1, ctClass, explicitLE, "TORACE 1.0 MM", common)
	thin.slices(p.count(200), p.pixels(512), 100, nil)
	thick := e.series(2, ctClass, jpegLosslessSV1, "TORACE 50 MM", common)
	thick.slices(p.count(4), p.pixels(512), 5000, jpegLossless)
	return *e.study
}

// slices adds n slices; compress is nil for native pixel data.
func (s series) slices(n, edge, thickness int, compress func(*plane, int) []byte) {
	for i := range n {
		s.add(i+1, func() dataset {
			img := s.chest(i, n, edge)
			var pixels any = img.px
			if compress != nil {
				pixels = fragments{compress(img, 12)}
			}
			return pixelModule(edge, edge, 16, 12).with(axial(edge, edge, 36000/edge, thickness, -i*thickness),
				dataset{"PixelData": pixels})
		})
	}
}

// chest draws slice i of n. Values are Hounsfield units plus 1024.
func (s series) chest(i, n, edge int) *plane {
	const air, fat, muscle, lung, bone, blood = 24, 924, 1074, 200, 1900, 1090
	p := newPlane(edge, edge, air)
	at := i * 1000 / n
	p.ellipse(500, 900, 420, 30, 600) // the table
	p.ellipse(500, 500, 400, 290, fat)
	p.ellipse(500, 500, 375, 265, muscle)
	grow := isqrt(1000*1000-(at-500)*(at-500)*3) / 10 // 50 to 100
	p.ellipse(310, 480, 14*grow/10, 20*grow/10, lung)
	p.ellipse(690, 480, 14*grow/10, 20*grow/10, lung)
	p.ellipse(540+swing(i, 40, 8), 440, 90, 85, blood) // the heart moves
	p.ellipse(500, 690, 50, 45, bone)
	p.ellipse(500, 690, 20, 18, muscle)
	p.ellipse(500, 250, 45, 15, bone)
	if pick(s.seed, "nodule", 2) == 0 && at > 400 && at < 480 {
		p.ellipse(330, 430, 12, 12, 1060)
	}
	p.noise(s.source(i+1), 5, 4095)
	return p
}
