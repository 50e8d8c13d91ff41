package steps

import (
	"maps"
	"slices"

	"edged/dimse"
	"edged/dimse/dataset"
)

// Attributes of PS3.4 Table F.7.2-1 that the rules need.
const (
	tagCharacterSet       dataset.Tag = 0x00080005
	tagReferencedInstance dataset.Tag = 0x00081155
	tagReferencedImages   dataset.Tag = 0x00081140 // Referenced Image Sequence
	tagStudy              dataset.Tag = 0x0020000D
	tagSeries             dataset.Tag = 0x0020000E
	tagNonImages          dataset.Tag = 0x00400220 // Referenced Non-Image Composite SOP Instance Sequence
	tagStatus             dataset.Tag = 0x00400252 // Performed Procedure Step Status
	tagScheduled          dataset.Tag = 0x00400270 // Scheduled Step Attributes Sequence
	tagPerformedSeries    dataset.Tag = 0x00400340 // Performed Series Sequence
)

// The values of Performed Procedure Step Status (PS3.3 §C.4.14).
const (
	InProgress   = "IN PROGRESS"
	Completed    = "COMPLETED"
	Discontinued = "DISCONTINUED"
)

// notUpdatable is the Error ID of an N-SET on a step that has ended (PS3.4
// §F.7.2.2.4).
const notUpdatable = 0xA710

func ended(status string) bool { return status == Completed || status == Discontinued }

// failure is an answer that refuses; nil means that the rules are obeyed.
func failure(status dimse.Status, comment string) *dimse.Answer {
	return &dimse.Answer{Status: status, Comment: comment}
}

// begin checks the attribute list of an N-CREATE: a step begins in progress (PS3.4
// §F.7.2.1.2).
func begin(attributes dataset.Set) *dimse.Answer {
	switch status, there := text(attributes, tagStatus); {
	case !there:
		return failure(dimse.StatusMissingAttribute, "Performed Procedure Step Status is missing")
	case status == "":
		return failure(dimse.StatusMissingValue, "Performed Procedure Step Status is empty")
	case status != InProgress:
		return failure(dimse.StatusInvalidValue, "Performed Procedure Step Status is not IN PROGRESS")
	}
	return nil
}

// change applies an N-SET: what it has takes the place of what was there, but for
// Specific Character Set (PS3.4 §F.7.2.2.3); and a step that is completed says
// what it has made (PS3.4 §F.7.2.2.2). It is pure.
//
// Gap: an N-SET in another character set than the N-CREATE's keeps its bytes, but
// nothing says any more which they are in. No text is read here.
func change(attributes, modifications dataset.Set) (dataset.Set, *dimse.Answer) {
	before, _ := text(attributes, tagStatus)
	if ended(before) {
		return nil, &dimse.Answer{Status: dimse.StatusProcessingFailure, ErrorID: notUpdatable,
			Comment: "Performed Procedure Step Object may no longer be updated"}
	}
	if _, known := attributes.Find(tagCharacterSet); known {
		modifications = slices.Clone(modifications)
		modifications.Remove(tagCharacterSet)
	}
	after := merge(attributes, modifications)
	status, _ := text(after, tagStatus)
	if wrong := finishing(status, after); wrong != nil {
		return nil, wrong
	}
	return after, nil
}

// merge puts the elements of modifications, the last of each tag, in place of those
// of attributes. Both are in order and are gone through once: the peer chooses how
// many there are.
func merge(attributes, modifications dataset.Set) dataset.Set {
	after := make(dataset.Set, 0, len(attributes)+len(modifications))
	for i, e := range modifications {
		if i+1 < len(modifications) && modifications[i+1].Tag == e.Tag {
			continue
		}
		for len(attributes) > 0 && attributes[0].Tag < e.Tag {
			after, attributes = append(after, attributes[0]), attributes[1:]
		}
		for len(attributes) > 0 && attributes[0].Tag == e.Tag {
			attributes = attributes[1:]
		}
		after = append(after, e)
	}
	return append(after, attributes...)
}

// maxElements bounds a step, with everything in its sequences: some 16,000 images,
// at three elements and items each. dataset.MaxElements bounds one message; a step is
// put together of any number of them.
const maxElements = 50_000

// elements counts the elements and items of a set, as the limits of dataset do.
func elements(s dataset.Set) (n int) {
	for _, e := range s {
		n += 1 + len(e.Items)
		for _, item := range e.Items {
			n += elements(item)
		}
	}
	return n
}

func finishing(status string, after dataset.Set) *dimse.Answer {
	series, there := after.Find(tagPerformedSeries)
	switch {
	case status == "":
		return failure(dimse.StatusMissingValue, "Performed Procedure Step Status is empty")
	case status != InProgress && !ended(status):
		return failure(dimse.StatusInvalidValue, "Performed Procedure Step Status has no value of the standard")
	case status == Completed && !there: // a discontinued one may have made nothing (dimse/COMPAT.md)
		return failure(dimse.StatusMissingAttribute, "Performed Series Sequence is missing")
	case status == Completed && len(series.Items) == 0:
		return failure(dimse.StatusMissingValue, "Performed Series Sequence is empty")
	}
	return nil
}

func text(s dataset.Set, t dataset.Tag) (string, bool) {
	_, there := s.Find(t)
	return s.Text(t), there
}

// study is the one study that a step is of, or "" when it names none or several
// (PS3.4 §F.7.1, the group case).
func study(attributes dataset.Set) (uid string) {
	for _, scheduled := range attributes.Items(tagScheduled) {
		switch s := scheduled.UID(tagStudy); {
		case s == "" || s == uid:
		case uid != "":
			return ""
		default:
			uid = s
		}
	}
	return uid
}

// instances counts the instances that a step has made, images and others, each
// once (PS3.3 Table C.4-15), and those of each series that has a name.
func instances(attributes dataset.Set) (int, []Made) {
	seen := map[string]bool{}
	bySeries := map[string]int{}
	for _, series := range attributes.Items(tagPerformedSeries) {
		before := len(seen)
		for _, sequence := range []dataset.Tag{tagReferencedImages, tagNonImages} {
			for _, instance := range series.Items(sequence) {
				if uid := instance.UID(tagReferencedInstance); uid != "" {
					seen[uid] = true
				}
			}
		}
		if uid := series.UID(tagSeries); uid != "" && len(seen) > before {
			bySeries[uid] += len(seen) - before
		}
	}
	var made []Made
	for _, uid := range slices.Sorted(maps.Keys(bySeries)) {
		made = append(made, Made{uid, bySeries[uid]})
	}
	return len(seen), made
}
