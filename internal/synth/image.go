package synth

import "fmt"

// pixelModule is the Image Pixel module of grey images (PS3.3 §C.7.6.3).
func pixelModule(w, h, allocated, stored int) dataset {
	return dataset{
		"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": h, "Columns": w,
		"BitsAllocated": allocated, "BitsStored": stored, "HighBit": stored - 1, "PixelRepresentation": 0,
	}
}

// colourModule is the Image Pixel module of interleaved 8-bit colour.
func colourModule(w, h int, photometric string) dataset {
	return pixelModule(w, h, 8, 8).with(dataset{
		"SamplesPerPixel": 3, "PhotometricInterpretation": photometric, "PlanarConfiguration": 0,
	})
}

// axial is the Image Plane module of an axial stack (PS3.3 §C.7.6.2); spacing
// and z are in hundredths of a millimetre.
func axial(w, h, spacing, thickness, z int) dataset {
	s := hundredths(spacing)
	return dataset{
		"PixelSpacing": s + `\` + s, "SliceThickness": hundredths(thickness),
		"ImageOrientationPatient": `1\0\0\0\1\0`,
		"ImagePositionPatient":    hundredths(-w*spacing/2) + `\` + hundredths(-h*spacing/2) + `\` + hundredths(z),
		"SliceLocation":           hundredths(z),
	}
}

// frameOfReference is PS3.3 §C.7.4.1.
func (e *exam) frameOfReference() dataset {
	return dataset{"FrameOfReferenceUID": uid(e.seed, "frame/"+e.modality), "PositionReferenceIndicator": ""}
}

// hundredths writes n/100 as a decimal string without floating point.
func hundredths(n int) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}

// code is one item of a code sequence (PS3.3 §8).
func code(value, scheme, meaning string) []dataset {
	return []dataset{{"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}}
}
