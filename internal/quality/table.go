package quality

// Levels: hold is what would harm (an object that lacks bytes, two objects or two people taken
// for one; not one that is whole and cannot be read here: others may read it); warn is what
// the facility can mend; info is what is worth knowing.
var table = []Entry{
	// 1: PS3.3 §C.7.6.3 (Image Pixel), §C.7.6.6 (Multi-frame); PS3.5 §8, §A.4
	{Unreadable, CauseObject, Warn, [2]Kind{}, "", "the bytes are no data set in their transfer syntax"},
	{Cut, CauseObject, Hold, [2]Kind{}, "", "the data set ends inside an element"},
	{PixelsShort, CauseObject, Hold, [2]Kind{Bytes, Bytes}, "(7FE0,0010) (0028,0002) (0028,0008) (0028,0010) (0028,0011) (0028,0100)", "fewer bytes of pixels than rows, columns, frames, samples and bits say: expected, there"},
	{PixelsFrames, CauseObject, Hold, [2]Kind{Count, Count}, "(7FE0,0010) (0028,0008)", "fewer fragments than frames: frames told, fragments there"},
	{PixelsOpen, CauseObject, Warn, [2]Kind{}, "(7FE0,0010)", "the compressed image has no end mark"},
	{PixelsLong, CauseObject, Warn, [2]Kind{Bytes, Bytes}, "(7FE0,0010)", "more bytes of pixels than told: expected, there"},
	{PixelsMissing, CauseObject, Warn, [2]Kind{Count, Count}, "(7FE0,0010) (0028,0010) (0028,0011)", "rows and columns, but no pixels: rows, columns"},

	// 2: PS3.3 §C.12.1 (SOP Common); PS3.5 §9.1
	{UIDReused, CauseUID, Hold, [2]Kind{Text, Text}, "(0008,0018)", "the same SOP Instance UID with other bytes: content of this, of the other"},
	{UIDMissing, CauseUID, Warn, [2]Kind{Text}, "(0020,000D) (0020,000E) (0008,0016) (0008,0018)", "no UID: which one"},
	{UIDInvalid, CauseUID, Warn, [2]Kind{Text, Text}, "(0020,000D) (0020,000E) (0008,0016) (0008,0018)", "not a legal UID: which one, the UID"},
	{UIDMismatch, CauseUID, Warn, [2]Kind{}, "(0008,0016) (0008,0018)", "SOP class or instance of data set and command differ (PS3.4 §B.2.3)"},
	{UIDCommand, CauseUID, Warn, [2]Kind{}, "(0000,0002) (0000,1000)", "a UID of the command or of the association is not a legal one"},

	// 3: PS3.3 §A.1.2 (one study has one patient)
	{StudyPatients, CausePatients, Hold, [2]Kind{Text, Text}, "(0020,000D) (0010,0020) (0010,0021)", "the same study under two patients: this one, the other"},

	// 4: PS3.3 §C.7.1.1 (Patient); decree 23.12.1976
	{FiscalLength, CauseFiscal, Warn, [2]Kind{Text, Count}, "(0010,0020) (0010,1002)", "a codice fiscale of a wrong length: the number, its length"},
	{FiscalShape, CauseFiscal, Warn, [2]Kind{Text}, "(0010,0020) (0010,1002)", "letters or digits of a codice fiscale in the wrong place, or no such month or day: the number"},
	{FiscalCheck, CauseFiscal, Warn, [2]Kind{Text, Text}, "(0010,0020) (0010,1002)", "wrong check character: the number, the character that its others give"},
	{FiscalTwo, CauseFiscal, Warn, [2]Kind{Text, Text}, "(0010,0020) (0010,1002)", "two different codici fiscali"},
	{FiscalSpecial, CauseFiscal, Info, [2]Kind{Text}, "(0010,0020) (0010,1002)", "a provisional number, ENI or STP, which the gateway takes only where the region allows it: the number"},
	{FiscalMissing, CauseFiscal, Info, [2]Kind{}, "(0010,0020) (0010,1002)", "no codice fiscale"},

	// 5: PS3.3 §C.7.1.1
	{FiscalBirth, CausePerson, Warn, [2]Kind{Date, Date}, "(0010,0030)", "date of birth: in the codice fiscale, in the examination"},
	{FiscalSex, CausePerson, Warn, [2]Kind{Text, Text}, "(0010,0040)", "sex: in the codice fiscale, in the examination"},
	{FiscalFamily, CausePerson, Warn, [2]Kind{Text, Text}, "(0010,0010)", "letters of the family name: in the codice fiscale, of the examination"},
	{FiscalGiven, CausePerson, Warn, [2]Kind{Text, Text}, "(0010,0010)", "letters of the given name: in the codice fiscale, of the examination"},
	{IDMissing, CausePerson, Warn, [2]Kind{}, "(0010,0020)", "no Patient ID"},
	{NameMissing, CausePerson, Warn, [2]Kind{}, "(0010,0010)", "no name"},
	{NameTest, CausePerson, Warn, [2]Kind{Text}, "(0010,0010)", "a name for trying: the name"},
	{BirthMissing, CausePerson, Warn, [2]Kind{}, "(0010,0030)", "no date of birth"},
	{BirthInvalid, CausePerson, Warn, [2]Kind{Text}, "(0010,0030)", "no such day: the date of birth as sent"},
	{BirthFuture, CausePerson, Warn, [2]Kind{Date, Date}, "(0010,0030)", "born after receipt: date of birth, receipt"},
	{SexMissing, CausePerson, Warn, [2]Kind{}, "(0010,0040)", "no sex"},
	{SexInvalid, CausePerson, Warn, [2]Kind{Text}, "(0010,0040)", "not M, F or O: the sex as sent"},
	{IssuerMissing, CausePerson, Info, [2]Kind{}, "(0010,0021) (0010,0024)", "no issuer of the Patient ID"},
	{StudyNames, CausePerson, Warn, [2]Kind{Text, Text}, "(0010,0010)", "two names in one study"},
	{StudyBirths, CausePerson, Warn, [2]Kind{Text, Text}, "(0010,0030)", "two dates of birth in one study, as sent"},

	// 6: PS3.3 §C.7.2.1 (General Study); PS3.5 §6.2 (SH)
	{AccMissing, CauseAccession, Warn, [2]Kind{}, "(0008,0050)", "no accession number"},
	{AccZeros, CauseAccession, Warn, [2]Kind{Text}, "(0008,0050)", "an accession number of zeros: the number"},
	{AccLong, CauseAccession, Warn, [2]Kind{Text, Count}, "(0008,0050)", "more than 16 characters: the number, its length"},
	{AccPattern, CauseAccession, Warn, [2]Kind{Text}, "(0008,0050)", "not as the facility writes them: the number"},
	{AccReused, CauseAccession, Warn, [2]Kind{Text, Text}, "(0008,0050) (0010,0020)", "the accession number of another patient: the number, that patient's ID"},
	{StudyAccession, CauseAccession, Info, [2]Kind{Text, Text}, "(0008,0050)", "two accession numbers in one study"},
	{AccIssuer, CauseAccession, Off, [2]Kind{}, "(0008,0051)", "no issuer of the accession number"},

	// 7: PS3.4 §F.7 (MPPS)
	{StudyFewer, CauseCompleteness, Warn, [2]Kind{Count, Count}, "(0020,1208) (0040,0340)", "fewer instances than the MPPS told: told, there"},
	{StudyMore, CauseCompleteness, Info, [2]Kind{Count, Count}, "(0020,1208) (0040,0340)", "more instances than the MPPS told: told, there"},
	{StudyUnusual, CauseCompleteness, Info, [2]Kind{Count, Count}, "(0020,1208)", "far fewer instances than is usual for the device: usual, there"},

	// 8: PS3.3 §C.7.2.1, §C.12.1 (Timezone Offset From UTC)
	{ClockDrift, CauseClock, Warn, [2]Kind{Seconds, Seconds}, "(0008,0020) (0008,0030)", "the device's clock is wrong, in the middle of its studies: by how much, what is allowed"},
	{DateMissing, CauseClock, Warn, [2]Kind{}, "(0008,0020)", "no study date"},
	{DateInvalid, CauseClock, Warn, [2]Kind{Text}, "(0008,0020)", "no such day: the date as sent"},
	{DateFar, CauseClock, Warn, [2]Kind{Date, Date}, "(0008,0020)", "too far from receipt: study date, receipt"},
	{TimeInvalid, CauseClock, Warn, [2]Kind{Text}, "(0008,0030)", "no such time: the time as sent"},
	{ZoneInvalid, CauseClock, Warn, [2]Kind{Text}, "(0008,0201)", "no such offset from UTC: the offset as sent"},
	{ZoneMissing, CauseClock, Off, [2]Kind{}, "(0008,0201)", "no offset from UTC"},

	// 9: PS3.3 §C.7.5.1 (General Equipment), §C.7.3.1.1.1 (Modality)
	{DeviceUnknown, CauseOrigin, Warn, [2]Kind{Text, Text}, "(0008,1010)", "not an enrolled device: its AE title, the station name"},
	{FacilityOther, CauseOrigin, Warn, [2]Kind{Text, Text}, "(0008,0080) (0008,0082)", "another facility: in the examination, enrolled"},
	{FacilityNone, CauseOrigin, Info, [2]Kind{}, "(0008,0080)", "no facility"},
	{StationUnknown, CauseOrigin, Info, [2]Kind{Text}, "(0008,1010)", "another station name than the device's: the name"},
	{ModMissing, CauseOrigin, Warn, [2]Kind{}, "(0008,0060)", "no modality"},
	{ModUnknown, CauseOrigin, Warn, [2]Kind{Text}, "(0008,0060)", "not a term of PS3.3 §C.7.3.1.1.1: the modality"},
	{ModClass, CauseOrigin, Warn, [2]Kind{Text, Text}, "(0008,0060) (0008,0016)", "modality and SOP class do not fit: the modality, the one of the class"},
	{ModDevice, CauseOrigin, Warn, [2]Kind{Text, Text}, "(0008,0060)", "not the modality of the device: in the examination, enrolled"},

	// 10: PS3.3 §C.12.1.1.2 (Specific Character Set); PS3.5 §6.1
	{SetUnknown, CauseText, Warn, [2]Kind{Text}, "(0008,0005)", "not a defined term: the set as sent"},
	{SetUndeclared, CauseText, Warn, [2]Kind{Text}, "(0008,0005)", "letters beyond ASCII, but no set: the text"},
	{SetDecode, CauseText, Warn, [2]Kind{Text}, "(0008,0005)", "bytes that the set does not have: the set"},
	{TextReplaced, CauseText, Warn, [2]Kind{Text}, "(0010,0010) (0008,0080) (0008,1030)", "U+FFFD in place of a character: the text"},
	{TextMojibake, CauseText, Warn, [2]Kind{Text, Text}, "(0010,0010) (0008,0080) (0008,1030)", "UTF-8 that was read as another set: the text, what it was probably meant to say"},
	{TextControl, CauseText, Warn, [2]Kind{Text}, "(0010,0010) (0008,0080) (0008,1030)", "control characters, or marks that turn the writing: the text"},
	{TextQuestion, CauseText, Info, [2]Kind{Text}, "(0010,0010)", "a question mark in place of a letter: the name"},
}
