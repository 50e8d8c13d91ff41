package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/archivelab"
	"edged/internal/dicom"
	"edged/internal/pglab"
	"edged/internal/s3lab"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// steps are those of one object through the hub, each named by what is done when the
// hub is killed: at the entry of the system call that would do the next one. strace
// counts the calls of each thread.
var steps = []step{
	{"object written", nil, "fdatasync", "", 1},
	{"object synced", nil, "linkat", "", 1},
	{"object named", nil, "fsync", "", 1},
	{"directory synced", nil, "pwrite64", "data/ledger.db-wal", 1},
	{"transaction written", nil, "fsync", "data/ledger.db-wal", 1},
	{"transaction committed", nil, "unlinkat", "", 1}, // or the receipt was said
	{"delivery synced", nil, "renameat", "", 1},
	{"delivery named", nil, "fsync", "archive/2.25.7", 1},
	{"sent to the archive", (*killed).inStore, "", "", 1},
	{"taken by the archive", (*killed).inStore, "pwrite64", "data/ledger.db-wal", 1},
	{"confirmation written", (*killed).inStore, "fsync", "data/ledger.db-wal", 1},
	{"confirmation committed", (*killed).inStore, "write", "", 3},
	{"archived told", (*killed).inArchived, "pwrite64", "data/ledger.db-wal", 1},
}

type step struct {
	done string
	from func(*killed, func()) // when strace is to look: nil, before the object is offered
	call string                // "": none, the archive kills the hub before it answers
	path string                // that strace looks at alone
	most int                   // of counts that are tried
}

// tries for a step: strace counts calls that are not alike each time.
const tries = 40

// A hub that is killed at any of its steps has no receipt without the object and its
// row, loses none, and brings none to the archive twice but as the same bytes (R10,
// R18). strace kills it at system calls and says at which; HUB_KILLS repeats it.
func TestKilledAtEachStep(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	k := newKilled(t)
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("HUB_KILLS")); err == nil {
		rounds = n
	}
	for range rounds {
		for i, step := range steps {
			before := k.hits[step.done]
			for try := 0; k.hits[step.done] == before && try < tries; try++ {
				k.killAt(i)
			}
			if k.hits[step.done] == before {
				t.Errorf("%q was not hit, the last kill was at %q: does strace still see the calls?", step.done, k.at)
			}
		}
	}
	k.allArchived()
	for _, step := range steps {
		t.Logf("%3d kills when %s", k.hits[step.done], step.done)
	}
}

// The same at random moments, of hubs that have many objects under way.
func TestKilledAtAnyMoment(t *testing.T) { killedAtAnyMoment(t, newKilled(t), 6) }

// And where the rows are in PostgreSQL and the objects in a bucket.
func TestKilledAtAnyMomentOverPostgreSQLAndABucket(t *testing.T) {
	rows, bucket := pglab.Start(t), s3lab.Start(t)
	killedAtAnyMoment(t, newKilledOver(t, rows, bucket, nil), 5)
}

func killedAtAnyMoment(t *testing.T, k *killed, kills int) {
	if n, err := strconv.Atoi(os.Getenv("HUB_KILLS")); err == nil {
		kills = 10 * n
	}
	for range kills {
		k.start()
		k.offer(30)
		archived := k.source.Count(uplinktest.Archived)
		k.await("the hub to work", func() bool { return k.source.Count(uplinktest.Archived) > archived })
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // not in step with anything
		k.hub.kill()
		k.kills++
		k.mustHold()
	}
	k.allArchived()
}

// allArchived ends a test: everything arrives, once.
func (k *killed) allArchived() {
	k.Helper()
	k.start()
	k.await("everything to be archived", func() bool { return k.source.Count(uplinktest.Archived) == k.objects })
	k.mustHold()
	k.mustBeOnce()
}

// killed is a hub with two archives and an appliance that goes on all the time.
type killed struct {
	*site
	rows    string        // "": SQLite
	bucket  *s3lab.Bucket // nil: files
	hub     *process
	source  *uplinktest.Source
	device  string
	scp     *archivelab.SCP
	objects int
	kills   int
	hits    map[string]int
	at      string // the call of the last kill by strace
	told    atomic.Pointer[func()]
	heard   atomic.Pointer[func()]
	up      *uplink.Uplink
}

func newKilled(t *testing.T) *killed { return newKilledOver(t, "", nil, nil) }

