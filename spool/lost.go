package spool

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path"
	"sort"
)

// An object that is known of and has no whole file here any more is lost: a
// start set its file aside, or the file is gone. It stays in every list as
// damaged until the same object comes again or the archive has confirmed it.

// fate of an object's file.
type fate uint8

const (
	inPlace  fate = iota
	setAside      // in the quarantine folder
	missing       // nowhere
	unread        // in its place, and it cannot be opened, or not be set aside
)

func asideName(seq uint64) string { return path.Join(quarantineDir, path.Base(objectName(seq))) }

// lost is one such object. The ID is zero when nothing proves whose file it was.
type lost struct {
	facts
	seq   uint64
	fate  fate
	known bool // the journal says so already
}

// findLost compares the quarantine folder and the journal with the files that
// are in their place, oldest first. undone are set aside copies of objects that
// were forgotten, or are here again whole: they may be unlinked.
func findLost(ctx context.Context, fs FS, keys *keyring, b *book, here map[uint64]bool, closed map[uint64]error) (all []lost, undone []string, err error) {
	names, err := fs.ReadDir(quarantineDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	tomb, healed, aside := tombsBySeq(b.tombs), healedBySeq(b.tombs), map[uint64]bool{}
	for _, name := range names {
		seq, ok := parseObjectName(name)
		if !ok || aside[seq] || here[seq] || closed[seq] != nil {
			continue
		}
		if healed[seq] {
			undone = append(undone, path.Join(quarantineDir, name))
			continue
		}
		l := lostAside(ctx, fs, keys, path.Join(quarantineDir, name), seq, b)
		if l.id != (ID{}) && tomb[seq] == l.id {
			undone = append(undone, path.Join(quarantineDir, name))
			continue
		}
		aside[seq] = true
		all = append(all, l)
	}
	for seq, why := range closed {
		if isDamage(why) { // there was no room to set it aside
			l := lostAside(ctx, fs, keys, objectName(seq), seq, b)
			l.fate = unread
			all = append(all, l)
			continue
		}
		f := b.facts[seq]
		if f == nil {
			f = &facts{}
		}
		all = append(all, lostFrom(seq, *f, unread, "its file cannot be opened: "+why.Error()))
	}
	for seq, f := range b.facts {
		if !here[seq] && !aside[seq] && closed[seq] == nil && f.id != (ID{}) {
			all = append(all, lostFrom(seq, *f, missing, "its file is gone"))
		}
	}
	sort.Slice(all, func(i, k int) bool { return all[i].seq < all[k].seq })
	return all, undone, ctx.Err()
}

func lostFrom(seq uint64, f facts, why fate, reason string) lost {
	l := lost{facts: f, seq: seq, fate: why, known: f.quarantined}
	l.quarantined, l.damaged, l.reason = true, true, clip(reason)
	return l
}

// tornReason: from the mark on a power cut leaves such files of objects that
// were being stored. What was acknowledged was synced before, and is whole.
const tornReason = "unfinished when the power went; it was acknowledged only if the disk lies"

// lostAside tells of a file in the quarantine folder.
func lostAside(ctx context.Context, fs FS, keys *keyring, name string, seq uint64, b *book) lost {
	f := b.facts[seq]
	if f != nil && f.damaged {
		return lostFrom(seq, *f, setAside, f.reason)
	}
	id, why := identify(ctx, fs, keys, name, seq)
	if f == nil && id == (ID{}) && b.unproved(seq) && (errors.Is(why, errNotSealed) || errors.Is(why, ErrCorrupt)) { // what cannot be read is a bad disk, not a power cut
		return lostFrom(seq, facts{torn: true}, setAside, tornReason)
	}
	if f == nil {
		f = &facts{id: id}
	}
	return lostFrom(seq, *f, setAside, "set aside: "+why.Error())
}

// entry shows l in every list. It belongs to no group: its file would say to which.
func (l lost) entry() *entry {
	return &entry{facts: l.facts, seq: l.seq, fate: l.fate, group: &group{}}
}

// maxToldLost bounds what one start logs.
const maxToldLost = 100

// findLost also sees to it that no number in the quarantine is given away again.
func (r *recovery) findLost() (err error) {
	here := make(map[uint64]bool, len(r.found))
	for _, o := range r.found {
		here[o.seq] = true
	}
	for _, name := range r.spare { // not lost, it only goes later
		if seq, ok := parseObjectName(path.Base(name)); ok && path.Dir(name) == quarantineDir {
			here[seq] = true
		}
	}
	var undone []string
	r.lost, undone, err = findLost(r.ctx, r.s.fs, r.s.keys, r.book, here, r.unread)
	r.undone = append(r.undone, undone...)
	for i, l := range r.lost {
		r.maxSeq = max(r.maxSeq, l.seq)
		level := slog.LevelError
		switch {
		case l.torn:
			r.rep.Unfinished++
			level = slog.LevelWarn
		case l.fate != setAside:
			r.rep.Missing++
		default:
			r.rep.SetAside++
		}
		if i < maxToldLost {
			r.s.cfg.Logger.Log(r.ctx, level, "object is not here whole", "seq", l.seq, "id", l.id, "reason", l.because())
		}
	}
	if r.rep.SetAside+r.rep.Missing > 0 {
		r.s.cfg.Logger.Error("objects that were received are damaged or lost on this disk", "set_aside", r.rep.SetAside, "missing", r.rep.Missing)
	}
	return err
}

// adoptLost lists a lost object and counts it where nobody did before: it was
// received, unless nothing proves even what it was.
func (r *recovery) adoptLost(l lost) {
	old := l.seq < r.book.standing.mark
	known := l.id != (ID{})
	if !l.known && (old || known) {
		r.s.counters[CountQuarantined]++
	}
	if !old && known && !r.again[l.seq] {
		r.s.counters[CountReceived]++
	}
	r.list(l.entry())
}
