package ledger

import (
	"context"
	"fmt"
	"time"
)

// studiesKey is no device's name: devices have no blanks.
const studiesKey = "study events"

// StudiesChanged is Changed for studies and their events. What another node changes may
// not be seen here: look again after some seconds.
func (l *Ledger) StudiesChanged() <-chan struct{} { return l.Changed(studiesKey) }

// SayStudy records what a device says of a study, durable on return: all of it was
// received there (complete), or it has changed since, and counts so many objects. The
// same revision again changes nothing. A lower one is of a study that began anew
// there, or comes late; then it does not make the count smaller. found is what is wrong
// with its data, in codes; what a revision says replaces what an earlier one did.
func (l *Ledger) SayStudy(ctx context.Context, device, uid string, revision uint32, complete bool, count uint32, found string) error {
	if uid == "" {
		return nil // its header could not be read: nobody can be told of it
	}
	err := l.fewSaid(ctx, device, uid)
	if err != nil {
		return fmt.Errorf("say a study of %s: %w", device, err)
	}
	err = l.change(ctx, func(b *batch) error {
		n, err := b.exec(`INSERT INTO studies_said (study, device, revision, complete, objects, at, found, received)
			SELECT s.study, s.device, s.revision, s.complete, s.objects, s.at, s.found, CASE WHEN `+sentSome+` THEN 1 ELSE 0 END
			FROM (SELECT CAST(? AS TEXT) AS study, CAST(? AS TEXT) AS device, CAST(? AS BIGINT) AS revision, CAST(? AS BIGINT) AS complete, CAST(? AS BIGINT) AS objects, CAST(? AS BIGINT) AS at, CAST(? AS TEXT) AS found) AS s WHERE 1 = 1
			ON CONFLICT (study, device) DO UPDATE SET revision = excluded.revision, complete = excluded.complete, at = excluded.at, found = excluded.found,
			objects = CASE WHEN excluded.revision < studies_said.revision AND excluded.objects < studies_said.objects THEN studies_said.objects ELSE excluded.objects END
			WHERE studies_said.revision <> excluded.revision`, uid, device, int64(revision), truth(complete), int64(count), b.now, oneLineOf(found, maxStudyFound))
		if err != nil || n == 0 {
			return err
		}
		return b.openStudy(uid)
	})
	if err != nil {
		return fmt.Errorf("say a study of %s: %w", device, err)
	}
	return nil
}

// openStudy has the study looked at now. Where an event is awaited it stays open since
// when it was: whoever speaks again and again of a study does not silence it.
func (b *batch) openStudy(uid string) error {
	_, err := b.exec(`INSERT INTO studies (study, open_at, look_at) VALUES (?, ?, ?)
		ON CONFLICT (study) DO UPDATE SET open_at = CASE WHEN studies.look_at IS NULL THEN excluded.open_at ELSE studies.open_at END, look_at = excluded.look_at`, uid, b.now, b.now)
	b.awake[studiesKey] = struct{}{}
	return err
}

// EventRules says when an event of a study is due, and for whom.
type EventRules struct {
	Sinks []string
	// Received: what the hub has is enough. If false, all of it has to be archived, but
	// for what waits for a person.
	Received bool

	Late     time.Duration // how long an event waits behind objects that came after the last one, and that no appliance spoke of. If zero, 2 min.
	Patience time.Duration // how long it waits for objects that an appliance counts and does not send. If zero, 24 h.
	Look     time.Duration // how soon a study is looked at again. If zero, 1 s; from then on a quarter of the time since it opened.
}

const (
	maxLook  = 5 * time.Minute // between two looks at a study
	lookPage = 50              // studies of one transaction, so that receipts do not wait for long
	latePage = 5000            // objects of one transaction that are looked through for late ones
)

func (r EventRules) withDefaults() EventRules {
	if r.Late == 0 {
		r.Late = 2 * time.Minute
	}
	if r.Patience == 0 {
		r.Patience = 24 * time.Hour
	}
	if r.Look == 0 {
		r.Look = time.Second
	}
	return r
}

