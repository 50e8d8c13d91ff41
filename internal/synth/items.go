package synth

// The three tags that carry no VR in any transfer syntax (PS3.5 §7.5).
const (
	itemTag              = 0xFFFEE000
	itemDelimiterTag     = 0xFFFEE00D
	sequenceDelimiterTag = 0xFFFEE0DD
)

// appendItemHeader writes an item or delimiter: tag 4 | length 4.
func (s syntax) appendItemHeader(b []byte, tag, length uint32) []byte {
	return s.order.AppendUint32(s.appendTag(b, tag), length)
}

// appendSequence writes a sequence, with or without lengths (PS3.5 §7.5.1, §7.5.2).
// An empty one has length 0 in both forms.
func (s syntax) appendSequence(b []byte, a attribute, items []dataset) []byte {
	var body []byte
	for _, item := range items {
		body = s.appendItem(body, item)
	}
	if !s.undefined || len(items) == 0 {
		return append(s.appendHeader(b, a, uint32(len(body))), body...)
	}
	b = append(s.appendHeader(b, a, undefinedLength), body...)
	return s.appendItemHeader(b, sequenceDelimiterTag, 0)
}

func (s syntax) appendItem(b []byte, item dataset) []byte {
	body := s.appendDataset(nil, item)
	if !s.undefined {
		return append(s.appendItemHeader(b, itemTag, uint32(len(body))), body...)
	}
	b = append(s.appendItemHeader(b, itemTag, undefinedLength), body...)
	return s.appendItemHeader(b, itemDelimiterTag, 0)
}

// appendFragments writes encapsulated pixel data with a Basic Offset Table
// (PS3.5 §A.4):
//
//	(7FE0,0010) OB undefined length
//	item: offset of each frame, from the first byte behind this item
//	item: frame 1, padded to even | item: frame 2 | ...
//	sequence delimiter
func (s syntax) appendFragments(b []byte, a attribute, frames fragments) []byte {
	a.vr = "OB"
	b = s.appendHeader(b, a, undefinedLength)
	b = s.appendItemHeader(b, itemTag, uint32(4*len(frames)))
	offset := uint32(0)
	for _, f := range frames {
		b = s.order.AppendUint32(b, offset)
		offset += 8 + uint32(len(f)+len(f)%2)
	}
	for _, f := range frames {
		f = even(f)
		b = append(s.appendItemHeader(b, itemTag, uint32(len(f))), f...)
	}
	return s.appendItemHeader(b, sequenceDelimiterTag, 0)
}