// newKilledOver has its rows and objects elsewhere, if it is told where, and reaches them
// by way of between, if there is one.
func newKilledOver(t *testing.T, rows string, bucket *s3lab.Bucket, between *between) *killed {
	k := &killed{rows: rows, bucket: bucket, site: newSite(t), source: uplinktest.NewSource(), scp: archivelab.NewSCP(t, archivelab.Config{}), hits: map[string]int{}}
	k.only = fmt.Sprintf("destinations:\n- {name: dir, type: dir, path: %s, create: true}\n- {name: vna, type: cstore, address: '%s', ae_title: VNA, confirm: success, associations: 1}\n",
		k.archive, k.scp.Address)
	if bucket != nil {
		url, through := rows, *bucket
		if between != nil {
			url, through.Endpoint = between.rows(rows), between.s3
		}
		k.more = fmt.Sprintf("node: n1\ndatabase: %s\nobjects: %s\nobjects_credentials: %s\n", url, through.URL(), bucket.Credentials(t))
	}
	k.configure()
	k.start()
	b := k.enrol()
	k.device = b.Device().ID
	u, err := uplink.New(uplink.Config{
		Hubs: []string{k.listen}, Transport: "tcp", LanesMin: 1, LanesMax: 1, TLS: b.ClientTLS(), Source: k.source, Keeper: k, BootID: []byte("boot"), DataDirID: []byte("dir"),
		RetryMin: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond, Idle: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	k.up = u
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return k
}

func (k *killed) start() {
	k.Helper()
	if k.hub == nil || k.hub.ended() {
		k.hub = k.site.start()
	}
}

func (p *process) ended() bool {
	select {
	case <-p.drained:
		return true
	default:
		return false
	}
}

func (k *killed) offer(n int) {
	for range n {
		k.objects++
		k.source.Add(uint64(k.objects), 20_000+rand.IntN(150_000), 1)
	}
}

func (k *killed) await(what string, done func() bool) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), time.Minute)
	defer cancel()
	if k.source.Wait(ctx, done) != nil {
		k.Fatalf("waited for %s", what)
	}
}

// inStore calls f when the archive has all of an object, before it answers.
func (k *killed) inStore(f func()) { k.scp.OnStored(f) }

// inArchived calls f when the appliance has heard that an object is archived, before it
// says so.
func (k *killed) inArchived(f func()) { k.told.Store(&f) }

// inReceipt calls f when the appliance has heard that the hub has an object.
func (k *killed) inReceipt(f func()) { k.heard.Store(&f) }

// Archived implements uplink.Keeper.
func (k *killed) Archived(ctx context.Context, list []uplink.Confirmation) error {
	err := k.source.Archived(ctx, list)
	if f := k.told.Swap(nil); f != nil {
		(*f)()
	}
	return err
}

// AtHub implements uplink.Keeper.
func (k *killed) AtHub(ctx context.Context, r []uplink.Receipt) error {
	err := k.source.AtHub(ctx, r)
	if f := k.heard.Swap(nil); f != nil {
		(*f)()
	}
	return err
}

// Those of a uplink.Keeper that keep.
func (k *killed) Meet(ctx context.Context, l uplink.Ledger, asked bool) error {
	return k.source.Meet(ctx, l, asked)
}
func (k *killed) Trouble(ctx context.Context, list []uplink.Trouble) error {
	return k.source.Trouble(ctx, list)
}
func (k *killed) Lost(ctx context.Context, ids []dicom.ID) error { return k.source.Lost(ctx, ids) }

// killAt offers an object to a hub that is killed at a step, or near it, and looks at
// what it has left.
func (k *killed) killAt(i int) {
	k.Helper()
	k.start()
	awaitThat(k.T, "the appliance to be connected", func() bool { return k.up.Status().Connected })
	step := steps[i]
	if step.call == "renameat" { // sealing again what was named and has no row is one, too, and would be killed for ever
		k.await("the rest to be archived", func() bool { return k.source.Count(uplinktest.Archived) == k.objects })
	}
	look := &tracer{call: step.call, when: 1 + rand.IntN(step.most), pid: k.hub.Process.Pid, file: filepath.Join(k.TempDir(), "trace")}
	if step.path != "" {
		look.path = filepath.Join(k.dir, step.path)
	}
	from := step.from
	switch {
	case step.call == "":
		from(k, func() { k.hub.Process.Kill() })
	case from == nil:
		look.attach()
	default:
		from(k, look.attach)
	}
	k.offer(1)
	k.died()
	k.at = ""
	if step.call != "" {
		k.at = look.last(k.T)
	}
	if step.call == "" || called[step.done].MatchString(k.at) {
		k.hits[step.done]++
	}
	k.mustHold()
}

// tracer is a strace that kills.
type tracer struct {
	call string
	when int
	path string
	pid  int
	file string

	cmd *exec.Cmd
	err error
}

