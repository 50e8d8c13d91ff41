// Package steps is the engine behind Modality Performed Procedure Step as its SCP
// (PS3.4 §F.7): it keeps the steps that modalities report, holds them to the rules
// of the service, and says how many instances each of them has made of a study.
//
// # What it promises
//
//   - Success means that the step, as it is now, is durable (Store.Put has
//     returned).
//   - A step begins IN PROGRESS and is changed until it is COMPLETED or
//     DISCONTINUED; after that nothing changes it (0110 with Error ID A710, PS3.4
//     §F.7.2.2.3, §F.7.2.2.4).
//   - Whatever attributes a modality sends are kept as they came, those that
//     nobody knows, too; an N-SET puts its attributes in place of those of the
//     N-CREATE.
//   - Config.Changed hears of each step whenever it changes and once
//     more at each start, as long as the step is kept.
//   - The number of steps and their age are bounded; the oldest ended ones give way
//     first, steps in progress never give way to new ones but by age. A step has at
//     most 50,000 elements and items, some 16,000 images; what makes it larger is
//     refused, and the step goes on as it was.
//   - A step that the Store gives back damaged is left in it, is refused by its name,
//     and harms no other.
//
// # What it deliberately does not do
//
// It is no archive of steps: N-GET (Modality Performed Procedure Step Retrieve)
// and notifications are not offered, nothing is forwarded. It does not compare a
// step with the worklist, and asks of attributes only what it needs itself: a
// modality that leaves out a station name is none the worse for it
// (dimse/COMPAT.md). A step that names several studies does not say which series
// belongs to which: it counts for none.
//
// # A stored step
//
//	+------+------------------------------------------------------------
//	| 01   | deflated (RFC 1951):
//	+------+
//	  age uvarint seconds, calling, UID,
//	  attributes to the end, Explicit VR Little Endian
//
// Strings stand behind their length as uvarint.
package steps
