package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"edged/dimse"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// CStoreConfig is an archive that takes C-STORE.
type CStoreConfig struct {
	Name         string
	Address      string // host:port
	Called       string // its AE title
	Calling      string // ours
	Associations int    // at once. If zero, 2.
	// TLS, if not nil, is spoken with it (PS3.15 Annex B). Without a ServerName the
	// certificate must be for the host of Address.
	TLS *tls.Config
	// Commitment: what it answers with Success is done when it has committed itself.
	Commitment bool
	// References bounds a transaction: archives take so many at once, and a report
	// that is lost costs no more. If zero, 500.
	References int
	// Idle is how long an association without work is kept. If zero, 10 s.
	Idle time.Duration
	// Await is how long a report of commitment is waited for on the association
	// that asked; twelve times that when there is no other way. If zero, 5 s.
	Await time.Duration
	// Associate and Response are how long negotiating and an answer may take, Stall how
	// long nothing may move inside an object. If zero, see dimse.ClientConfig.
	Associate, Response, Stall time.Duration
}

// CStore is a destination over DICOM.
type CStore struct {
	c     CStoreConfig
	trust trust
}

// NewCStore returns the destination. It connects to nobody yet.
func NewCStore(c CStoreConfig) *CStore {
	if c.Associations == 0 {
		c.Associations = 2
	}
	if c.Idle == 0 {
		c.Idle = 10 * time.Second
	}
	if c.References == 0 {
		c.References = 500
	}
	if c.Await == 0 {
		c.Await = 5 * time.Second
	}
	return &CStore{c: c}
}

func (d *CStore) Name() string { return d.c.Name }
func (d *CStore) Workers() int { return d.c.Associations }
func (d *CStore) open(f *Forwarder) session {
	return &cstoreSession{CStore: d, f: f}
}

// cstoreSession keeps one association over many batches.
type cstoreSession struct {
	*CStore
	f        *Forwarder
	client   *dimse.Client // nil when there is none
	conn     *watched      // below client
	proposed map[dimse.Need]bool
	last     time.Time // when it was used
	worn     int       // transient answers in a row
	calm     calm
}

// maxWorn is how many transient answers in a row mean that the archive as a
// whole is out of resources: then it is left alone for a while, in place of
// sending it every object of the backlog in vain.
const maxWorn = 3

func (s *cstoreSession) deliver(ctx context.Context, jobs []ledger.Job, report func(ledger.Job, outcome)) error {
	var doubts doubtful
	defer func() { doubts.settle(&s.trust, report) }()
	put := 0
	for i, j := range jobs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if out, aside := s.trust.aside(j); aside {
			report(j, out)
			put++
			continue
		}
		if s.stale() {
			s.release(ctx)
		}
		if err := s.connect(ctx, jobs[i:]); err != nil {
			return err
		}
		said, err := s.send(ctx, j)
		if err != nil {
			return err
		}
		out := s.trust.weigh(j, said)
		if out.doubted {
			doubts.add(j, said, out)
		} else {
			report(j, out)
		}
		if s.worn = s.worn + 1; out.verdict != transient || out.ours || out.doubted {
			s.worn = 0
		}
		if s.worn >= maxWorn {
			return fmt.Errorf("archive %s at %s: %s", s.c.Called, s.c.Address, out.why)
		}
	}
	s.calm.after(ctx, jobs, put)
	return nil
}

func needOf(j ledger.Job) dimse.Need {
	return dimse.Need{SOPClassUID: j.Object.Names.SOPClass, TransferSyntaxUID: j.Object.Names.TransferSyntax}
}

// connect makes sure that there is an association in which the first of jobs was
// proposed. A new one proposes what is waiting first, then what the last one had.
func (s *cstoreSession) connect(ctx context.Context, jobs []ledger.Job) error {
	if s.client != nil && s.proposed[needOf(jobs[0])] {
		return nil
	}
	needs := []dimse.Need{}
	for _, j := range jobs {
		needs = append(needs, needOf(j))
	}
	for n := range s.proposed {
		needs = append(needs, n)
	}
	s.release(ctx)
	proposals, _ := dimse.Propose(needs...) // what does not fit gets an association of its own, later
	client, err := dimse.Dial(ctx, dimse.ClientConfig{
		DialContext: s.dial, Address: s.c.Address, Called: s.c.Called, Calling: s.c.Calling, Contexts: proposals, Associate: s.c.Associate, Response: s.c.Response, Stall: s.c.Stall,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
	})
	if err != nil {
		return fmt.Errorf("archive %s at %s: %w", s.c.Called, s.c.Address, err)
	}
	s.client, s.proposed, s.last = client, map[dimse.Need]bool{}, time.Now()
	for _, p := range proposals {
		for _, ts := range p.TransferSyntaxes {
			s.proposed[dimse.Need{SOPClassUID: p.AbstractSyntax, TransferSyntaxUID: ts}] = true
		}
	}
	return nil
}