// attach returns when strace sees the calls.
func (s *tracer) attach() {
	more := []string{}
	if s.path != "" {
		more = []string{"-P", s.path}
	}
	s.cmd = exec.Command("strace", append(more, "-f", "-yy", "-s", "0", "-o", s.file, "-e", "trace=fdatasync,fsync,linkat,renameat,unlinkat,pwrite64,write",
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", s.call, s.when), "-p", strconv.Itoa(s.pid))...)
	said, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.err, s.cmd = err, nil
		return
	}
	for lines := bufio.NewScanner(said); lines.Scan() && !strings.Contains(lines.Text(), "attached"); {
		if strings.Contains(lines.Text(), "ptrace") {
			s.err = errors.New(lines.Text())
		}
	}
	go io.Copy(io.Discard, said)
}

// last is the call at which the hub was killed.
func (s *tracer) last(t *testing.T) (line string) {
	t.Helper()
	if s.cmd != nil {
		s.cmd.Wait()
	}
	if s.err != nil {
		t.Skipf("strace may not trace here: %v", s.err)
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	killed := regexp.MustCompile(`^\d+ +` + s.call + `\(`)
	for l := range strings.Lines(string(text)) {
		if killed.MatchString(l) {
			line = l
		}
	}
	return line
}

// died waits until the hub is dead; when the object passed without that, another one comes.
func (k *killed) died() {
	k.Helper()
	for range 100 {
		select {
		case <-k.hub.drained:
			k.hub.Wait()
			k.kills++
			return
		case <-time.After(300 * time.Millisecond):
			k.offer(1)
		}
	}
	k.Fatal("the hub was not killed")
}

// called says at which calls a step is done.
var called = map[string]*regexp.Regexp{
	"object written":         regexp.MustCompile(`<[^>]*/partial/`),
	"object synced":          regexp.MustCompile(`<[^>]*/partial/`),
	"object named":           regexp.MustCompile(`<[^>]*/objects/objects/`),
	"directory synced":       regexp.MustCompile(`ledger\.db-wal`),
	"transaction written":    regexp.MustCompile(`ledger\.db-wal`),
	"transaction committed":  regexp.MustCompile(`<[^>]*/partial/`),
	"delivery synced":        regexp.MustCompile(`<[^>]*/\.incoming`),
	"delivery named":         regexp.MustCompile(`<[^>]*/archive/`),
	"taken by the archive":   regexp.MustCompile(`ledger\.db-wal`),
	"confirmation written":   regexp.MustCompile(`ledger\.db-wal`),
	"confirmation committed": regexp.MustCompile(`<TCP:\[`),
	"archived told":          regexp.MustCompile(`ledger\.db-wal`),
}

// mustHold demands of a dead hub, or of one at rest, that it has what the appliance
// relies on: for each receipt file and row, for each Archived the archives' copies.
func (k *killed) mustHold() {
	k.Helper()
	l, err := ledger.Open(k.Context(), ledger.Config{Path: filepath.Join(k.dir, "data", "ledger.db"), Database: k.rows})
	if err != nil {
		k.Fatal(err)
	}
	defer l.Close()
	var receipts []hub.ID
	k.source.Each(func(it *uplinktest.Item) {
		if it.State != uplinktest.AtHub && it.State != uplinktest.Archived {
			return
		}
		receipts = append(receipts, hub.ID(it.ID))
		k.mustBeKept(it)
		if it.State == uplinktest.Archived {
			k.identical(filepath.Join(k.archive, it.Study, it.ID.String()+".dcm"), it.Data)
			if !k.scp.Has(it.Names.SOPInstance, it.Data) {
				k.Errorf("%s counts as archived, and the archive has no such bytes", it.ID)
			}
		}
	})
	known, err := l.Known(k.Context(), k.device, receipts)
	if err != nil || len(known) != len(receipts) {
		k.Errorf("%d receipts, %d rows, %v", len(receipts), len(known), err)
	}
}

// mustBeKept demands that the hub's copy of an object is whole.
func (k *killed) mustBeKept(it *uplinktest.Item) {
	k.Helper()
	if k.bucket == nil {
		k.identical(k.file(it.ID), it.Data)
		return
	}
	found, err := filepath.Glob(filepath.Join(k.bucket.Dir, "objects", "*", it.ID.String()+".dcm"))
	if err != nil || len(found) != 1 {
		k.Fatalf("in the bucket: %v %v", found, err)
	}
	k.identical(found[0], it.Data)
}

// mustBeOnce demands that the archives have each object, and nothing else.
func (k *killed) mustBeOnce() {
	k.Helper()
	files, err := filepath.Glob(filepath.Join(k.archive, "*", "*.dcm"))
	if err != nil || len(files) != k.objects {
		k.Errorf("%d files in the archive, %d objects: %v", len(files), k.objects, err)
	}
	c := k.scp.Counts()
	if c.Instances != k.objects || c.Other != 0 {
		k.Errorf("the archive got %d instances of %d, %d times other bytes under one UID", c.Instances, k.objects, c.Other)
	}
	if limit := 64 * k.kills; c.Repeats > limit {
		k.Errorf("%d repeats in %d kills", c.Repeats, k.kills)
	}
	k.Logf("kills=%d acked=%d archived=%d repeats=%d", k.kills, k.objects, c.Instances, c.Repeats)
}

// awaitThat polls; a test that waits for the world has no other way.
func awaitThat(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}
