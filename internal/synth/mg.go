package synth

const mgClass = "1.2.840.10008.5.1.4.1.1.1.2" // Digital Mammography X-Ray Image Storage - For Presentation

// mgStudy is one view of each side, in JPEG Lossless SV1 (PS3.3 §A.27, §C.8.11.7).
func mgStudy(seed uint64, p Profile) Study {
	e := newExam(seed, "MG", "MAMMOGRAFIA BILATERALE")
	w, h := p.pixels(1914), p.pixels(2294)
	s := e.series(1, mgClass, jpegLosslessSV1, "CC", dataset{
		"ImageType": `DERIVED\PRIMARY`, "PresentationIntentType": "FOR PRESENTATION",
		"BodyPartExamined": "BREAST", "OrganExposed": "BREAST", "PositionerType": "MAMMOGRAPHIC", "DetectorType": "DIRECT",
		"KVP": "28", "ImagerPixelSpacing": `0.10\0.10`, "BurnedInAnnotation": "NO", "BreastImplantPresent": "NO",
		"PixelIntensityRelationship": "LOG", "PixelIntensitySign": -1, "PresentationLUTShape": "IDENTITY",
		"RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US", "LossyImageCompression": "00",
		"WindowCenter": "2048", "WindowWidth": "4096", "AcquisitionContextSequence": []dataset{},
		"AnatomicRegionSequence": code("76752008", "SCT", "Breast"),
		"ViewCodeSequence": []dataset{code("399162004", "SCT", "cranio-caudal")[0].with(
			dataset{"ViewModifierCodeSequence": []dataset{}})},
	})
	for i, side := range []string{"R", "L"} {
		s.add(i+1, func() dataset {
			img := s.breast(side, i, w, h)
			return pixelModule(w, h, 16, 12).with(dataset{
				"ImageLaterality": side, "PatientOrientation": map[string]string{"R": `P\L`, "L": `A\R`}[side],
				"PixelData": fragments{jpegLossless(img, 12)}})
		})
	}
	return *e.study
}

// breast lies against the chest wall: the right edge for R, the left edge for L.
func (s series) breast(side string, i, w, h int) *plane {
	p := newPlane(w, h, 0)
	mirror := func(x int) int {
		if side == "R" {
			return 1000 - x
		}
		return x
	}
	p.ellipse(mirror(0), 500, 700, 420, 1200)
	p.ellipse(mirror(0), 500, 660, 390, 1800)
	for g := range 40 { // glandular tissue
		k := key(s.seed, "gland/"+side+string(rune('A'+g)))
		cx, cy := 150+int(k[0])*3/2, 300+int(k[1])*8/5
		p.ellipse(mirror(cx), cy, 10+int(k[2])/4, 10+int(k[3])/5, 2000+uint16(k[4])*5)
	}
	p.noise(s.source(i+1), 6, 4095)
	return p
}
