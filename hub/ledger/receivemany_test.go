package ledger

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"edged/hub"
)

// Many received at once are recorded as each alone would have been, in the same order:
// the same rows, whatever is among them. Of two contents under one UID in one batch the
// later one is held (P5), the same object twice is one (P4).
func TestManyAtOnceAreRecordedLikeOneAfterTheOther(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			routes := Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "ct", Required: true}}, Routes: map[string]Route{"ct": {Modalities: []string{"CT"}}}}
			together, alone := start(t, routes), start(t, routes)
			r := rand.New(rand.NewPCG(seed, 1))
			for range 6 {
				list := someObjects(r)
				together.receive(list...)
				for _, o := range list {
					alone.receive(o)
				}
			}
			if got, want := rowsOf(together), rowsOf(alone); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func someObjects(r *rand.Rand) (list []hub.Object) {
	for range 1 + r.IntN(100) {
		o := object(fmt.Sprintf("d%d", r.IntN(3)), r.IntN(150), fmt.Sprint(r.IntN(2)*r.IntN(2)))
		o.Modality = []string{"CT", "MR"}[r.IntN(2)]
		switch r.IntN(20) {
		case 0:
			o.Flags = hub.FlagTest
		case 1:
			o.Flags = hub.FlagHold
		}
		list = append(list, o)
	}
	return list
}

// rowsOf are the rows without their numbers: those who are set aside one by one come
// after the others of their batch.
func rowsOf(w *world) string {
	w.Helper()
	var all []string
	for _, query := range []string{
		`SELECT 'object', o.sop_instance, o.length, o.flags, o.device, o.conflict, o.hold, o.unrouted FROM objects o ORDER BY o.sop_instance, o.id`,
		`SELECT 'receipt', r.device, r.length, r.at, o.sop_instance, r.lost, 0, 0 FROM receipts r JOIN objects o ON o.id = r.id ORDER BY o.sop_instance, o.id, r.device`,
		`SELECT 'job', j.destination, j.state, j.priority, j.words, o.sop_instance, 0, 0 FROM jobs j JOIN objects o ON o.seq = j.object ORDER BY o.sop_instance, o.id, j.destination`,
		`SELECT 'trouble', t.device, t.destination, t.permanent, t.words, o.sop_instance, 0, 0 FROM troubles t JOIN objects o ON o.id = t.id ORDER BY o.sop_instance, o.id, t.device, t.destination`,
		`SELECT 'finding', f.device, f.flags, f.released, f.received, '', 0, 0 FROM findings f ORDER BY f.id, f.device`,
		`SELECT 'counter', c.name, c.n, 0, 0, 0, 0, 0 FROM counters c ORDER BY c.name`,
	} {
		rows, err := w.read.QueryContext(w.ctx, query)
		w.must(err)
		w.must(eachRow(rows, func(scan func(...any) error) error {
			v := make([]string, 8)
			err := scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7])
			all = append(all, strings.Join(v, " "))
			return err
		}))
	}
	return strings.Join(all, "\n")
}

// Numbers follow the order of a batch, however many rows one statement inserts.
func TestNumbersFollowTheOrderOfABatch(t *testing.T) {
	w := start(t, Config{})
	var list []hub.Object
	for n := range 300 {
		list = append(list, object("a", n, "x"))
	}
	w.receive(list...)
	for i, j := range w.lease("vna", 300) {
		if j.Object.ID != list[i].ID {
			t.Fatalf("job %d is of %s, want %s", i, j.Object.Names.SOPInstance, list[i].Names.SOPInstance)
		}
	}
}

// A revoked appliance among many that send at once is refused, and only it.
func TestARevokedOneAmongManyIsRefusedAlone(t *testing.T) {
	w := start(t, Config{})
	_, err := w.write.Exec(`INSERT INTO devices (id, facility, state, key_hash, created_at) VALUES ('out', 'F', 'revoked', ?, 1)`, []byte{1})
	w.must(err)
	var queued []*change
	for n, device := range []string{"a", "out", "b"} {
		c := &change{objects: []hub.Object{object(device, n, "x")}, done: make(chan struct{})}
		queued = append(queued, c)
	}
	w.next = queued
	w.commitQueued()
	for i, c := range queued {
		w.want(fmt.Sprintf("%d refused", i), c.err != nil, i == 1)
	}
	w.want("objects", w.stats().Objects, 2)
}
