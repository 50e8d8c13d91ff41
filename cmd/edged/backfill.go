package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/internal/dicom"
)

// backfillCmd brings what an old PACS holds to the appliance, study by study, the
// newest first. It asks month by month, so that no answer is endless, remembers
// which studies are done, and can be stopped and started at any time: what is here
// already is stored once (P4).
//
// With --method move the PACS sends to the appliance by itself. With --method get
// the images come over an association of this command and go on to the appliance
// as they come, object after object; nothing of them is kept on the way. Either
// way the appliance takes them as it takes those of any device: give the sending AE
// title a device with priority backfill, so that they stand behind today's.
//
// Gap: a study without a study date is in no month; it is found with --patient-id
// and no --study-date only.
type backfillCmd struct {
	configFlag
	From      string        `required:"" placeholder:"AET@HOST:PORT" help:"The old PACS."`
	Calling   string        `default:"EDGED" placeholder:"AET" help:"The AE title to call it with."`
	StudyDate string        `placeholder:"RANGE" help:"As 20150101-20191231, either end may be left out. Default: since 1980."`
	Modality  string        `help:"Only studies with this modality, as CT."`
	PatientID string        `help:"Only studies of this patient."`
	Method    string        `enum:"move,get" default:"move" help:"move: the PACS sends to the appliance. get: this command fetches and stores there."`
	To        string        `placeholder:"AET[@HOST:PORT]" help:"The appliance, as the PACS knows it (move), or where it listens (get). Default: what the configuration says."`
	As        string        `placeholder:"AET" help:"With get: the AE title to store with. Default: --calling."`
	DryRun    bool          `help:"Ask and count, fetch nothing."`
	Again     bool          `help:"Also what an earlier run has brought."`
	Retry     time.Duration `default:"10m" help:"Try this long again when PACS or appliance are away, full or busy."`
	Timeout   time.Duration `default:"30s" help:"For connecting and negotiating."`
	tlsFlags
}

// backfill is one run of the command.
type backfill struct {
	*backfillCmd
	p      *process
	pacs   scuFlags // how to call it
	from   target
	to     target
	now    time.Time
	done   *backfillLog
	finder *dimse.Client // asks; nil: to be opened
	n      backfilled
}

// backfilled are the figures of a run.
type backfilled struct {
	studies, earlier, failed, brought int
	instances                         int
	wanted                            int // instances that the PACS says it has, of what was not brought earlier
}

func (c *backfillCmd) Run(p *process) error {
	b := &backfill{backfillCmd: c, p: p, now: time.Now(), pacs: scuFlags{To: c.From, Calling: c.Calling, Timeout: c.Timeout, tlsFlags: c.tlsFlags}}
	windows, err := b.prepare()
	if err != nil {
		return err
	}
	if b.done, err = openBackfillLog(b.from, b.to, c.Again); err != nil {
		return err
	}
	defer b.done.close()
	began := time.Now()
	err = b.all(windows)
	b.hangUp()
	return b.report(err, time.Since(began))
}

// prepare reads the flags.
func (b *backfill) prepare() (windows []window, err error) {
	if b.from, err = parseTarget(b.From); err != nil {
		return nil, usagef("--from %q: want AET@HOST:PORT, as PACS@10.0.0.9:104", b.From)
	}
	if b.to, err = b.appliance(); err != nil {
		return nil, err
	}
	if b.As == "" {
		b.As = b.Calling
	}
	if b.StudyDate == "" && b.PatientID != "" {
		return []window{{}}, nil // one question for all there is
	}
	from, to, err := dateRange(b.StudyDate, b.now)
	if err != nil {
		return nil, usagef("--study-date %q: %w", b.StudyDate, err)
	}
	return months(from, to), nil
}

// appliance is who is to have the studies.
func (b *backfill) appliance() (target, error) {
	if strings.Contains(b.To, "@") {
		return parseTarget(b.To)
	}
	if b.To != "" && b.Method == "move" {
		return target{title: b.To}, nil // only the name matters
	}
	cfg, err := loadConfig(b.Config)
	if err != nil {
		return target{}, err
	}
	to := target{cfg.Dicom.AETitle, cfg.Dicom.Listen}
	if b.To != "" {
		to.title = b.To
	}
	if host, port, err := net.SplitHostPort(to.address); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		to.address = net.JoinHostPort("127.0.0.1", port)
	}
	return to, nil
}

// all goes through the windows.
func (b *backfill) all(windows []window) error {
	for _, w := range windows {
		if err := b.p.ctx.Err(); err != nil {
			return err
		}
		studies, err := b.find(w)
		if err != nil {
			return fmt.Errorf("ask %s for %s: %w", b.From, w, err)
		}
		if b.Method == "move" {
			b.hangUp() // it would only wait meanwhile
		}
		b.n.studies += len(studies)
		for _, s := range studies {
			if err := b.study(s); err != nil {
				return err
			}
		}
		if len(studies) > 0 {
			fmt.Fprintf(b.p.stderr, "%s: %d studies; so far %d brought with %d images, %d earlier, %d failed\n",
				w, len(studies), b.n.brought, b.n.instances, b.n.earlier, b.n.failed)
		}
	}
	return nil
}

// attempts is how often one study is tried before the others go on without it: a
// study that the PACS cannot send must not hold up those behind it (P6).
const attempts = 3

