// Package query is the pure part of Query/Retrieve (PS3.4 §C): it reads the
// identifier of a C-FIND, C-MOVE or C-GET, says whether an entity (a patient,
// study, series or image, as a flat data set) matches, and makes the response. It
// stands on dataset alone and touches nothing outside its arguments.
//
// # What it promises
//
//   - The hierarchy of the Patient Root and Study Root models: the unique key of
//     every level above the one asked for is there, as one value without wild
//     cards (PS3.4 §C.4.1.2.1, §C.4.1.3.1, §C.4.2.2.1); else ErrIdentifier.
//   - Matching by PS3.4 §C.2.2.2: single value, list of UIDs, universal, wild card
//     (* and ?), range of DA, TM and DT, and sequence.
//   - A response has the keys that were asked for and are supported (see
//     Supported), empty where the entity has no value, and no others but the level,
//     the character set, the Retrieve AE Title and the Instance Availability
//     (PS3.4 §C.4.1.1.3.2). A key that is not supported is treated as universal
//     and not returned (PS3.4 §C.2.2.1.3), which dimse tells the peer by FF01.
//   - Whatever the bytes are, it does not panic, and matching a value takes time
//     proportional to the lengths of value and key multiplied.
//
// # How values are compared
//
// Text is compared as Unicode, decoded by the Specific Character Set of its own
// data set: the default repertoire, ISO_IR 100 (Latin-1) and ISO_IR 192 (UTF-8), also
// the first two under their ISO 2022 names. Bytes above 7FH in any other set are
// equal to the same bytes in any such set and to nothing else.
//
// Names of persons (PN) are compared without regard to case (PS3.4 §C.2.2.2.1
// leaves that to the SCP), component group by component group: the key matches if
// one of its groups (alphabetic, ideographic, phonetic) matches that group of the
// value. Empty components at the end do not count. All other text is compared with
// regard to case. "*" is universal. IS and DS are compared as numbers.
//
// A date or time that is less precise than the value means all of its span: the
// time 1030 matches 10:30:00 to 10:30:59.999999. Forms of before 1993 (1992.12.31,
// 10:30:00) are read. An attribute with several values matches if one of them
// does; a key with several values, which the standard has for UIDs only, matches if
// one of them does.
//
// # What it deliberately does not do
//
// No extended negotiation: no relational queries, no combined date and time, no
// fuzzy or phonetic matching of names, no empty-value matching ("" is literal), no
// adjustment to a time zone except between two DT values that both carry an
// offset. Accents are not folded.
package query
