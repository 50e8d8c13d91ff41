// Package dicom holds the few facts about DICOM that more than one room needs:
// what identifies an instance, the File Meta that belongs in front of its data
// set, and a guarded look at the first elements of a data set, with what they say
// about the person, in UTF-8 whatever their character set.
//
// It promises that nothing here alters a data set, that no allocation is sized
// by a length that came from outside, and that nothing here panics or blocks on
// hostile bytes. It deliberately does not decode pixels and does not decide
// whether an instance may be stored: a header that cannot be read is an
// observation, never a reason to refuse (DESIGN: life of an object, step 3). It logs
// nothing, and no error of it has a value of the data set in it (P10).
package dicom
