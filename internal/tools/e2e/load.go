package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/tools/lab"
)

// The goals of a spool with so many studies, and how often a page is asked for.
const (
	pageGoal   = 100 * time.Millisecond
	memoryGoal = 64 << 20
	asked      = 20
)

// loaded measures every page with n studies in the spool, and without: how long the
// appliance takes for it, and the memory. The studies come by C-STORE, one small object
// each; there is no hub, so that all of them stay.
func (p *play) loaded(ctx context.Context, n int) (err error) {
	p.scene = "load"
	p.stage.uplink = ""
	if err := p.stage.configure(); err != nil {
		return err
	}
	if err := p.stage.people(ctx); err != nil {
		return err
	}
	machine := lab.Machine(ctx, p.stage.lab, "make page-load")
	fmt.Println(machine.Markdown())
	empty, _, err := p.measure(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := p.fill(ctx, n); err != nil {
		return err
	}
	fmt.Printf("%d studies were stored in %.0f s\n\n", n, time.Since(began).Seconds())
	p.stage.edged.Stop()
	full, rows, err := p.measure(ctx)
	if err != nil {
		return err
	}
	if err := p.painted(ctx, rows); err != nil {
		return err
	}
	p.judgePages(n, rows)
	before, err := p.earlier(ctx)
	if err != nil {
		return err
	}
	p.judgeMemory(n, empty, before, full)
	return nil
}

// painted adds the first paint of each page, with all that is in the spool.
func (p *play) painted(ctx context.Context, rows []timing) error {
	t, err := p.viewer(ctx, "it", true) // who sees more
	if err != nil {
		return err
	}
	defer t.close()
	for i := range rows {
		if !rows[i].in {
			continue
		}
		times, _, err := t.paints(rows[i].path)
		if err != nil {
			return err
		}
		rows[i].paint = times[len(times)/2]
	}
	return nil
}

// earlier measures the memory of another build with the same spool, nil without one:
// how much the pages take is what there is more, for a spool takes memory by itself. It
// is asked for its first page only: it may have no other.
func (p *play) earlier(ctx context.Context) (*memory, error) {
	if p.before == "" {
		return nil, nil
	}
	p.stage.edged.Stop()
	bin := p.stage.lab.Bin
	defer func() { p.stage.lab.Bin = bin }()
	p.stage.lab.Bin = p.before
	plain := fmt.Sprintf("data_dir: %s\ndicom: {listen: %q, devices: [{ae_title: SIMCT}]}\nspool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}\npage: {listen: %q}\n", lab.Quote(p.stage.path("edge")), p.stage.edged.Address, p.stage.edged.Page)
	if err := os.WriteFile(p.stage.edged.Config, []byte(plain), 0o600); err != nil {
		return nil, err
	}
	if err := p.stage.startEdged(); err != nil {
		return nil, fmt.Errorf("the other build: %w", err)
	}
	var m memory
	if err := p.rest(ctx); err != nil {
		return nil, err
	}
	var err error
	if m.ready, err = p.stage.edged.RSS(); err != nil {
		return nil, err
	}
	for range 10 * asked {
		if code, _, _, err := p.get(ctx, "/", ""); err != nil || code != 200 {
			return nil, fmt.Errorf("the other build answers %d: %w", code, err)
		}
	}
	if m.after, err = p.stage.edged.RSS(); err != nil {
		return nil, err
	}
	m.peak, err = p.stage.edged.Peak()
	return &m, err
}

// memory is what the process takes, as the kernel counts it.
type memory struct{ ready, after, peak int64 }

// timing is what one page took.
type timing struct {
	found
	median, worst time.Duration
	bytes         int
	paint         float64 // milliseconds, the median
}

// measure starts the appliance, lets it come to rest, and asks for every page.
func (p *play) measure(ctx context.Context) (m memory, rows []timing, err error) {
	if err := p.stage.startEdged(); err != nil {
		return m, nil, err
	}
	p.cookies = nil
	if err := p.rest(ctx); err != nil {
		return m, nil, err
	}
	if m.ready, err = p.stage.edged.RSS(); err != nil {
		return m, nil, err
	}
	if err := crawlAll(ctx, p); err != nil {
		return m, nil, err
	}
	for _, s := range []struct{ words, what string }{{"PROVA00099999", "accession"}, {"P.N.", "initials"}, {"941L", "fiscal"}, {"PROVA", "nothing"}} {
		path, err := p.searched(ctx, s.words)
		if err != nil {
			return m, nil, err
		}
		p.pages = append(p.pages, found{path: path, pattern: "/studies, search: " + s.what, in: true})
	}
	p.pages = append(p.pages, found{path: "/studies?device=SIMMR&state=received", pattern: "/studies?device&state", in: true}, found{path: "/studies?device=SIMMR&state=received", pattern: "/studies?device&state"},
		found{path: "/studies?page=1000", pattern: "/studies?page=1000", in: true})
	for _, f := range p.some() {
		row, err := p.time(ctx, f)
		if err != nil {
			return m, nil, err
		}
		rows = append(rows, row)
	}
	if m.after, err = p.stage.edged.RSS(); err != nil {
		return m, nil, err
	}
	m.peak, err = p.stage.edged.Peak()
	return m, rows, err
}

// searched sends words by the form of the studies, and gives the address that it leads to:
// that has none of them.
func (p *play) searched(ctx context.Context, words string) (path string, err error) {
	cookie := p.cookie(ctx)
	_, _, body, err := p.get(ctx, "/studies", cookie)
	if err != nil {
		return "", err
	}
	form := url.Values{"q": {words}, "csrf": {formToken(body)}}
	rs, err := p.post(ctx, "/studies", form, p.stage.base(), "same-origin", cookie)
	if err != nil {
		return "", err
	}
	path = rs.Header.Get("Location")
	if rs.StatusCode != http.StatusSeeOther || !strings.HasPrefix(path, "/studies?s=") || strings.Contains(path, words) {
		return "", fmt.Errorf("a search for %s is answered by %s and leads to %q", words, rs.Status, path)
	}
	return path, nil
}

// rest waits until the process computes next to nothing, at most two minutes.
func (p *play) rest(ctx context.Context) error {
	last, err := p.stage.edged.CPU()
	if err != nil {
		return err
	}
	for range 60 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
		now, err := p.stage.edged.CPU()
		if err != nil || now-last < 100*time.Millisecond {
			return err
		}
		last = now
	}
	return nil
}

