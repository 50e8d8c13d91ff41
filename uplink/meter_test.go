package uplink

import (
	"testing"
	"time"

	"edged/uplink/wire"
)

func TestTheMeterForgets(t *testing.T) {
	var m meter
	at := time.Unix(100, 0)
	m.add(at, wire.Urgent, 1000)
	m.add(at, wire.Backfill, 10)
	total, bits := m.read(at.Add(time.Second))
	if total != 1010 || bits != [wire.Classes]int64{2000, 0, 20} {
		t.Errorf("%d bytes, %d bit/s", total, bits)
	}
	if total, bits := m.read(at.Add(time.Minute)); total != 1010 || bits != [wire.Classes]int64{} {
		t.Errorf("a minute later: %d bytes, %d bit/s", total, bits)
	}
}