// MakeEvents makes the events that are due, each with a delivery for every sink, and
// reports whether there is more to look at now. An event is due when an appliance has
// said that the study is complete or has changed, the hub has as many objects of it as
// that counts from each that spoke and has sent one (Patience), and, unless Received, each
// object of it is archived or waits for a person. What an appliance counts that has sent
// nothing of the study is told and delays nobody. There is no event when nothing came,
// and nothing was archived, since the last one. Of several nodes one makes it: revision is the next, in
// one transaction.
func (l *Ledger) MakeEvents(ctx context.Context, rules EventRules) (more bool, err error) {
	rules = rules.withDefaults()
	anything, err := l.anythingDue(ctx)
	if err != nil || !anything {
		return false, err
	}
	err = l.change(ctx, func(b *batch) error {
		late, err := b.openLate(rules)
		if err != nil {
			return err
		}
		list, err := b.toLookAt()
		if err != nil {
			return err
		}
		for _, s := range list {
			if err := b.look(s, rules); err != nil {
				return err
			}
		}
		more = late || len(list) == lookPage
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("make study events: %w", err)
	}
	return more, nil
}

// mayBeLookedAt is true for a study s whose time has come, or was put down while the
// clock was ahead, as mayBeTried for jobs.
const mayBeLookedAt = `s.look_at IS NOT NULL AND (s.look_at <= ? OR s.look_at > ?)`

// anythingDue is asked before, so that a hub at rest writes nothing.
func (l *Ledger) anythingDue(ctx context.Context) (bool, error) {
	var due, seen, last int64
	now := l.millis()
	err := l.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM (SELECT s.study FROM studies s WHERE `+mayBeLookedAt+` LIMIT 1) AS k) AS due,
		coalesce((SELECT n FROM counters WHERE name = 'studies_seen'), -1) AS seen,
		coalesce((SELECT max(o.seq) FROM objects o), 0) AS last`, now, now+longestPause.Milliseconds()).Scan(&due, &seen, &last)
	if err != nil {
		return false, fmt.Errorf("look for studies: %w", err)
	}
	return due > 0 || seen < last, nil
}

// openLate looks through the objects that came since it looked last: a study of which
// sinks were told, or of which an appliance spoke a long time before, is open again when
// one is of it, whatever its appliance says. It reports whether there are more.
func (b *batch) openLate(rules EventRules) (more bool, err error) {
	var seen, last int64
	if err := b.row(`SELECT coalesce((SELECT n FROM counters WHERE name = 'studies_seen'), -1) AS seen, coalesce((SELECT max(o.seq) FROM objects o), 0) AS last`).Scan(&seen, &last); err != nil {
		return false, err
	}
	if seen == last {
		return false, nil
	}
	if seen >= 0 { // else nobody was told of anything yet
		last, more = min(last, seen+latePage), last > seen+latePage
		if _, err := b.exec(`UPDATE studies SET open_at = ?, look_at = ? WHERE look_at IS NULL
			AND study IN (SELECT o.study FROM objects o WHERE o.seq > ? AND o.seq <= ? AND o.flags & 8 = 0)`, b.now, b.now+rules.Late.Milliseconds(), seen, last); err != nil {
			return false, err
		}
	}
	_, err = b.exec(`INSERT INTO counters (name, n) VALUES ('studies_seen', ?) ON CONFLICT (name) DO UPDATE SET n = excluded.n`, last)
	return more, err
}

// candidate is a study that waits for an event.
type candidate struct {
	uid                         string
	revision, objects, archived int64
	opened                      int64
}

func (b *batch) toLookAt() ([]candidate, error) {
	s, err := b.stmt(`SELECT s.study, s.revision, s.objects, s.archived, s.open_at FROM studies s WHERE ` + mayBeLookedAt + ` ORDER BY s.look_at LIMIT ?`)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(b.now, b.now+longestPause.Milliseconds(), lookPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []candidate
	for rows.Next() {
		var c candidate
		if err := rows.Scan(&c.uid, &c.revision, &c.objects, &c.archived, &c.opened); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// look decides about one study.
func (b *batch) look(c candidate, rules EventRules) error {
	if c.opened > b.now { // while the clock was ahead: its patience begins now
		c.opened = b.now
		if _, err := b.exec(`UPDATE studies SET open_at = ? WHERE study = ?`, b.now, c.uid); err != nil {
			return err
		}
	}
	waits, err := b.waits(c, rules)
	if err != nil {
		return err
	}
	if c.revision == 0 || !waits {
		if err := b.sent(c.uid); err != nil {
			return err
		}
	}
	if waits {
		return b.lookLater(c.uid, c.opened, rules)
	}
	var n, archived, last int64
	if err := b.row(`SELECT count(*) AS n, coalesce(sum(CASE WHEN o.archived_at IS NULL THEN 0 ELSE 1 END), 0) AS archived, coalesce(max(o.seq), 0) AS last
		FROM objects o WHERE o.study = ? AND o.flags & 8 = 0`, c.uid).Scan(&n, &archived, &last); err != nil {
		return err
	}
	if n > 0 && (n != c.objects || archived != c.archived) {
		c.revision, c.objects, c.archived = c.revision+1, n, archived
		if err := b.event(c, last, rules.Sinks); err != nil {
			return err
		}
	}
	return b.told(c, rules)
}

// told: nothing of a study is awaited now, but what becomes of objects that are not
// archived, which is told, too. It is open since this moment.
func (b *batch) told(c candidate, rules EventRules) error {
	if _, err := b.exec(`UPDATE studies SET open_at = ?, look_at = NULL WHERE study = ?`, b.now, c.uid); err != nil || c.archived == c.objects {
		return err
	}
	var at int64 // 0: its event is too old to be kept
	if err := b.row(`SELECT coalesce((SELECT e.at FROM events e WHERE e.study = ? AND e.revision = ?), 0) AS at`, c.uid, c.revision).Scan(&at); err != nil {
		return err
	}
	return b.lookLater(c.uid, at, rules)
}

// lookLater: the longer a study has waited the more it may wait on, so that thousands
// that wait for an archive cost little.
func (b *batch) lookLater(uid string, since int64, rules EventRules) error {
	pause := min(max((b.now-since)/4, rules.Look.Milliseconds()), maxLook.Milliseconds())
	if since > b.now { // of an event that was made while the clock was ahead
		pause = maxLook.Milliseconds()
	}
	_, err := b.exec(`UPDATE studies SET look_at = ? WHERE study = ?`, b.now+pause, uid)
	return err
}

// waits says whether something of the study is still on its way to the hub, or from it.
func (b *batch) waits(c candidate, rules EventRules) (bool, error) {
	if b.now-c.opened < rules.Patience.Milliseconds() {
		if short, err := b.short(c.uid); err != nil || short {
			return short, err
		}
	}
	if rules.Received {
		return false, nil
	}
	return b.onTheWay(c.uid)
}

// short says whether an appliance that has sent something counts more than the hub has
// from it, or nothing is here at all. Objects are counted first, which costs least and
// mostly decides.
func (b *batch) short(uid string) (bool, error) {
	var most, have int64
	if err := b.row(`SELECT coalesce((SELECT max(s.objects) FROM studies_said s WHERE s.study = ?1 AND `+sentSome+`), 0) AS most,
		(SELECT count(*) FROM objects o WHERE o.study = ?1) AS have`, uid).Scan(&most, &have); err != nil || have == 0 || most > have {
		return true, err
	}
	var short int64
	err := b.row(`SELECT count(*) FROM studies_said s WHERE s.study = ? AND s.objects >
		(SELECT count(*) FROM objects o WHERE o.study = s.study AND o.lost = 0 AND `+cameFrom("s.device")+`) AND `+sentSome, uid).Scan(&short)
	return short > 0, err
}

// cameFrom is true for an object o that a device has sent. Receipts are folded into files
// when they are old; of those only the first sender is known, and what is so old is
// counted for all.
func cameFrom(device string) string {
	return `(o.folded > 0 OR EXISTS (SELECT 1 FROM receipts r WHERE r.id = o.id AND r.device = ` + device + ` AND r.lost = 0))`
}

// onTheWay says whether a required destination is still to get an object, and nobody
// has to decide about that.
func (b *batch) onTheWay(uid string) (bool, error) {
	required := b.required()
	var n int64
	err := b.row(`SELECT count(*) FROM (SELECT o.seq FROM objects o WHERE o.study = ? AND o.archived_at IS NULL AND o.flags & 8 = 0
		AND (`+unwalked+` OR EXISTS (SELECT 1 FROM jobs j WHERE j.object = o.seq AND j.state IN ('pending', 'leased', 'stored') AND j.destination IN (`+required.marks+`)))
		AND NOT EXISTS (SELECT 1 FROM jobs k WHERE k.object = o.seq AND k.state IN ('held', 'permanent', 'unconfirmed') AND k.destination IN (`+required.marks+`))
		LIMIT 1) AS w`, append(append([]any{uid}, required.args...), required.args...)...).Scan(&n)
	return n > 0, err
}

// event makes one, with its deliveries.
func (b *batch) event(c candidate, last int64, sinks []string) error {
	seq, _, err := b.insert(`INSERT INTO events (study, revision, at, last, objects, built) VALUES (?, ?, ?, ?, ?, ?)`, c.uid, c.revision, b.now, last, c.objects, truth(len(sinks) == 0))
	if err != nil {
		return err
	}
	for _, sink := range sinks {
		if _, err := b.exec(`INSERT INTO deliveries (sink, event, study, state, at) VALUES (?, ?, ?, 'pending', ?)`, sink, seq, c.uid, b.now); err != nil {
			return err
		}
	}
	b.awake[studiesKey] = struct{}{}
	_, err = b.exec(`UPDATE studies SET revision = ?, objects = ?, archived = ? WHERE study = ?`, c.revision, c.objects, c.archived, c.uid)
	return err
}