func (p *play) time(ctx context.Context, f found) (t timing, err error) {
	t.found = f
	cookie := ""
	if f.in {
		cookie = p.cookie(ctx)
	}
	var all []time.Duration
	for range asked {
		began := time.Now()
		code, _, body, err := p.get(ctx, f.path, cookie)
		if err != nil {
			return t, err
		}
		if code >= 400 {
			p.wrong("%s answers %d", f.path, code)
		}
		all, t.bytes = append(all, time.Since(began)), len(body)
	}
	slices.Sort(all)
	t.median, t.worst = all[len(all)/2], all[len(all)-1]
	return t, nil
}

// judgePages prints what the pages took, and compares with the goal.
func (p *play) judgePages(n int, rows []timing) {
	pages := lab.Section{Title: fmt.Sprintf("Pages with %d studies in the spool", n), Head: []string{"page", "logged in", "median, ms", "worst, ms", "first paint, ms", "KB", "goal"}}
	for _, r := range rows {
		pages.Row("`"+r.pattern+"`", map[bool]string{true: "yes", false: "no"}[r.in], millis(r.median), millis(r.worst), painted(r), strconv.Itoa(r.bytes/1000), lab.Verdict(r.median < pageGoal))
		if r.median >= pageGoal {
			p.wrong("%s takes %s ms", r.path, millis(r.median))
		}
	}
	pages.Note("Of %d requests in turn, over loopback, each to its last byte; the goal is a median under %d ms. First paint is the median of six in Chromium, on the same machine.", asked, pageGoal.Milliseconds())
	fmt.Println(pages.Markdown())
}

