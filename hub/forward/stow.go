package forward

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"edged/hub/ledger"
)

// MaxStowObjects is how many objects a request has at most: a worker holds no more.
const MaxStowObjects = batchSize

// StowConfig is an archive that takes DICOMweb STOW-RS (PS3.18 §10.5).
type StowConfig struct {
	Name     string
	URL      string // of the service, without /studies
	Requests int    // at once. If zero, 2.
	// Objects and Bytes bound one request; a larger object goes alone. If zero,
	// MaxStowObjects and 64 MiB.
	Objects int
	Bytes   int64
	TLS     *tls.Config // for https. If nil, the system's authorities and no certificate.
	Auth    Credentials // if nil, none
	// Stall is how long nothing may move inside a request or an answer, Response how
	// long the answer may take after all was sent. If zero, 60 s and 10 min: an
	// archive that is busy answers late, and to give up means to send all again.
	Stall, Response time.Duration
}

// Stow is a destination over HTTP.
type Stow struct {
	c      StowConfig
	url    string // what is posted to
	client *http.Client
	trust  trust
}

// NewStow returns the destination. It connects to nobody yet.
func NewStow(c StowConfig) (*Stow, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("destination %s: url: want https://HOST/PATH without user, query and fragment", c.Name)
	}
	orDefault(&c.Requests, 2)
	orDefault(&c.Objects, MaxStowObjects)
	orDefault(&c.Bytes, 64<<20)
	orDefault(&c.Stall, time.Minute)
	orDefault(&c.Response, 10*time.Minute)
	return &Stow{c: c, url: u.JoinPath("studies").String(), client: newClient(c.TLS, c.Requests)}, nil
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// newClient speaks HTTP/1.1, so that each request has a connection of its own and
// none waits for the window of another. It follows no redirect: what it carries is
// for the address that is configured.
func newClient(t *tls.Config, idle int) *http.Client {
	if t == nil {
		t = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6}}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: t, TLSHandshakeTimeout: 30 * time.Second,
			MaxIdleConnsPerHost: idle, IdleConnTimeout: 30 * time.Second, ExpectContinueTimeout: 5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10, WriteBufferSize: 64 << 10, DisableCompression: true,
		},
	}
}

func (d *Stow) Name() string { return d.c.Name }
func (d *Stow) Workers() int { return d.c.Requests }
func (d *Stow) open(f *Forwarder) session {
	return &stowSession{Stow: d, f: f, size: d.c.Objects, bytes: d.c.Bytes}
}

// stowSession is one worker's requests.
type stowSession struct {
	*Stow
	f     *Forwarder
	size  int   // objects of the next request: fewer after one that failed as a whole
	alone int   // so many objects go alone, whatever size is: one of them was too slow for a lease
	bytes int64 // of a request; less after one that was too large
	wary  bool  // the last request was cut short: ask before the bytes go
	stale bool  // the last request was cut on a connection that had been idle
	worn  int   // transient answers in a row
	put   int   // aside, of a batch
	calm  calm
}

func (s *stowSession) idle()  {}
func (s *stowSession) close() { s.client.CloseIdleConnections() }

// deliver sends the jobs in order, several in a request. When a request fails as a
// whole, for nobody knows whose sake, the next one has half as many: what alone
// fails waits alone (P6).
func (s *stowSession) deliver(ctx context.Context, jobs []ledger.Job, report func(ledger.Job, outcome)) (err error) {
	p := &posting{jobs: slices.Clone(jobs), report: report}
	defer p.close()
	s.put = 0
	for err == nil && len(p.jobs) > 0 {
		if err = ctx.Err(); err == nil {
			err = s.next(ctx, p)
		}
	}
	s.calm.after(ctx, jobs, s.put)
	return err
}

// posting is what is left of a batch.
type posting struct {
	jobs   []ledger.Job
	report func(ledger.Job, outcome)
	doubt  map[int64]bool // all of it was sent in this batch and no answer came
}

// tell reports on a job and takes it out.
func (p *posting) tell(j ledger.Job, o outcome) {
	p.report(j, o)
	p.jobs = slices.DeleteFunc(p.jobs, func(k ledger.Job) bool { return k.Seq == j.Seq })
}

// doubtful notes that the archive may have these.
func (p *posting) doubtful(jobs map[int64]bool) {
	if p.doubt == nil {
		p.doubt = map[int64]bool{}
	}
	maps.Copy(p.doubt, jobs)
	for i := range p.jobs {
		p.jobs[i].Unanswered = p.jobs[i].Unanswered || p.doubt[p.jobs[i].Seq]
	}
}

