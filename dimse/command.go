package dimse

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// Command set elements, all of group 0000 (PS3.7 Annex E).
const (
	tagGroupLength      = 0x0000
	tagAffectedClass    = 0x0002
	tagRequestedClass   = 0x0003
	tagCommandField     = 0x0100
	tagMessageID        = 0x0110
	tagRespondedTo      = 0x0120
	tagMoveDestination  = 0x0600
	tagPriority         = 0x0700
	tagDataSetType      = 0x0800
	tagStatus           = 0x0900
	tagOffending        = 0x0901
	tagErrorComment     = 0x0902
	tagErrorID          = 0x0903
	tagAffectedInstance = 0x1000
	tagRequestedInst    = 0x1001
	tagEventType        = 0x1002
	tagActionType       = 0x1008
	tagRemaining        = 0x1020
	tagCompleted        = 0x1021
	tagFailed           = 0x1022
	tagWarning          = 0x1023
	tagMoveOriginator   = 0x1030
	tagMoveOriginatorID = 0x1031
)

// Command fields (PS3.7 §E.1). A response is its request with the top bit set.
const (
	cStoreRQ       = 0x0001
	cGetRQ         = 0x0010
	cFindRQ        = 0x0020
	cMoveRQ        = 0x0021
	cEchoRQ        = 0x0030
	nEventReportRQ = 0x0100
	nSetRQ         = 0x0120
	nActionRQ      = 0x0130
	nCreateRQ      = 0x0140
	cCancelRQ      = 0x0FFF
	responseBit    = 0x8000
)

const (
	noDataSet  = 0x0101 // any other value means that a data set follows (PS3.7 §9.3)
	hasDataSet = 0x0001
)

const (
	maxCommand  = 64 << 10 // bytes of a command set
	maxElements = 256
)

// command is a command set: elements of group 0000 without the group length,
// which exists only on the wire.
type command []element

type element struct {
	tag   uint16
	value []byte
}

// parseCommand reads a command set, always Implicit VR Little Endian (PS3.7
// §6.3.1). The group length is not believed: it may be missing or wrong, the
// fragments say where the set ends. The values point into b.
func parseCommand(b []byte) (command, error) {
	var c command
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, malformed("%d bytes left over behind the last command element", len(b))
		}
		group, tag := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		if n > int64(len(b)-8) {
			return nil, malformed("command element (%04X,%04X) declares %d bytes, %d are there", group, tag, n, len(b)-8)
		}
		if len(c) == maxElements {
			return nil, malformed("more than %d command elements", maxElements)
		}
		if group == 0 && tag != tagGroupLength {
			c = append(c, element{tag, b[8 : 8+n]})
		}
		b = b[8+n:]
	}
	return c, nil
}

// append writes the command set behind b: elements in ascending order, values
// of even length, and before them the exact group length (PS3.7 §6.3.1).
func (c command) append(b []byte) []byte {
	slices.SortStableFunc(c, func(x, y element) int { return cmp.Compare(x.tag, y.tag) })
	at := len(b)
	b = append(b, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0)
	for _, e := range c {
		b = append(b, 0, 0)
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.value)))
		b = append(b, e.value...)
	}
	binary.LittleEndian.PutUint32(b[at+8:], uint32(len(b)-at-12))
	return b
}

func (c command) find(tag uint16) ([]byte, bool) {
	for _, e := range c {
		if e.tag == tag {
			return e.value, true
		}
	}
	return nil, false
}

// number returns a US value; ok is false when it is missing or too short.
func (c command) number(tag uint16) (n uint16, ok bool) {
	v, _ := c.find(tag)
	if len(v) < 2 {
		return 0, false
	}
	return binary.LittleEndian.Uint16(v), true
}

func (c command) uint16(tag uint16) uint16 {
	n, _ := c.number(tag)
	return n
}

func (c command) uid(tag uint16) string {
	v, _ := c.find(tag)
	return trimUID(v)
}

func (c command) text(tag uint16) string {
	v, _ := c.find(tag)
	return string(bytes.Trim(v, "\x00 "))
}

// carriesData reports whether a data set follows. Without the element nothing
// can be said to follow.
func (c command) carriesData() bool {
	n, ok := c.number(tagDataSetType)
	return ok && n != noDataSet
}

func (c *command) setUint16(tag, n uint16) {
	*c = append(*c, element{tag, binary.LittleEndian.AppendUint16(nil, n)})
}

// setUID pads with NUL to even length (PS3.5 §9.1).
func (c *command) setUID(tag uint16, uid string) { c.setPadded(tag, uid, 0) }

// setText pads with a blank.
func (c *command) setText(tag uint16, s string) { c.setPadded(tag, s, ' ') }

func (c *command) setPadded(tag uint16, s string, pad byte) {
	v := []byte(s)
	if len(v)%2 == 1 {
		v = append(v, pad)
	}
	*c = append(*c, element{tag, v})
}

// response begins the answer to rq: field, message ID responded to (in every
// response, PS3.7 §9.3.1.2, §9.3.5.2), affected SOP class, status, and that no data
// set follows.
func response(rq command, s Status) command {
	var c command
	if uid := rq.uid(tagAffectedClass); uid != "" {
		c.setUID(tagAffectedClass, uid)
	} else if uid := rq.uid(tagRequestedClass); uid != "" {
		c.setUID(tagAffectedClass, uid)
	}
	c.setUint16(tagCommandField, rq.uint16(tagCommandField)|responseBit)
	c.setUint16(tagRespondedTo, rq.uint16(tagMessageID))
	c.setUint16(tagDataSetType, noDataSet)
	c.setUint16(tagStatus, uint16(s))
	return c
}

// Priority is what a requestor wishes for its operation (PS3.7 §9.3.1.1).
type Priority uint16

// The three priorities of the standard.
const (
	PriorityMedium Priority = 0
	PriorityHigh   Priority = 1
	PriorityLow    Priority = 2
)

// StoreRequest is a C-STORE-RQ without its data set. UIDs are as sent, legal or
// not, without padding.
type StoreRequest struct {
	MessageID         uint16 // set by the sender; Client.Store chooses its own
	ContextID         byte   // likewise
	SOPClassUID       string
	SOPInstanceUID    string
	TransferSyntaxUID string // of the presentation context: the encoding of the data set
	Priority          Priority
	MoveOriginator    string // AE title, when the store serves a C-MOVE
	MoveOriginatorID  uint16
}

func storeRequest(c command, ctx Context) StoreRequest {
	return StoreRequest{
		MessageID:         c.uint16(tagMessageID),
		ContextID:         ctx.ID,
		SOPClassUID:       c.uid(tagAffectedClass),
		SOPInstanceUID:    c.uid(tagAffectedInstance),
		TransferSyntaxUID: ctx.TransferSyntax,
		Priority:          Priority(c.uint16(tagPriority)),
		MoveOriginator:    c.text(tagMoveOriginator),
		MoveOriginatorID:  c.uint16(tagMoveOriginatorID),
	}
}

func (r StoreRequest) command() command {
	var c command
	c.setUID(tagAffectedClass, r.SOPClassUID)
	c.setUint16(tagCommandField, cStoreRQ)
	c.setUint16(tagMessageID, r.MessageID)
	c.setUint16(tagPriority, uint16(r.Priority))
	c.setUint16(tagDataSetType, hasDataSet)
	c.setUID(tagAffectedInstance, r.SOPInstanceUID)
	if r.MoveOriginator != "" {
		c.setText(tagMoveOriginator, r.MoveOriginator)
		c.setUint16(tagMoveOriginatorID, r.MoveOriginatorID)
	}
	return c
}
