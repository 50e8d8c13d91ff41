package dimse

import (
	"bytes"
	"strings"
)

// UIDs that this package itself acts on.
const (
	ApplicationContext = "1.2.840.10008.3.1.1.1" // PS3.7 §A.2.1, the only one
	Verification       = "1.2.840.10008.1.1"
	ImplicitVRLE       = "1.2.840.10008.1.2"
	ExplicitVRLE       = "1.2.840.10008.1.2.1"
	ExplicitVRBE       = "1.2.840.10008.1.2.2" // retired
)

// notStorage lists the standard's SOP classes that are not stored with C-STORE
// (PS3.6 Table A-1, 2025). An entry ending in "." covers everything below it.
// What is not here is taken for a storage class: private ones, those that came
// after this table, and those that somebody made up. A class that we do not
// know is no reason to lose an image.
var notStorage = []string{
	Verification,
	"1.2.840.10008.1.3.10",                                                                            // Media Storage Directory: files on media only
	"1.2.840.10008.1.9",                                                                               // Basic Study Content Notification
	"1.2.840.10008.1.20.",                                                                             // Storage Commitment
	"1.2.840.10008.1.40",                                                                              // Procedural Event Logging
	"1.2.840.10008.1.42",                                                                              // Substance Administration Logging
	"1.2.840.10008.3.1.2.",                                                                            // detached management, procedure steps
	"1.2.840.10008.4.2",                                                                               // the Storage Service Class itself
	"1.2.840.10008.5.1.1.",                                                                            // print and display, but see stored
	"1.2.840.10008.5.1.4.1.1.200.4", "1.2.840.10008.5.1.4.1.1.200.5", "1.2.840.10008.5.1.4.1.1.200.6", // protocol approval query
	"1.2.840.10008.5.1.4.1.1.201.2", "1.2.840.10008.5.1.4.1.1.201.3", "1.2.840.10008.5.1.4.1.1.201.4", // inventory query
	"1.2.840.10008.5.1.4.1.1.201.5", "1.2.840.10008.5.1.4.1.1.201.6", // inventory creation, repository query
	"1.2.840.10008.5.1.4.1.2.", // query/retrieve
	"1.2.840.10008.5.1.4.20.",  // defined procedure protocol query
	"1.2.840.10008.5.1.4.31",   // modality worklist
	"1.2.840.10008.5.1.4.32",   // general purpose worklist
	"1.2.840.10008.5.1.4.32.",
	"1.2.840.10008.5.1.4.33",                               // instance availability notification
	"1.2.840.10008.5.1.4.34.2", "1.2.840.10008.5.1.4.34.3", // RT machine verification, trial, retired; 34.1 is a storage class
	"1.2.840.10008.5.1.4.34.4", "1.2.840.10008.5.1.4.34.4.", "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.", // unified procedure step
	"1.2.840.10008.5.1.4.34.6", "1.2.840.10008.5.1.4.34.6.", // unified procedure step
	"1.2.840.10008.5.1.4.34.8", "1.2.840.10008.5.1.4.34.9", // RT machine verification
	"1.2.840.10008.5.1.4.37.",                                                          // relevant patient information query
	"1.2.840.10008.5.1.4.38.2", "1.2.840.10008.5.1.4.38.3", "1.2.840.10008.5.1.4.38.4", // hanging protocol query
	"1.2.840.10008.5.1.4.39.2", "1.2.840.10008.5.1.4.39.3", "1.2.840.10008.5.1.4.39.4", // color palette query
	"1.2.840.10008.5.1.4.41",                                                           // product characteristics query
	"1.2.840.10008.5.1.4.42",                                                           // substance approval query
	"1.2.840.10008.5.1.4.43.2", "1.2.840.10008.5.1.4.43.3", "1.2.840.10008.5.1.4.43.4", // implant template query
	"1.2.840.10008.5.1.4.44.2", "1.2.840.10008.5.1.4.44.3", "1.2.840.10008.5.1.4.44.4", // implant assembly query
	"1.2.840.10008.5.1.4.45.2", "1.2.840.10008.5.1.4.45.3", "1.2.840.10008.5.1.4.45.4", // implant template group query
	"1.2.840.10008.10.1", "1.2.840.10008.10.2", "1.2.840.10008.10.3", "1.2.840.10008.10.4", // real-time video and audio
}

// stored lists the storage classes below prefixes of notStorage.
var stored = []string{
	"1.2.840.10008.5.1.1.27", // Stored Print Storage, retired
	"1.2.840.10008.5.1.1.29", // Hardcopy Grayscale Image Storage, retired
	"1.2.840.10008.5.1.1.30", // Hardcopy Color Image Storage, retired
}

// IsStorage reports whether instances of the SOP class are stored with C-STORE,
// as far as is known: everything is, except what notStorage lists.
func IsStorage(sopClass string) bool {
	if sopClass == "" || covers(notStorage, sopClass) && !covers(stored, sopClass) {
		return false
	}
	return true
}

func covers(list []string, uid string) bool {
	for _, entry := range list {
		if uid == entry || strings.HasSuffix(entry, ".") && strings.HasPrefix(uid, entry) {
			return true
		}
	}
	return false
}

// uncompressed reports whether the transfer syntax carries pixels as they are.
func uncompressed(ts string) bool {
	return ts == ImplicitVRLE || ts == ExplicitVRLE || ts == ExplicitVRBE
}

// trimUID takes off the padding that peers put behind a UID: NUL by PS3.5 §9.1,
// blanks by habit, and in PDUs neither is allowed (PS3.8 Annex F).
func trimUID(b []byte) string { return string(bytes.Trim(b, "\x00 ")) }

// trimAE takes off the padding of an application entity title, in which leading
// and trailing blanks mean nothing (PS3.5 §6.2).
func trimAE(b []byte) string { return string(bytes.Trim(b, "\x00 ")) }