// close reports what must not be forgotten though it was not settled.
func (p *posting) close() {
	for _, j := range slices.Clone(p.jobs) {
		if p.doubt[j.Seq] {
			p.tell(j, noAnswer(errCut))
		}
	}
}

// noAnswer is about an object that was sent whole.
func noAnswer(err error) outcome {
	return outcome{verdict: transient, why: "no answer", words: "all of it was sent and no answer came: " + err.Error(), unanswered: true}
}

// next makes one request and settles what it tells.
func (s *stowSession) next(ctx context.Context, p *posting) error {
	list, err := s.ready(p)
	if err != nil || len(list) == 0 {
		return err
	}
	defer closeAll(list)
	a := s.post(ctx, list)
	if a.doubt {
		p.doubtful(a.gone)
	}
	stale := a.stale && !s.stale
	s.stale = stale
	switch {
	case stale && ctx.Err() == nil: // the archive had just closed an idle connection: with a new one
		s.client.CloseIdleConnections()
		return nil
	case a.away != nil:
		return a.away
	case ctx.Err() != nil && !a.heard:
		s.suspect(list)
		return ctx.Err()
	case a.whole && len(list) > 1:
		s.shrink(a, list)
		return nil
	}
	return s.settle(p, list, a)
}

// ready opens the copies of the first jobs for a request: of one priority, so that an
// urgent one does not wait for the bytes of others, and of different UIDs, because
// the answer names each by its UID. A copy that cannot be opened is reported.
func (s *stowSession) ready(p *posting) (list []opened, err error) {
	uids := map[string]bool{}
	total := int64(0)
	for _, j := range slices.Clone(p.jobs) {
		uid := j.Object.Names.SOPInstance
		if len(list) > 0 && (len(list) >= s.size || uids[uid] || j.Object.Priority != list[0].job.Object.Priority) {
			break
		}
		if o, aside := s.trust.aside(j); aside {
			p.tell(j, o)
			s.put++
			continue
		}
		o, bad, err := s.f.opened(j)
		if err != nil {
			closeAll(list)
			return nil, err
		}
		if bad != nil {
			p.tell(j, *bad)
			continue
		}
		if total += o.Size(); len(list) > 0 && total > s.bytes {
			o.Close()
			break
		}
		uids[uid] = true
		list = append(list, opened{j, o})
	}
	return list, nil
}

// suspect has the objects of a request that took the rest of a lease, for nobody knows whose
// sake, go alone from now on: another round with some of them costs another lease.
func (s *stowSession) suspect(list []opened) {
	if len(list) > 1 {
		s.size, s.alone = 1, len(list)
	}
}

// shrink makes the next request smaller. After a silence it has one object, because
// each silence costs its patience.
func (s *stowSession) shrink(a answer, list []opened) {
	s.size = max(1, len(list)/2)
	if a.silent {
		s.size = 1
	}
	if a.tooLarge {
		s.bytes = max(1, size(list)/2)
	}
}

// settle reports what is said of each object of a request. What was not sent because
// another one's copy was damaged goes again.
func (s *stowSession) settle(p *posting, list []opened, a answer) error {
	var last outcome
	for _, r := range s.weighed(list, a) {
		p.tell(r.job, r.outcome)
		if s.worn, last = s.worn+1, r.outcome; last.verdict != transient || last.ours || last.doubted {
			s.worn = 0
		}
	}
	switch {
	case s.alone > 0:
		s.alone--
	case a.heard && !a.whole:
		s.size = min(2*s.size, s.c.Objects)
	}
	if s.worn >= maxWorn {
		return fmt.Errorf("archive at %s: %s", s.c.URL, last.why)
	}
	return nil
}

// heard is what is said of a job.
type heard struct {
	job ledger.Job
	outcome
}

// weighed are the outcomes for what they are worth. What was taken counts first,
// because the others are judged by it.
func (s *stowSession) weighed(list []opened, a answer) (out []heard) {
	for _, r := range list {
		if o, known := a.of(r.job); known && o.verdict == done {
			s.trust.weigh(r.job, o)
		}
	}
	for _, r := range list {
		o, known := a.of(r.job)
		if !known {
			continue
		}
		out = append(out, heard{r.job, s.trust.weigh(r.job, o)})
	}
	return out
}

// opened is a job with its copy.
type opened struct {
	job ledger.Job
	Object
}

func size(list []opened) (total int64) {
	for _, o := range list {
		total += o.Size()
	}
	return total
}

func closeAll(list []opened) {
	for _, o := range list {
		o.Close()
	}
}
