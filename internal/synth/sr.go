package synth

import "fmt"

const (
	basicTextClass     = "1.2.840.10008.5.1.4.1.1.88.11" // Basic Text SR Storage
	comprehensiveClass = "1.2.840.10008.5.1.4.1.1.88.33" // Comprehensive SR Storage
)

// srStudy is two reports: a Comprehensive SR with codes, a measurement and the
// image it was taken on, in Implicit VR Little Endian, and a Basic Text SR in
// Deflated Explicit VR Little Endian.
func srStudy(seed uint64, p Profile) Study {
	e := newExam(seed, "SR", "REFERTO")
	common := dataset{
		"ReferencedStepSequence": []dataset{}, "PerformedCodeSequence": []dataset{},
		"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED",
		"ValueType": "CONTAINER", "ContinuityOfContent": "SEPARATE",
		"ConceptNameCodeSequence": code("18748-4", "LN", "Diagnostic Imaging Report"),
	}
	measured := e.series(1, comprehensiveClass, implicitLE, "REFERTO STRUTTURATO", common)
	measured.add(1, func() dataset { return comprehensive(seed, p) })
	text := e.series(2, basicTextClass, deflatedLE, "REFERTO TESTUALE", common)
	text.add(1, func() dataset {
		return dataset{"ContentSequence": []dataset{
			textItem("121060", "History", "Controllo. Paziente inesistente."),
			textItem("121071", "Finding", latin1("Non si osserva nulla, perché non c'è nessuno da osservare.")),
			textItem("121077", "Conclusion", fmt.Sprintf("Dati sintetici, seme %d.", seed)),
		}}
	})
	return *e.study
}

func textItem(concept, meaning, text string) dataset {
	return dataset{"RelationshipType": "CONTAINS", "ValueType": "TEXT", "TextValue": text,
		"ConceptNameCodeSequence": code(concept, "DCM", meaning)}
}

// comprehensive refers to the first slice of the CT study of the same seed.
func comprehensive(seed uint64, p Profile) dataset {
	ct := ctStudy(seed, p)
	slice := ct.Instances[0]
	reference := []dataset{{"ReferencedSOPClassUID": slice.Names.SOPClass, "ReferencedSOPInstanceUID": slice.Names.SOPInstance}}
	diameter := dataset{
		"RelationshipType": "CONTAINS", "ValueType": "NUM",
		"ConceptNameCodeSequence": code("81827009", "SCT", "Diameter"),
		"MeasuredValueSequence": []dataset{{"NumericValue": hundredths(400 + pick(seed, "diameter", 900)),
			"UnitsCodeSequence": code("mm", "UCUM", "mm")}},
		"ContentSequence": []dataset{{"RelationshipType": "INFERRED FROM", "ValueType": "IMAGE",
			"ReferencedSOPSequence": reference}},
	}
	finding := dataset{"RelationshipType": "CONTAINS", "ValueType": "CODE",
		"ConceptNameCodeSequence": code("121071", "DCM", "Finding"),
		"ConceptCodeSequence":     code("27925004", "SCT", "Nodule")}
	return dataset{
		"EvidenceSequence": []dataset{{"StudyInstanceUID": slice.Study, "ReferencedSeriesSequence": []dataset{{
			"SeriesInstanceUID": slice.Series, "ReferencedSOPSequence": reference}}}},
		"ContentSequence": []dataset{finding, diameter, textItem("121077", "Conclusion", "Dati sintetici.")},
	}
}
