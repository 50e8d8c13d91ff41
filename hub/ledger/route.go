package ledger

import (
	"slices"
	"strings"

	"edged/hub"
)

// Route says which objects a destination is for: those that match one of the values
// of each list that is not empty. The zero Route is for all.
type Route struct {
	Facilities []string // of the appliance that sent it
	Modalities []string // (0008,0060) as the appliance read it
	AETitles   []string // of the modality that sent it
}

// everything reports whether nothing is asked of an object.
func (r Route) everything() bool { return len(r.Facilities)+len(r.Modalities)+len(r.AETitles) == 0 }

// matches is where, for one object that has just come.
func (r Route) matches(o *hub.Object, facility string) bool {
	one := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return one(r.Facilities, facility) && one(r.Modalities, o.Modality) && one(r.AETitles, o.Calling)
}

// where is matches in SQL, of objects o, as a condition that begins with AND. Of the
// appliances with a receipt one may match; the AE title is that of the first.
func (r Route) where() (condition string, args []any) {
	list := func(before string, values []string, after string) {
		if len(values) == 0 {
			return
		}
		condition += " AND " + before + " IN (?" + strings.Repeat(", ?", len(values)-1) + ")" + after
		for _, v := range values {
			args = append(args, v)
		}
	}
	list(`EXISTS (SELECT 1 FROM receipts r JOIN devices d ON d.id = r.device WHERE r.id = o.id AND d.facility`, r.Facilities, ")")
	list("o.modality", r.Modalities, "")
	list("o.calling", r.AETitles, "")
	return condition, args
}

// routed are the destinations that an object is for, as its sender offered it.
func (b *batch) routed(o *hub.Object) ([]Destination, error) {
	if len(b.config.Routes) == 0 {
		return b.config.Destinations, nil
	}
	facility, err := b.facility(o.Device)
	if err != nil {
		return nil, err
	}
	var out []Destination
	for _, d := range b.config.Destinations {
		if b.config.Routes[d.Name].matches(o, facility) {
			out = append(out, d)
		}
	}
	return out, nil
}

// facility is that of a device, "" of one that is not enrolled. It is read once a
// transaction.
func (b *batch) facility(device string) (string, error) {
	if f, ok := b.facilities[device]; ok {
		return f, nil
	}
	var f string
	err := b.row(`SELECT coalesce((SELECT facility FROM devices WHERE id = ?), '') AS facility`, device).Scan(&f)
	if err == nil {
		b.facilities[device] = f
	}
	return f, err
}

// anyRequired reports whether *archived* may come of these.
func anyRequired(list []Destination) bool {
	return slices.ContainsFunc(list, func(d Destination) bool { return d.Required })
}

// routeAgain makes the jobs of an object that is known for a further sender, whose
// facility or AE title may lead it elsewhere. What was archived without a required
// destination that it is for now is not archived any more until that one has it.
func (b *batch) routeAgain(o *hub.Object, seq int64) error {
	if len(b.config.Routes) == 0 || o.Flags&hub.FlagTest != 0 {
		return nil
	}
	list, err := b.routed(o)
	if err != nil {
		return err
	}
	for _, d := range list {
		n, err := b.addJobs(d.Name, ` AND o.seq = ?`, seq)
		if err != nil {
			return err
		}
		if n == 0 || !d.Required {
			continue
		}
		again, err := b.exec(`UPDATE objects SET archived_at = NULL WHERE seq = ? AND archived_at IS NOT NULL`, seq)
		if err != nil {
			return err
		}
		b.counts["archived"] -= again
		if _, err := b.exec(`UPDATE objects SET unrouted = 0 WHERE seq = ? AND unrouted = 1`, seq); err != nil {
			return err
		}
	}
	return nil
}

// addJobs gives the objects o of a condition a job for a destination where they have
// none: held if they are.
func (b *batch) addJobs(destination, condition string, args ...any) (int64, error) {
	n, err := b.exec(`INSERT INTO jobs (object, destination, state, priority, words)
		SELECT o.seq, ?, CASE WHEN o.hold <> 0 THEN 'held' ELSE 'pending' END, o.priority,
			CASE WHEN o.hold = 0 THEN '' WHEN o.hold = 2 THEN ? ELSE ? END
		FROM objects o WHERE o.flags & ? = 0`+condition+` ON CONFLICT (object, destination) DO NOTHING`,
		append([]any{destination, findingWords, heldWords, hub.FlagTest}, args...)...)
	b.jobsGrew = b.jobsGrew || n > 0
	return n, err
}

// names are for an IN of a query.
type names struct {
	marks string
	args  []any
}

// required are the names of the destinations that *archived* waits for; none is ”.
func (b *batch) required() names { return b.config.namesOf(true) }
