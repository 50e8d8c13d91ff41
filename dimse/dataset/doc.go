// Package dataset reads and writes small DICOM data sets (PS3.5 §7): the
// identifiers of queries, attribute lists of procedure steps, commitment
// requests. It stands alone: it knows no other package.
//
// # What it promises
//
//   - Parse never panics and never blocks, whatever the bytes are. It takes at
//     most MaxBytes (before and after inflating), MaxElements elements and
//     sequences nested MaxDepth deep, and allocates nothing by a length that the
//     bytes declare. Beyond a limit it returns ErrLimit. Append has the same limits:
//     what it writes in an explicit syntax, Parse reads.
//   - What it does not know is kept: private attributes, unknown VRs, odd lengths,
//     values in whatever character set, as the bytes that came. Parse, Append in
//     the same transfer syntax and Parse again give the same Set.
//   - Elements out of order are put in order, duplicates stay in the order they
//     came (Find gives the first).
//
// # What it deliberately does not do
//
// No pixel data: an encapsulated value is ErrPixelData. It is not for instances:
// those are never re-encoded (their bytes are what was received); Head looks at the
// first elements of one and that is all. It does not check values against their VR,
// does not know the modules of PS3.3, and has no names for attributes. Group
// length elements (retired, PS3.5 §7.2) and delimiters that delimit nothing are
// passed over.
//
// # The wire
//
// An element in Implicit VR Little Endian (PS3.5 §7.1.3):
//
//	 0        2          4             8
//	+--------+----------+-------------+-----------
//	| group  | element  | length u32  | value
//	+--------+----------+-------------+-----------
//
// In an explicit syntax, short and long form (PS3.5 §7.1.2):
//
//	 0        2          4    6             8
//	+--------+----------+----+-------------+-----------
//	| group  | element  | VR | length u16  | value
//	+--------+----------+----+-------------+-----------
//	 0        2          4    6      8             12
//	+--------+----------+----+------+-------------+-----------
//	| group  | element  | VR | 0000 | length u32  | value
//	+--------+----------+----+------+-------------+-----------
//
// The value of an SQ is items, FFFE,E000 with a u32 length, each a data set.
// A length of FFFFFFFF is undefined: items end with FFFE,E0DD and an item with
// FFFE,E00D (PS3.5 §7.5). Append writes defined lengths.
package dataset
