package quality

// bounded is an instance as it is looked at: nothing behind this costs more than so
// many bytes, whatever came.
func bounded(i Instance) Instance {
	for _, s := range []*string{
		&i.PatientName, &i.BirthDate, &i.Sex, &i.Accession, &i.AccessionIssuer, &i.Study, &i.Series, &i.SOPInstance, &i.SOPClass,
		&i.TransferSyntax, &i.Content, &i.StudyDate, &i.StudyTime, &i.Timezone, &i.Modality, &i.StudyDescription,
		&i.Pixels.Photometric, &i.Institution, &i.InstitutionCode, &i.Station,
	} {
		*s = trimmed(*s)
	}
	i.Patient = boundedPatient(i.Patient)
	i.OtherIDs = boundedPatients(i.OtherIDs)
	i.CharacterSet = boundedList(i.CharacterSet)
	return i
}

func boundedContext(c Context) Context {
	c.KnownContent, c.Device.AETitle = trimmed(c.KnownContent), trimmed(c.Device.AETitle)
	c.StudyPatient, c.AccessionPatient = boundedPatient(c.StudyPatient), boundedPatient(c.AccessionPatient)
	c.Device.Modalities, c.Device.Stations = boundedList(c.Device.Modalities), boundedList(c.Device.Stations)
	c.Facility.Names, c.Facility.Codes = boundedList(c.Facility.Names), boundedList(c.Facility.Codes)
	return c
}

func boundedPatient(p Patient) Patient { return Patient{trimmed(p.ID), trimmed(p.Issuer)} }

func boundedPatients(all []Patient) (out []Patient) {
	for _, p := range all[:min(len(all), maxList)] {
		out = append(out, boundedPatient(p))
	}
	return out
}

func boundedList(all []string) (out []string) {
	for _, s := range all[:min(len(all), maxList)] {
		out = append(out, trimmed(s))
	}
	return out
}
