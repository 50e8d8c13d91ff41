package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"edged/internal/dicom"
)

// sentLine is what modsim prints for each instance that was answered.
type sentLine struct {
	ID             string    `json:"id"`
	Modality       string    `json:"modality"`
	TransferSyntax string    `json:"transfer_syntax"`
	Bytes          int64     `json:"bytes"`
	Status         string    `json:"status"`
	SentAt         time.Time `json:"sent_at"`
	AnsweredAt     time.Time `json:"answered_at"`
}

// watch lets the modality send and shows each instance's way until all that
// was sent is archived.
func (d *demo) watch(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.Within, fmt.Errorf("not all was archived within %s", d.Within))
	defer cancel()
	g := newGroup(ctx)
	lines := make(chan sentLine, 64) // a burst of answers while the table is drawn
	d.table.began = began
	d.say("\nstudies from seed %d are sent now\n", d.Seed)
	d.table.head()
	g.Go(func(ctx context.Context) error { return d.send(ctx, lines) })
	g.Go(func(ctx context.Context) error { return d.follow(ctx, lines) })
	return g.Wait()
}

// send runs the modality and passes on what it prints.
func (d *demo) send(ctx context.Context, lines chan<- sentLine) error {
	defer close(lines)
	cmd, out, err := d.startModality(ctx)
	if err != nil {
		return err
	}
	in := bufio.NewScanner(out)
	for in.Scan() {
		var l sentLine
		if json.Unmarshal(in.Bytes(), &l) != nil || l.ID == "" {
			continue // the summary
		}
		select {
		case lines <- l:
		case <-ctx.Done():
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("modsim: %w", err)
	}
	return nil
}

// follow draws until the modality has ended and everything is archived.
func (d *demo) follow(ctx context.Context, lines <-chan sentLine) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for sending := true; sending || d.underway() > 0; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case l, ok := <-lines:
			if !ok {
				sending, lines = false, nil
			} else if err := d.took(l); err != nil {
				return err
			}
		case <-tick.C:
			d.look(ctx)
		}
	}
	return nil
}

func (d *demo) took(l sentLine) error {
	if l.Status != "0000" {
		return fmt.Errorf("an instance was answered %s", l.Status)
	}
	j := d.byID[l.ID]
	if j == nil {
		j = &journey{id: l.ID}
		d.byID[l.ID] = j
		d.journeys = append(d.journeys, j)
	}
	j.modality, j.bytes, j.file = l.Modality, l.Bytes, filepath.Join(d.path("sent"), l.ID+".dcm")
	j.sent, j.safe = l.SentAt, l.AnsweredAt
	return nil
}

func (d *demo) underway() (n int) {
	for _, j := range d.journeys {
		if !j.printed {
			n++
		}
	}
	return n
}

// look asks the appliance how far everything is. It may just be restarting:
// then the next look will tell.
func (d *demo) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	atHub := 0
	err := d.control().objects(ctx, func(o objectRow) error {
		if j := d.byID[o.ID]; j != nil {
			j.reach(o, time.Now())
		}
		if o.State == "at_hub" || o.State == "archived" {
			atHub++
		}
		return nil
	})
	if err == nil {
		d.table.show(d.journeys)
	}
	if d.KillHub && !d.hubKilled && len(d.journeys) >= 30 && atHub > len(d.journeys)/3 {
		d.hubKilled = true
		d.say("  the hub is killed now (SIGKILL)")
		d.hub.kill()
	}
}

// reach notes the hops of o, with the appliance's times where it has them. They
// come from three clocks (modality, appliance, hub), and the objects of an
// earlier run have theirs already: no hop is shown before the one before it.
func (j *journey) reach(o objectRow, now time.Time) {
	if j.received.IsZero() {
		j.received = within(o.ReceivedAt, j.sent, j.safe) // the first copy of a duplicate came earlier
	}
	if o.State == "at_hub" || o.State == "held" || o.State == "archived" {
		first(&j.atHub, j.safe, o.AtHubAt, now)
	}
	if o.State == "archived" {
		first(&j.archived, j.atHub, o.ArchivedAt, now)
	}
}

// first sets a time that is not set yet: what was told, else now, not before previous.
func first(at *time.Time, previous, told, now time.Time) {
	if !at.IsZero() {
		return
	}
	if *at = told; told.IsZero() {
		*at = now
	}
	if at.Before(previous) {
		*at = previous
	}
}

// within moves t between two times.
func within(t, from, to time.Time) time.Time {
	switch {
	case t.Before(from):
		return from
	case t.After(to):
		return to
	}
	return t
}

// compare reads every archived file and every sent file and compares their data
// sets byte by byte.
func (d *demo) compare() (o outcome, err error) {
	o.Sent = len(d.journeys)
	archive := make(map[string]string)
	found, err := filepath.Glob(filepath.Join(d.path("archive"), "*", "*.dcm"))
	if err != nil {
		return o, err
	}
	for _, f := range found {
		archive[filepath.Base(f)] = f
	}
	for _, j := range d.journeys {
		file, ok := archive[j.id+".dcm"]
		if !ok || j.archived.IsZero() {
			continue
		}
		o.Archived++
		same, err := sameDataSet(file, j.file)
		if err != nil {
			return o, err
		}
		if same {
			o.Identical++
		}
	}
	return o, nil
}

// sameDataSet compares two Part 10 files after their File Meta.
func sameDataSet(a, b string) (bool, error) {
	ra, closeA, err := dataSet(a)
	if err != nil {
		return false, err
	}
	defer closeA()
	rb, closeB, err := dataSet(b)
	if err != nil {
		return false, err
	}
	defer closeB()
	return sameBytes(ra, rb)
}

func dataSet(name string) (*bufio.Reader, func() error, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReader(f)
	if _, _, err := dicom.ReadPreface(r); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, f.Close, nil
}

func sameBytes(a, b io.Reader) (bool, error) {
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		endA, endB := ended(errA), ended(errB)
		switch {
		case endA && endB:
			return true, nil
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		case endA != endB:
			return false, nil
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// summary says where the files lie and what to type next.
func (d *demo) summary(o outcome) {
	d.say(`
  %d sent, %d archived, %d with identical data sets, in %.1f s

  sent by the modality    %s
  in the archive          %s
  what the programs said  %s`, o.Sent, o.Archived, o.Identical, o.Seconds,
		d.path("sent"), d.path("archive"), d.path("*.log"))
	if d.Once {
		return
	}
	c := "-c " + d.path("edged.yaml")
	d.say(`
  All of it stays up until you press Ctrl-C. In another terminal:

    the page                http://%[1]s/
    the hub's console       http://%[2]s/
    the state               %[3]s status %[4]s
    what the spool holds    %[3]s spool ls %[4]s
    prove every byte of it  %[3]s spool verify %[4]s
    send your own files     %[3]s send --to EDGED@%[5]s FOLDER
    any DICOM sender        storescu -aec EDGED 127.0.0.1 %[6]s FILE`,
		d.page, d.console, d.self, c, d.dicom, d.dicom[len("127.0.0.1:"):])
}
