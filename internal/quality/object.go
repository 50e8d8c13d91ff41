package quality

import (
	"math"
	"math/bits"
	"slices"
	"strconv"

	"edged/internal/dicom"
)

// object is check 1: all of it came, and it can be read.
func (l *list) object(i Instance) {
	l.addIf(i.Unreadable, Unreadable)
	l.addIf(i.Cut, Cut)
	switch p := i.Pixels; p.Data {
	case PixelsAbsent:
		l.addIf(p.Rows > 0 && p.Columns > 0 && !elsewhere[i.TransferSyntax], PixelsMissing, decimal(p.Rows), decimal(p.Columns))
	case PixelsNative:
		l.native(p)
	case PixelsEncapsulated:
		short := stills[i.TransferSyntax] && p.Fragments > 0 && p.Fragments < p.Frames
		l.addIf(short, PixelsFrames, decimal(p.Frames), decimal(p.Fragments))
		l.addIf(p.End == EndMissing, PixelsOpen)
	}
}

func (l *list) native(p Pixels) {
	least, most, known := expected(p)
	if !known || p.Bytes < 0 {
		return
	}
	l.addIf(p.Bytes < least, PixelsShort, decimal(least), decimal(p.Bytes))
	l.addIf(p.Bytes-most > 1, PixelsLong, decimal(most), decimal(p.Bytes)) // one byte is padding, PS3.5 §8.1.1
}

// expected is how long native pixels are: bits are packed without a gap, between frames too
// (PS3.5 §8.1.1). With half the colours (PS3.3 §C.7.6.3.1.2) some devices send them and
// some say so only: both lengths are right.
func expected(p Pixels) (least, most int64, known bool) {
	if p.Rows <= 0 || p.Columns <= 0 || p.Samples <= 0 || !allocated[p.Bits] || p.Frames < 0 {
		return 0, 0, false
	}
	dots := product(p.Rows, p.Columns, max(p.Frames, 1))
	most = octets(product(dots, p.Samples, p.Bits))
	least = most
	switch {
	case p.Samples != 3:
	case p.Photometric == "YBR_FULL_422" || p.Photometric == "YBR_PARTIAL_422":
		least = octets(product(dots, 2, p.Bits))
	case p.Photometric == "YBR_PARTIAL_420":
		least = octets(product(dots, 3, p.Bits)) / 2
	}
	return least, most, true
}

// allocated are the bits of a sample that there are (PS3.5 §8.1.1), and the 12 of old ones:
// what else a header says is wrong by itself, and the pixels may be whole.
var allocated = map[int64]bool{1: true, 8: true, 12: true, 16: true, 32: true, 64: true}

func octets(n int64) int64 { return n/8 + min(n%8, 1) }

// product of what is not negative; the greatest number where there is none so great:
// the facts are a stranger's.
func product(all ...int64) int64 {
	p := uint64(1)
	for _, n := range all {
		high, low := bits.Mul64(p, uint64(n))
		if high != 0 || low > math.MaxInt64 {
			return math.MaxInt64
		}
		p = low
	}
	return int64(p)
}

// stills have at least one fragment for each frame (PS3.5 §A.4): JPEG, JPEG-LS, JPEG 2000
// and RLE, but not films and not JPEG 2000 part 2.
var stills = set("1.2.840.10008.1.2.5",
	"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
	"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
	"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")

// elsewhere are the syntaxes of JPIP, whose pixels are on a server.
var elsewhere = set("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205")

// uids is check 2.
func (l *list) uids(i Instance, in Context) {
	if i.Content != "" && in.KnownContent != "" && i.Content != in.KnownContent {
		a, b := shortened(i.Content, in.KnownContent)
		l.add(UIDReused, a, b)
	}
	l.addIf(i.Mismatch, UIDMismatch)
	before := len(l.found)
	for _, u := range []struct{ keyword, uid string }{
		{"StudyInstanceUID", i.Study}, {"SeriesInstanceUID", i.Series}, {"SOPInstanceUID", i.SOPInstance}, {"SOPClassUID", i.SOPClass},
	} {
		l.addIf(u.uid == "" && !i.Unreadable, UIDMissing, u.keyword)
		l.addIf(u.uid != "" && !dicom.ValidUID(u.uid), UIDInvalid, u.keyword, u.uid)
	}
	said := slices.ContainsFunc(l.found[before:], func(f Finding) bool { return f.Code == UIDInvalid })
	l.addIf(i.BadUID && !said, UIDCommand)
}

// shortened are two digests as people compare them, while that tells them apart.
func shortened(a, b string) (string, string) {
	const enough = 12
	if len(a) > enough && len(b) > enough && a[:enough] != b[:enough] {
		return a[:enough], b[:enough]
	}
	return a, b
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func set(all ...string) map[string]bool {
	m := make(map[string]bool, len(all))
	for _, s := range all {
		m[s] = true
	}
	return m
}
