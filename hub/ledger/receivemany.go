package ledger

import (
	"fmt"
	"slices"
	"strings"

	"edged/hub"
)

// several is from how many objects on it is faster to look for what is new first.
const several = 3

// receiveAll records what several callers have received, in the order in which they
// came. Most of it is new and like everything else: that is recorded by a few statements
// for all of it, the rest one by one. A caller whose device was revoked is refused and
// spoils nothing for the others.
func (b *batch) receiveAll(changes []*change) error {
	revoked, err := b.meet(changes)
	if err != nil {
		return err
	}
	var all []*hub.Object
	for _, c := range changes {
		if c.refused = refusal(c.objects, revoked); c.refused != nil {
			continue
		}
		for i := range c.objects {
			all = append(all, &c.objects[i])
		}
	}
	others := all
	if len(all) >= several {
		var plain []*hub.Object
		if plain, others, err = b.sortOut(all); err != nil {
			return err
		}
		if err := b.receivePlain(plain); err != nil {
			return err
		}
	}
	for _, o := range others {
		if err := b.receive(o); err != nil {
			return err
		}
	}
	return nil
}

// meet looks the senders up: who was revoked, perhaps by another process, while it is
// connected is stopped here; the handshake stops it afterwards. Their facilities are
// remembered for routing.
func (b *batch) meet(changes []*change) (revoked map[string]bool, err error) {
	seen := map[string]bool{}
	var devices []any
	for _, c := range changes {
		for i := range c.objects {
			if d := c.objects[i].Device; !seen[d] {
				seen[d] = true
				devices = append(devices, d)
			}
		}
	}
	revoked = map[string]bool{}
	for d := range seen {
		b.facilities[d] = ""
	}
	err = b.each(`SELECT id, facility, CASE WHEN state = 'revoked' THEN 1 ELSE 0 END FROM devices WHERE id IN `, devices, func(scan func(...any) error) error {
		var id, facility string
		var out bool
		if err := scan(&id, &facility, &out); err != nil {
			return err
		}
		b.facilities[id] = facility
		revoked[id] = out
		return nil
	})
	return revoked, err
}

func refusal(objects []hub.Object, revoked map[string]bool) error {
	for i := range objects {
		if d := objects[i].Device; revoked[d] {
			return fmt.Errorf("device %s: %w", d, errRevoked)
		}
	}
	return nil
}

// sortOut tells new objects that nothing is to be said about from the others: known
// ones, those that a finding is about, tests, and those whose SOP Instance UID was
// received before, in this batch or ever (P5). Of two contents under one UID in one
// batch the first is plain.
func (b *batch) sortOut(all []*hub.Object) (plain, others []*hub.Object, err error) {
	ids, uids, once := make([]any, len(all)), []any{}, map[string]bool{}
	for i, o := range all {
		ids[i] = o.ID[:]
		if uid := o.Names.SOPInstance; !once[uid] {
			once[uid] = true
			uids = append(uids, uid)
		}
	}
	known, names := map[hub.ID]bool{}, map[string]bool{}
	mark := func(scan func(...any) error) error {
		var id []byte
		err := scan(&id)
		if err == nil {
			known[hub.ID(id)] = true
		}
		return err
	}
	if err := b.each(`SELECT id FROM objects WHERE id IN `, ids, mark); err != nil {
		return nil, nil, err
	}
	if err := b.each(`SELECT id FROM findings WHERE id IN `, ids, mark); err != nil {
		return nil, nil, err
	}
	used, err := b.used(uids)
	for _, uid := range used {
		names[uid] = true
	}
	for _, o := range all {
		uid := o.Names.SOPInstance
		if known[o.ID] || names[uid] || o.Flags&(hub.FlagTest|hub.FlagHold) != 0 {
			others = append(others, o)
		} else {
			plain = append(plain, o)
		}
		known[o.ID], names[uid] = true, true
	}
	return plain, others, err
}

// used are those of these UIDs that some object has. Each is looked up: a modality may
// give all its instances the same, which are not read.
func (b *batch) used(uids []any) (out []string, err error) {
	for chunk := range slices.Chunk(uids, maxMarks) {
		args := slices.Clone(chunk)
		n := strings.Count(marks(&args, 0), "?")
		s, err := b.stmt(`SELECT u.uid FROM (SELECT ? AS uid` + strings.Repeat(` UNION ALL SELECT ?`, n-1) + `) AS u
			WHERE EXISTS (SELECT 1 FROM objects o WHERE o.sop_instance = u.uid)`)
		if err != nil {
			return nil, err
		}
		rows, err := s.Query(args...)
		if err != nil {
			return nil, err
		}
		found, err := collect[string](rows)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// receivePlain records objects that are all new.
func (b *batch) receivePlain(plain []*hub.Object) error {
	if len(plain) == 0 {
		return nil
	}
	var objects, receipts, jobs []any
	routes := make([][]Destination, len(plain))
	for i, o := range plain {
		list, err := b.routed(o)
		if err != nil {
			return err
		}
		routes[i] = list
		objects = append(objects, o.ID[:], o.Names.TransferSyntax, o.Names.SOPClass, o.Names.SOPInstance, o.Length, o.Study, o.Priority, o.Flags, o.Calling, o.Device, o.Modality,
			b.now, truth(!anyRequired(list)))
		receipts = append(receipts, o.Device, o.ID[:], o.Length, b.now)
		b.counts["objects"]++
		b.counts["bytes"] += o.Length
	}
	seqs, err := b.numberRows(`INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, modality, received_at, unrouted) VALUES`, 13, objects)
	if err != nil {
		return err
	}
	for i, list := range routes {
		for _, d := range list {
			jobs = append(jobs, seqs[i], d.Name, plain[i].Priority, "pending")
		}
	}
	added, err := b.insertRows(`INSERT INTO receipts (device, id, length, at) VALUES`, ` ON CONFLICT DO NOTHING`, 4, receipts)
	if err != nil {
		return err
	}
	b.counts["receipts"] += added
	b.jobsGrew = b.jobsGrew || len(jobs) > 0
	_, err = b.insertRows(`INSERT INTO jobs (object, destination, priority, state) VALUES`, ``, 4, jobs)
	return err
}