// send stores one object. An error means that nothing is known about it: the
// program stops, or has too much open.
func (s *cstoreSession) send(ctx context.Context, j ledger.Job) (outcome, error) {
	if !s.client.Accepts(needOf(j)) {
		return outcome{verdict: permanent, why: "presentation context refused", words: fmt.Sprintf("the archive accepts no SOP class %s in transfer syntax %s", j.Object.Names.SOPClass, j.Object.Names.TransferSyntax)}, nil
	}
	o, bad, err := s.f.opened(j)
	if err != nil || bad != nil {
		return *bad, err
	}
	defer o.Close()
	data := &ownReader{r: o.DataSet()}
	conn := s.conn
	conn.begin()
	rsp, err := s.client.Store(ctx, dimse.StoreRequest{
		SOPClassUID: j.Object.Names.SOPClass, SOPInstanceUID: j.Object.Names.SOPInstance,
		TransferSyntaxUID: j.Object.Names.TransferSyntax, Priority: dimsePriority(j.Object.Priority),
	}, data)
	s.last = time.Now()
	if err == nil {
		return judge(rsp, j), nil
	}
	if !errors.Is(err, dimse.ErrNoContext) {
		s.drop()
	}
	switch {
	case data.err != nil:
		return ownFault(data.err)
	case conn.sentAll():
		return outcome{verdict: transient, why: "no answer", words: "all of it was sent and no answer came: " + err.Error(), unanswered: true}, nil
	case ctx.Err() != nil:
		return outcome{}, ctx.Err()
	case errors.Is(err, dimse.ErrNoContext):
		return outcome{verdict: permanent, why: "presentation context refused", words: err.Error()}, nil
	}
	return outcome{verdict: transient, why: "association lost", words: err.Error()}, nil
}

// otherContents are added to the archive's words for a duplicate.
const otherContents = "; other contents were received under the same SOP Instance UID, and the archive may mean those: compare what it has"

// judge says what an answer means; see doc.go. With j.Unanswered the archive may
// have the object from an earlier time, with j.Conflict it may have other contents
// under the same UID, which is all that a duplicate speaks of (P5).
func judge(rsp dimse.Response, j ledger.Job) outcome {
	why := rsp.Status.String()
	words := why
	if rsp.Comment != "" {
		words += ": " + oneLine(rsp.Comment)
	}
	s := rsp.Status
	switch {
	case s.IsSuccess():
		return outcome{verdict: done}
	case s&0xF000 == 0xB000:
		return outcome{verdict: done, why: why, words: words}
	case s == dimse.StatusDuplicateInstance && j.Conflict:
		return outcome{verdict: permanent, why: why, words: words + otherContents, has: true}
	case s == dimse.StatusDuplicateInstance && j.Unanswered:
		return outcome{verdict: done, why: why, words: words, duplicate: true}
	case s == dimse.StatusDuplicateInstance:
		return outcome{verdict: permanent, why: why, words: words, has: true}
	case s&0xFF00 == 0xA900, s&0xF000 == 0xC000, s == dimse.StatusSOPClassNotSupported, s == dimse.StatusInvalidInstance:
		return outcome{verdict: permanent, why: why, words: words}
	}
	return outcome{verdict: transient, why: why, words: words}
}

// oneLine keeps an archive's comment printable and short.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return s[:min(len(s), 200)]
}

// dimsePriority is the priority of PS3.7 §9.1.1.1.4 for that of an object.
func dimsePriority(p uint8) dimse.Priority {
	switch p {
	case 0:
		return dimse.PriorityHigh
	case 1:
		return dimse.PriorityMedium
	}
	return dimse.PriorityLow
}

// stale reports whether the association was idle for so long that the archive
// may have closed it; the object in flight would pay for that.
func (s *cstoreSession) stale() bool { return s.client != nil && time.Since(s.last) > s.c.Idle }

func (s *cstoreSession) idle() {
	if s.stale() {
		s.release(context.Background())
	}
}

func (s *cstoreSession) close() { s.release(context.Background()) }

// release ends the association politely, within a few seconds.
func (s *cstoreSession) release(ctx context.Context) {
	if s.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := s.client.Release(ctx); err != nil {
		s.f.log.Debug("release", "destination", s.c.Name, "err", err)
	}
	s.client = nil
}

func (s *cstoreSession) drop() {
	s.client.Abort()
	s.client = nil
}