// study brings one, unless it is done. The error ends the run.
func (b *backfill) study(s foundStudy) error {
	if b.done.has(s) {
		b.n.earlier++
		return nil
	}
	b.n.wanted += s.instances
	if b.DryRun {
		return nil
	}
	var why error
	for try := range attempts {
		if try > 0 && !pause(b.p.ctx, time.Second<<(2*try-2)) {
			return b.p.ctx.Err()
		}
		n, err := b.bring(s)
		if err == nil {
			b.n.brought++
			b.n.instances += n
			return b.done.add(s, n)
		}
		if why = err; b.p.ctx.Err() != nil {
			return b.p.ctx.Err()
		}
		var end *endOfRun
		if errors.As(err, &end) {
			return end.error
		}
	}
	b.n.failed++
	// The UID is the only handle that the administrator has at the PACS; this is his
	// terminal and no log.
	fmt.Fprintf(b.p.stderr, "edged: study %s: %s\n", visible(s.uid, 64), strings.ReplaceAll(why.Error(), "\n", "; "))
	return nil
}

// endOfRun is an error that the next study would meet, too.
type endOfRun struct{ error }

func (b *backfill) bring(s foundStudy) (instances int, err error) {
	var r dimse.Retrieved
	if b.Method == "get" {
		r, err = b.get(s)
	} else {
		r, err = b.move(s)
	}
	if err != nil {
		return 0, err
	}
	return judged(s, r)
}

// judged says whether a study has come whole: all that the PACS wanted to send was
// stored, and it was not less than it said it had.
func judged(s foundStudy, r dimse.Retrieved) (int, error) {
	n := r.Completed + r.Warning
	switch {
	case r.Status.IsFailure() || r.Status.IsCancel():
		return n, fmt.Errorf("the PACS answered %s %s", r.Status, visible(r.Comment, 64))
	case r.Failed > 0:
		return n, fmt.Errorf("%d of %d images could not be sent or stored (%s)", r.Failed, n+r.Failed, r.Status)
	case n == 0:
		return n, errors.New("the PACS sent nothing")
	case n < min(s.instances, 0xFFFF): // the wire counts no further (PS3.7 §E.1)
		return n, fmt.Errorf("%d images came, the PACS said that it has %d", n, s.instances)
	}
	return n, nil
}

// report is the line of figures, and the exit code.
func (b *backfill) report(err error, took time.Duration) error {
	what := fmt.Sprintf("%d studies brought with %d images, %d brought earlier, %d failed", b.n.brought, b.n.instances, b.n.earlier, b.n.failed)
	if b.DryRun {
		what = fmt.Sprintf("%d studies to bring with %d images as far as it says, %d brought earlier", b.n.studies-b.n.earlier, b.n.wanted, b.n.earlier)
	}
	fmt.Fprintf(b.p.stdout, "%s, of %d studies found at %s, %s\n", what, b.n.studies, b.From, took.Round(10*time.Millisecond))
	if err != nil {
		return fmt.Errorf("backfill: %w; the same command goes on where this one stopped", err)
	}
	if b.n.failed > 0 {
		return fmt.Errorf("backfill: %d studies could not be brought; the same command tries those again", b.n.failed)
	}
	return nil
}

// patiently calls open until it succeeds, or the other side says that it is of no
// use, or Retry is over.
func (b *backfill) patiently(open func() error) error {
	deadline := time.Now().Add(b.Retry)
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 30*time.Second) {
		err := open()
		var r dimse.Reject
		if err == nil {
			return nil
		}
		var usage usageError
		if errors.As(err, &r) && !r.Transient() || errors.As(err, &usage) || time.Now().Add(wait).After(deadline) {
			return &endOfRun{err}
		}
		if !pause(b.p.ctx, wait) {
			return b.p.ctx.Err()
		}
	}
}

// call opens an association with the PACS.
func (b *backfill) call(cfg dimse.ClientConfig) (a *dimse.Client, err error) {
	host, _, _ := net.SplitHostPort(b.from.address)
	if cfg.TLS, err = b.config(host); err != nil {
		return nil, err
	}
	cfg.Address, cfg.Called, cfg.Calling, cfg.Associate = b.from.address, b.from.title, b.Calling, b.Timeout
	cfg.ImplementationClassUID, cfg.ImplementationVersion = dicom.ImplementationClassUID, dicom.ImplementationVersionName
	err = b.patiently(func() (err error) {
		a, err = dimse.Dial(b.p.ctx, cfg)
		return b.pacs.advise(b.from, err)
	})
	return a, err
}

// ours is an association with the appliance.
func (b *backfill) ours(contexts []dimse.Proposal) (a *dimse.Client, err error) {
	a, err = dimse.Dial(b.p.ctx, dimse.ClientConfig{
		Address: b.to.address, Called: b.to.title, Calling: b.As, Contexts: contexts, Associate: b.Timeout,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	})
	return a, (&scuFlags{Calling: b.As}).advise(b.to, err)
}

// hangUp releases what is open.
func (b *backfill) hangUp() {
	if b.finder != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.p.ctx), b.Timeout)
		defer cancel()
		b.finder.Release(ctx) // whatever it answers, all was said
		b.finder = nil
	}
}

// identifier is a data set for a request.
func identifier(level string, keys ...[2]string) dimse.DataSet {
	var s dataset.Set
	s.Set(0x00080052, "CS", level)
	for _, k := range keys {
		tag := tagOf(k[0])
		s.Set(tag, dataset.VR(tag), k[1])
	}
	b, err := s.Append(nil, dicom.ImplicitVRLittleEndian)
	if err != nil {
		panic(err) // a few short values always fit
	}
	return dimse.DataSet{TransferSyntaxUID: dicom.ImplicitVRLittleEndian, Bytes: b}
}
