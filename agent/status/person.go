package status

// Person is who was examined, as the header of a data set says it: hostile text. It
// never stands in Study, Status, logs or metrics (P10, P11), but in a Card, for who
// may see it.
type Person struct {
	Name      string // PN, decoded
	Initials  string // "M.R.", made of Name; all that a masked view has of it
	BirthDate string // YYYYMMDD or ""
	BirthYear int    // 0: not known
	Sex       string
	ID        string // (0010,0020)
	Issuer    string // (0010,0021)
	Fiscal    string // codice fiscale, where one was found
}

// Card is a study with what is known about its person and its data. Who looks at it
// sees of the person what the page lets him: the page masks, not the Source.
type Card struct {
	Study

	UID         string // Study Instance UID: for receipts, of those who are logged in
	Person      Person
	Accession   string
	StudyDate   string // YYYYMMDD as sent
	StudyTime   string
	Description string
	Findings    []Finding // worst first
	Late        int64     // instances that came when all before them were archived
}
