package hubtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"edged/hub"
	"edged/uplink/wire"
)

// Object is what an appliance has to send. Its bytes are made when they are sent.
type Object struct {
	wire.Object // Number is set by Send
	study       uint64
	index       int
}

// Kind says what objects are like.
type Kind struct {
	Modality string // CT if empty
	Length   int64  // of the data set, made even, at least MinLength and less than 4 GiB
	Priority uint8
	Calling  string
	Flags    uint32
}

// MinLength is the least data set.
const MinLength = 1 << 10

const explicitLE = "1.2.840.10008.1.2.1"

// classes are SOP classes by modality; what is not here is Secondary Capture.
var classes = map[string]string{
	"CR": "1.2.840.10008.5.1.4.1.1.1", "DX": "1.2.840.10008.5.1.4.1.1.1.1", "MG": "1.2.840.10008.5.1.4.1.1.1.2",
	"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "US": "1.2.840.10008.5.1.4.1.1.6.1",
	"XA": "1.2.840.10008.5.1.4.1.1.12.1", "PT": "1.2.840.10008.5.1.4.1.1.128", "NM": "1.2.840.10008.5.1.4.1.1.20",
}

// Study makes n objects of one study. Everything about them is a function of seed, n
// and k; other seeds give other studies.
func Study(seed uint64, n int, k Kind) []Object {
	if k.Modality == "" {
		k.Modality = "CT"
	}
	k.Length = max(k.Length&^1, MinLength)
	class := classes[k.Modality]
	if class == "" {
		class = "1.2.840.10008.5.1.4.1.1.7"
	}
	objects := make([]Object, n)
	for i := range objects {
		o := &objects[i]
		o.study, o.index = seed, i
		o.TransferSyntax, o.SOPClass, o.SOPInstance = explicitLE, class, uid(seed, uint64(i)+2)
		o.Study, o.Length, o.Priority, o.Calling, o.Flags, o.Modality = uid(seed, 0), k.Length, k.Priority, k.Calling, k.Flags, k.Modality
		o.ID = o.digest(o.header())
	}
	return objects
}

// uid is one below 2.25, of a UUID that nobody else has (PS3.5 §B.2).
func uid(seed, n uint64) string {
	r := rand.New(rand.NewPCG(seed, n))
	return fmt.Sprintf("2.25.%d%018d", 1+r.Uint64N(1<<62), r.Uint64N(1e18))
}

// block is what pixels are cut from: more than a Put.
var block = func() []byte {
	b := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte([]byte("the pixels of a fleet of images."))).Read(b)
	return b
}()

func (o *Object) digest(head []byte) wire.ID {
	h := o.Names().NewHash()
	h.Write(head)
	for at := int64(len(head)); at < o.Length; {
		b := o.pixels(at, o.Length-at)
		h.Write(b)
		at += int64(len(b))
	}
	return wire.ID(h.Sum(nil))
}

// pixels are the bytes from offset at on, at most n, perhaps fewer.
func (o *Object) pixels(at, n int64) []byte {
	from := (int64((o.study*31+uint64(o.index))%4093)*251 + at) % int64(len(block))
	return block[from:min(from+n, int64(len(block)))]
}

// fill writes the data set from offset on into b. head is from header.
func (o *Object) fill(b, head []byte, offset int64) {
	n := 0
	if offset < int64(len(head)) {
		n = copy(b, head[offset:])
	}
	for n < len(b) {
		n += copy(b[n:], o.pixels(offset+int64(n), int64(len(b)-n)))
	}
}

// Data is the whole data set, for who compares it.
func (o *Object) Data() []byte {
	b := make([]byte, o.Length)
	o.fill(b, o.header(), 0)
	return b
}

// columns of an image. What is no whole row stands behind the last one.
const (
	columns    = 256
	behindRows = 6*10 + 12 // bytes from Rows to the head of Pixel Data
)

// header is everything before the bytes of Pixel Data, which are all the rest.
func (o *Object) header() []byte {
	seed, i := o.study, o.index
	b := make([]byte, 0, 1<<10)
	b = text(b, 0x0008_0016, "UI", o.SOPClass)
	b = text(b, 0x0008_0018, "UI", o.SOPInstance)
	b = text(b, 0x0008_0020, "DA", "20260105")
	b = text(b, 0x0008_0060, "CS", o.Modality)
	b = text(b, 0x0008_0064, "CS", "SYN")
	b = text(b, 0x0010_0010, "PN", fmt.Sprintf("PROVA^FLOTTA^%X", seed))
	b = text(b, 0x0010_0020, "LO", fmt.Sprintf("PROVA-%016X", seed))
	b = text(b, 0x0020_000D, "UI", o.Study)
	b = text(b, 0x0020_000E, "UI", uid(seed, 1))
	b = text(b, 0x0020_0013, "IS", fmt.Sprint(i+1))
	b = short(b, 0x0028_0002, 1)
	b = text(b, 0x0028_0004, "CS", "MONOCHROME2")
	b = short(b, 0x0028_0010, uint16(min((o.Length-int64(len(b))-behindRows)/columns, 65535)))
	b = short(b, 0x0028_0011, columns)
	b = short(b, 0x0028_0100, 8)
	b = short(b, 0x0028_0101, 8)
	b = short(b, 0x0028_0102, 7)
	b = short(b, 0x0028_0103, 0)
	return long(b, 0x7FE0_0010, "OB", o.Length-int64(len(b))-12)
}

func tag(b []byte, t uint32, vr string) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(t>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(t))
	return append(b, vr...)
}

func text(b []byte, t uint32, vr, v string) []byte {
	if len(v)%2 == 1 {
		if vr == "UI" {
			v += "\x00"
		} else {
			v += " "
		}
	}
	b = binary.LittleEndian.AppendUint16(tag(b, t, vr), uint16(len(v)))
	return append(b, v...)
}

func short(b []byte, t uint32, v uint16) []byte {
	b = binary.LittleEndian.AppendUint16(tag(b, t, "US"), 2)
	return binary.LittleEndian.AppendUint16(b, v)
}

func long(b []byte, t uint32, vr string, n int64) []byte {
	b = append(tag(b, t, vr), 0, 0)
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// HubID is the object's ID as the hub's rooms call it.
func (o *Object) HubID() hub.ID { return hub.ID(o.ID) }
