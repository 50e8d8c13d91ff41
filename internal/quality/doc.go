// Package quality says what is wrong with the data of a study, in findings that stand
// beside it: the ten checks that are worth most at the edge, in their order.
//
//	 1  object        the object is whole and readable
//	 2  uid           the same SOP Instance UID never with other bytes; legal UIDs
//	 3  patients      the same study never under two patients
//	 4  fiscal_code   the codice fiscale is one
//	 5  person        codice fiscale, date of birth, sex and name say the same; no test name
//	 6  accession     there is an accession number, of at most 16 characters, of one patient
//	 7  completeness  as many instances as the MPPS told, or as is usual
//	 8  clock         date and time are possible; the clock of the device goes right
//	 9  origin        device, station, facility and modality are those that are enrolled
//	10  text          characters are those that were written
//
// New makes a Checker of a Config; Instance and Study take what is known as values and
// return findings. A finding has a code (codes.go lists them, with the attribute that each
// looks at), a level, and the two values that contradict each other.
//
// It promises:
//
//   - to be pure: no clock, no disk, no state. The same facts give the same findings, in the
//     same order (that of the checks, so that what holds comes first), each once;
//   - bounded work: of a text maxText bytes are looked at, of a list maxList entries, and
//     all is linear in those; at most maxFindings come out;
//   - to hold an object for the first three checks alone. No Config can make another
//     one hold: the national rules forbid to block an examination for its data. What is
//     back-filled is not held at all: at most it is told;
//   - that what is not known is not judged: an empty fact or context gives no contradiction.
//
// Values are data, as the device wrote them: hostile text. They are cut to maxValue
// characters and are valid UTF-8, no more; they may hold markup, control characters and
// marks that turn the direction of writing. Whoever shows them escapes and isolates them. They
// may name a person: they belong in no log, no metric and on no page for everybody.
//
// It deliberately changes nothing and proposes nothing: corrections come from the RIS. It
// reads no DICOM (the facts are the caller's), learns nothing (what is usual for a
// device is told), and does not look whether a dose report is there.
//
// The sentences in words_it.json, words_en.json and words_de.json are one for each code,
// with {a} and {b} for the values, and a heading for each cause; what a value is (a
// date, a count, bytes) says the Table, so that a page can write it in its locale.
package quality
