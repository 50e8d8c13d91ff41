package query

import "edged/dimse/dataset"

// Response is the identifier of a match (PS3.4 §C.4.1.1.3.2): the keys that were
// asked for with the entity's values as they are there, the level, the character
// set that they are in, who can be asked to send it, and that it is at hand, unless
// the entity says otherwise.
func (f Find) Response(entity dataset.Set, retrieveAE string) dataset.Set {
	var r dataset.Set
	for i, key := range f.Keys {
		twice := i > 0 && f.Keys[i-1].Tag == key.Tag
		if !Supported(key.Tag, f.Level) || twice {
			continue
		}
		e, _ := entity.Find(key.Tag)
		r = append(r, answer(key, e))
	}
	if e, ok := entity.Find(CharacterSet); ok && len(e.Value) > 0 {
		r.Put(e)
	}
	r.Set(QueryRetrieveLevel, "CS", f.Level.String())
	r.Set(RetrieveAETitle, "AE", retrieveAE)
	if e, ok := entity.Find(Availability); ok {
		r.Put(e)
	} else {
		r.Set(Availability, "CS", "ONLINE")
	}
	return r
}

// answer is the value for one key; of a sequence what was asked of its items.
func answer(key, e dataset.Element) dataset.Element {
	vr := dataset.VR(key.Tag)
	out := dataset.Element{Tag: key.Tag, VR: asText(e.VR, vr), Value: e.Value, Items: e.Items}
	if vr != "SQ" {
		if out.Items = nil; out.VR == "SQ" {
			out.VR = vr // a sequence where a value should be: as if it had none
		}
		return out
	}
	out.VR, out.Value = "SQ", nil
	if out.Items == nil {
		out.Items = []dataset.Set{}
	}
	if len(key.Items) == 0 || len(key.Items[0]) == 0 {
		return out // all of it
	}
	items := make([]dataset.Set, 0, len(e.Items))
	for _, item := range e.Items {
		var kept dataset.Set
		for _, k := range key.Items[0] {
			v, _ := item.Find(k.Tag)
			kept = append(kept, answer(k, v))
		}
		items = append(items, kept)
	}
	out.Items = items
	return out
}
