package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"edged/spool"
)

type studiesCmd struct {
	configFlag
	JSON bool `help:"One JSON object a line."`
}

// studyRow is a group of the spool as `edged spool studies --json` prints it.
type studyRow struct {
	Study        string      `json:"study"` // "": the header could not be read
	Objects      int64       `json:"objects"`
	Bytes        int64       `json:"bytes"`
	Forgotten    int64       `json:"forgotten,omitempty"` // archived and no longer here
	LastReceived time.Time   `json:"last_received,omitzero"`
	Series       []seriesRow `json:"series"`

	Known      bool      `json:"known"` // false: what follows is only known while the daemon runs
	Complete   bool      `json:"complete"`
	CompleteAt time.Time `json:"complete_at,omitzero"`
	Revision   uint32    `json:"revision"`
	Open       int       `json:"open,omitempty"`     // associations that have sent to it
	Expected   int64     `json:"expected,omitempty"` // instances that the modality announced
}

type seriesRow struct {
	Series  string `json:"series"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// why says in words whether a study is complete.
func (s studyRow) why() string {
	here := s.Objects + s.Forgotten
	switch {
	case !s.Known:
		return "not known while the daemon is down"
	case s.Complete && s.Revision > 1:
		return fmt.Sprintf("complete, for the %d. time", s.Revision)
	case s.Complete:
		return "complete"
	case s.Open > 0:
		return "no: the modality is still connected"
	case s.Expected > here:
		return fmt.Sprintf("no: %d of %d announced images are here", here, s.Expected)
	}
	return "no: not yet quiet for long enough"
}

func (c *studiesCmd) Run(p *process) error {
	in, err := c.openInside(p.ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	return show(p, c.JSON, in.studies, printStudies)
}

func printStudies(out io.Writer, each func(func(studyRow) error) error) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "STUDY\tSERIES\tOBJECTS\tBYTES\tLAST ARRIVAL\tCOMPLETE")
	err := each(func(s studyRow) error {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\n", cmp.Or(s.Study, "(not readable)"), len(s.Series), s.Objects, s.Bytes, orDash(s.LastReceived), s.why())
		for _, x := range s.Series {
			fmt.Fprintf(w, "\t%s\t%d\t%d\t\t\n", cmp.Or(x.Series, "(not readable)"), x.Objects, x.Bytes)
		}
		return nil
	})
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	return err
}

func orDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}

// maxStudies bounds one answer; a spool for thirty days has less.
const maxStudies = 1 << 20

// eachStudy visits the groups of an open spool, the latest first.
func eachStudy(ctx context.Context, s *spool.Spool, visit func(studyRow) error) error {
	for _, g := range s.Groups(maxStudies) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(studyOf(g)); err != nil {
			return err
		}
	}
	return nil
}

func studyOf(g spool.Group) studyRow {
	row := studyRow{Study: g.Name, Objects: g.Objects, Bytes: g.Bytes, Forgotten: g.Forgotten, LastReceived: g.LastReceived, Series: []seriesRow{},
		Known: true, Complete: g.Complete, CompleteAt: g.CompleteAt, Revision: g.Revision, Open: g.Open, Expected: g.Expected}
	for _, p := range g.Parts {
		row.Series = append(row.Series, seriesRow{p.Name, p.Objects, p.Bytes})
	}
	return row
}

// studies of a stopped daemon are put together from the files.
func (s stopped) studies(ctx context.Context, visit func(studyRow) error) error {
	all := make(map[string]*studyRow)
	err := s.objects(ctx, func(o objectRow) error {
		if !o.Lost {
			addToStudy(all, o)
		}
		return nil
	})
	rows := make([]*studyRow, 0, len(all))
	for _, r := range all {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *studyRow) int {
		return cmp.Or(b.LastReceived.Compare(a.LastReceived), cmp.Compare(a.Study, b.Study))
	})
	for _, r := range rows {
		if err == nil {
			err = visit(*r)
		}
	}
	return err
}

func addToStudy(all map[string]*studyRow, o objectRow) {
	r := all[o.Study]
	if r == nil {
		r = &studyRow{Study: o.Study, Series: []seriesRow{}}
		all[o.Study] = r
	}
	r.Objects++
	r.Bytes += o.Bytes
	if o.ReceivedAt.After(r.LastReceived) {
		r.LastReceived = o.ReceivedAt
	}
	i := slices.IndexFunc(r.Series, func(x seriesRow) bool { return x.Series == o.Series })
	if i < 0 {
		i = len(r.Series)
		r.Series = append(r.Series, seriesRow{Series: o.Series})
	}
	r.Series[i].Objects++
	r.Series[i].Bytes += o.Bytes
}
