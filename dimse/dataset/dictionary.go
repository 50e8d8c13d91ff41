package dataset

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

//go:embed vr.txt
var dictionary string

// VR is the value representation of an attribute, UN for one that is unknown or
// private. Private creators are LO (PS3.5 §7.8.1), group lengths UL.
func VR(t Tag) string {
	group, element := t>>16, t&0xFFFF
	switch {
	case element == 0:
		return "UL"
	case t.Private() && element >= 0x10 && element <= 0xFF:
		return "LO"
	case group&0xFF00 == 0x5000 || group&0xFF00 == 0x6000:
		t &= 0xFF00FFFF // a repeating group (PS3.5 §7.6)
	}
	if vr := attributes()[t]; vr != "" && !Tag(group<<16).Private() {
		return vr
	}
	return "UN"
}

// attributes is vr.txt, read when it is first needed.
var attributes = sync.OnceValue(func() map[Tag]string {
	m := make(map[Tag]string, 5000)
	for line := range strings.Lines(dictionary) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		group := hex(f[1])
		for _, element := range f[2:] {
			m[Tag(group<<16|hex(element))] = f[0]
		}
	}
	return m
})

func hex(s string) uint64 {
	n, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		panic("vr.txt: " + err.Error())
	}
	return n
}
