package uplink

import (
	"strings"
	"testing"

	"edged/uplink/wire"
)

// Why an object is held stands on the stream before its offer, each time that it is
// offered, on whatever lane: the hub has it durably when it gives a receipt. Of
// other objects nothing is said.
func TestWhatIsFoundStandsBeforeTheOffer(t *testing.T) {
	_, _, lane := mute()
	plain, held, long := Object{Length: 1}, Object{Length: 1, Flags: 16, Found: "object.cut"}, Object{Length: 1, Flags: 16, Found: strings.Repeat("é", maxFound)}
	plain.ID[0], held.ID[0], long.ID[0] = 1, 2, 3
	for _, name := range []string{"l", "m"} {
		l := lane(name)
		l.offer(plain)
		if frames := l.waiting(); len(frames) != 1 || frames[0].Type() != wire.TypeOffer {
			t.Fatalf("of an object without findings: %v", frames)
		}
		l.offer(held)
		l.offer(long)
		frames := l.waiting()
		if len(frames) != 2 || frames[1].Type() != wire.TypeOffer {
			t.Fatalf("%v", frames)
		}
		found, ok := frames[0].(*wire.Findings)
		if !ok || len(found.Findings) != 2 || found.Findings[0] != (wire.Finding{ID: wire.ID(held.ID), Flags: 16, Words: "object.cut"}) {
			t.Errorf("%+v", frames[0])
		}
		if n := len(found.Findings[1].Words); n == 0 || n > maxFound {
			t.Errorf("%d bytes of words", n)
		}
		if more := l.waiting(); len(more) != 0 {
			t.Errorf("said twice on one lane: %v", more)
		}
	}
}