// judgeMemory prints what the process takes, and compares with another build where there
// is one, and with an empty spool otherwise.
func (p *play) judgeMemory(n int, empty memory, before *memory, full memory) {
	than, base := "an empty spool", empty
	head := []string{"", "empty spool", fmt.Sprint(n, " studies"), "more", "goal"}
	if before != nil {
		than, base = "the other build with the same spool", *before
		head = []string{"", "empty spool", "the other build, the same spool", fmt.Sprint(n, " studies"), "more than the other", "goal"}
	}
	mem := lab.Section{Title: "Memory, MiB", Head: head}
	row := func(what string, empty, base, full int64) {
		cells := []string{what, mib(empty), mib(full), mib(full - base), lab.Verdict(full-base <= memoryGoal)}
		if before != nil {
			cells = []string{what, mib(empty), mib(base), mib(full), mib(full - base), lab.Verdict(full-base <= memoryGoal)}
		}
		mem.Row(cells...)
	}
	row("at rest", empty.ready, base.ready, full.ready)
	row("after all pages", empty.after, base.after, full.after)
	row("at most", empty.peak, base.peak, full.peak)
	fmt.Println(mem.Markdown())
	for what, more := range map[string]int64{"at rest": full.ready - base.ready, "after all pages": full.after - base.after, "at most": full.peak - base.peak} {
		if more > memoryGoal {
			p.wrong("%s %s MiB more than %s", what, mib(more), than)
		}
	}
}

func painted(r timing) string {
	if r.paint == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", r.paint)
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }
func mib(n int64) string            { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }

// senders are how many associations fill the spool at the same time.
const senders = 8

// fill stores n studies of one object.
func (p *play) fill(ctx context.Context, n int) error {
	var all sync.WaitGroup
	errs := make([]error, senders)
	for s := range senders {
		all.Go(func() { errs[s] = p.fillShare(ctx, s, n) })
	}
	all.Wait()
	return errors.Join(errs...)
}

var fillers = []string{"SIMCT", "SIMMR", "SIMUS", "SIMMG", "SIMOT", "SIMSR"}

func (p *play) fillShare(ctx context.Context, share, n int) error {
	class := "1.2.840.10008.5.1.4.1.1.7"
	c, err := p.associate(ctx, fillers[share%len(fillers)], "EDGED", dimse.Need{SOPClassUID: class, TransferSyntaxUID: dicom.ExplicitVRLittleEndian})
	if err != nil {
		return err
	}
	for i := share; i < n; i += senders {
		names, data := plainObject(class, i, time.Now())
		rs, err := c.Store(ctx, dimse.StoreRequest{SOPClassUID: class, SOPInstanceUID: names.SOPInstance, TransferSyntaxUID: names.TransferSyntax}, bytes.NewReader(data))
		if err != nil {
			return err
		}
		if !rs.Status.IsSuccess() {
			return fmt.Errorf("study %d was answered %v", i, rs.Status)
		}
	}
	return c.Release(ctx)
}

// plainObject is the least that an image says about itself. One of twenty has no
// accession number, one of fifty a codice fiscale that contradicts itself.
func plainObject(class string, i int, now time.Time) (dicom.Names, []byte) {
	names := dicom.Names{TransferSyntax: dicom.ExplicitVRLittleEndian, SOPClass: class, SOPInstance: fmt.Sprintf("2.25.7000.%d.1", i)}
	day := now.AddDate(0, 0, -(i % 30))
	accession, fiscal := fmt.Sprintf("PROVA%08d", i), "RSSMRA72H26F941L"
	if i%20 == 0 {
		accession = ""
	}
	if i%50 == 0 {
		fiscal = "RSSMRA72H26F941X"
	}
	var b bytes.Buffer
	put(&b, 0x08, 0x05, "CS", "ISO_IR 192")
	put(&b, 0x08, 0x16, "UI", class)
	put(&b, 0x08, 0x18, "UI", names.SOPInstance)
	put(&b, 0x08, 0x20, "DA", day.Format("20060102"))
	put(&b, 0x08, 0x30, "TM", day.Format("150405"))
	put(&b, 0x08, 0x50, "SH", accession)
	put(&b, 0x08, 0x60, "CS", []string{"CT", "MR", "US", "MG", "OT", "SR"}[i%6])
	put(&b, 0x08, 0x80, "LO", "OSPEDALE DI PROVA")
	put(&b, 0x08, 0x1030, "LO", "Esame di prova "+fmt.Sprint(i%40))
	put(&b, 0x10, 0x10, "PN", "PROVA^NUMERO "+strings.ToUpper(strconv.FormatInt(int64(i), 36)))
	put(&b, 0x10, 0x20, "LO", fiscal)
	put(&b, 0x10, 0x30, "DA", "19720626")
	put(&b, 0x10, 0x40, "CS", "M")
	put(&b, 0x20, 0x0D, "UI", fmt.Sprintf("2.25.7000.%d", i))
	put(&b, 0x20, 0x0E, "UI", fmt.Sprintf("2.25.7000.%d.0", i))
	return names, b.Bytes()
}
