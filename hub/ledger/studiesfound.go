package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// migrationFound: what an appliance finds wrong with the data of a study stands beside what
// it says of the study, and goes with that.
const migrationFound = `
ALTER TABLE studies_said ADD COLUMN found TEXT NOT NULL DEFAULT '';
CREATE INDEX studies_said_found ON studies_said (at, study, device) WHERE found <> '';
CREATE INDEX studies_said_found_of ON studies_said (device, at, study) WHERE found <> '';
`

// maxStudyFound bounds what is kept of one, in bytes.
const maxStudyFound = 1000

// FoundRow is what an appliance has found wrong with the data of a study, when it last spoke
// of it.
type FoundRow struct {
	UID, Device, Facility string
	Objects               int64 // that it counted
	At                    time.Time
	Found                 string // codes and numbers, see package uplink
}

// FoundAfter is the place behind a row in the list of them.
type FoundAfter struct {
	At            int64 // milliseconds since 1970; 0: the beginning
	Study, Device string
}

const (
	foundChunk  = 500 // rows that are looked at together
	foundChunks = 40  // at most, for one page
)

// FoundPage returns at most limit studies with findings, newest first, after that one; only
// of that device, and with that code among them, where they are not "". It looks at a bounded
// number of rows: it may return fewer, and how to go on. more false is the end.
func (l *Ledger) FoundPage(ctx context.Context, device, code string, after FoundAfter, limit int) (out []FoundRow, next FoundAfter, more bool, err error) {
	for range foundChunks {
		chunk, err := l.foundAfter(ctx, device, after)
		if err != nil {
			return nil, after, false, fmt.Errorf("findings of studies: %w", err)
		}
		for _, r := range chunk {
			if len(out) == min(limit, foundChunk) {
				return out, after, true, nil
			}
			if after = (FoundAfter{r.At.UnixMilli(), r.UID, r.Device}); code == "" || hasCode(r.Found, code) {
				out = append(out, r)
			}
		}
		if len(chunk) < foundChunk {
			return out, after, false, nil
		}
	}
	return out, after, true, nil
}

func hasCode(found, code string) bool {
	for one := range strings.SplitSeq(found, "; ") {
		if is, _, _ := strings.Cut(one, " "); is == code {
			return true
		}
	}
	return false
}

// foundAfter are the next rows, of one device where it is not "". Partial indexes are made
// for these very words.
func (l *Ledger) foundAfter(ctx context.Context, device string, a FoundAfter) (out []FoundRow, err error) {
	query, args := `SELECT s.study, s.device, coalesce(d.facility, '') AS facility, s.objects, s.at, s.found FROM studies_said s LEFT JOIN devices d ON d.id = s.device WHERE s.found <> ''`, []any{}
	if a.At != 0 {
		query, args = query+` AND (s.at, s.study, s.device) < (?, ?, ?)`, append(args, a.At, a.Study, a.Device)
	}
	if device != "" {
		query, args = query+` AND s.device = ?`, append(args, device)
	}
	rows, err := l.lists.QueryContext(ctx, query+` ORDER BY s.at DESC, s.study DESC, s.device DESC LIMIT ?`, append(args, foundChunk)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r FoundRow
		var at int64
		if err := rows.Scan(&r.UID, &r.Device, &r.Facility, &r.Objects, &at, &r.Found); err != nil {
			return nil, err
		}
		r.At = time.UnixMilli(at)
		out = append(out, r)
	}
	return out, rows.Err()
}
