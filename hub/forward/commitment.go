package forward

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"sync/atomic"
	"time"

	"edged/dimse"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// Commitments is the part of the queue that waits for storage commitment.
// hub/ledger implements it.
type Commitments interface {
	Stored(ctx context.Context, j ledger.Job, words string) error
	Due(ctx context.Context, destination string, limit int) (ledger.Due, error)
	Ask(ctx context.Context, destination, uid string, n int, again func(int) time.Duration) ([]ledger.Reference, error)
	NotAsked(ctx context.Context, uid string, after time.Duration, refused bool) error
	Reported(ctx context.Context, destinations []string, r ledger.Report, again func(int) time.Duration) (ledger.Settled, error)
}

const (
	// askAfter is how long what was stored waits to be asked for while the queue
	// does not pause.
	askAfter = 30 * time.Second
	// actionTime bounds the wait for the answer to a request, which an archive
	// gives before it looks for the instances.
	actionTime = 2 * time.Minute
)

// errNotOffered is what the administrator reads: nothing falls back to success.
var errNotOffered = errors.New("the archive does not offer storage commitment (it refuses the presentation context): " +
	"nothing that it has counts as archived, and appliances forget nothing")

// committer asks one archive to commit itself to what it answered with Success
// (PS3.4 §J.3.2), on an association of its own, so that nothing waits for it and
// it waits for nothing (P6). One goroutine runs it.
type committer struct {
	*Forwarder
	d    *CStore
	gate *gate

	believed commits
	size     int // references of the next transaction, fewer after one that failed
	// elsewhere is when a report came last on an association that the archive
	// opened, in Unix seconds; 0 when the last one came on ours.
	elsewhere atomic.Int64
}

func (f *Forwarder) committer(d *CStore) *committer {
	return &committer{Forwarder: f, d: d, gate: &gate{backoff: f.Connect}, size: d.c.References}
}

// run asks until ctx ends.
func (c *committer) run(ctx context.Context) {
	for ctx.Err() == nil {
		if !wait(ctx, c.gate.pause(), nil) {
			return
		}
		if !c.due(ctx) {
			wait(ctx, c.Poll, nil)
			continue
		}
		if err := c.round(ctx); err != nil && ctx.Err() == nil {
			c.failed(err)
		}
	}
}

// due reports whether to ask now: when a transaction is full, when the queue
// pauses, or when it has not paused for a while.
func (c *committer) due(ctx context.Context) bool {
	d, err := c.Jobs.Due(ctx, c.d.c.Name, c.d.c.References)
	if err != nil && ctx.Err() == nil {
		c.log.Error("what is to be committed cannot be read", "destination", c.d.c.Name, "err", err)
	}
	return d.Objects > 0 && (d.Paused || d.Objects == c.d.c.References || d.Waited >= askAfter)
}

func (c *committer) failed(err error) {
	level := slog.LevelWarn
	if errors.Is(err, errNotOffered) {
		level = slog.LevelError
	}
	after := c.gate.failed(err)
	c.log.Log(context.Background(), level, "storage commitment was not asked for", "destination", c.d.c.Name, "err", err, "again_in", after.Round(time.Millisecond))
}

// round asks for everything that is due on one association.
func (c *committer) round(ctx context.Context) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer c.release(client)
	for ctx.Err() == nil && c.due(ctx) {
		asked, err := c.ask(ctx, client)
		if err != nil || !asked {
			return err
		}
		if !c.await(ctx, client) {
			return nil
		}
	}
	return nil
}

// dial proposes storage commitment alone. Both encodings: some archives write
// reports in Implicit VR only.
func (c *committer) dial(ctx context.Context) (*dimse.Client, error) {
	client, err := dimse.Dial(ctx, dimse.ClientConfig{
		Address: c.d.c.Address, TLS: c.d.c.secure(), Called: c.d.c.Called, Calling: c.d.c.Calling, Associate: c.d.c.Associate, Response: c.d.c.Response,
		Contexts:               []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ExplicitVRLE, dimse.ImplicitVRLE}}},
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
		CommitmentSCU: c,
	})
	if err != nil {
		return nil, fmt.Errorf("archive %s at %s: %w", c.d.c.Called, c.d.c.Address, err)
	}
	if !client.Accepts(dimse.Need{SOPClassUID: dimse.StorageCommitmentPush}) {
		c.release(client)
		return nil, fmt.Errorf("archive %s at %s: %w", c.d.c.Called, c.d.c.Address, errNotOffered)
	}
	return client, nil
}

func (c *committer) release(client *dimse.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := client.Release(ctx); err != nil {
		c.log.Debug("release", "destination", c.d.c.Name, "err", err)
	}
}

// ask makes one transaction. It is durable before the request goes out: the
// report may overtake the answer, or come after a restart.
func (c *committer) ask(ctx context.Context, client *dimse.Client) (bool, error) {
	uid := newTransactionUID()
	references, err := c.Jobs.Ask(ctx, c.d.c.Name, uid, c.size, c.Commit.after)
	if err != nil || len(references) == 0 {
		return false, err
	}
	rq := dimse.CommitmentRequest{TransactionUID: uid}
	for _, r := range references {
		rq.References = append(rq.References, dimse.Reference{SOPClassUID: r.SOPClass, SOPInstanceUID: r.SOPInstance})
	}
	limited, cancel := context.WithTimeout(ctx, actionTime)
	defer cancel()
	rsp, err := client.RequestCommitment(limited, rq)
	refused := err == nil && rsp.Status.IsFailure()
	if refused {
		err = fmt.Errorf("the archive answers a request for storage commitment with %s", rsp.Status)
	}
	if err != nil {
		return false, errors.Join(err, c.notAsked(ctx, uid, refused))
	}
	c.size = min(2*c.size, c.d.c.References)
	c.gate.succeeded()
	c.log.Info("storage commitment asked for", "destination", c.d.c.Name, "objects", len(references))
	return true, nil
}

// notAsked makes the next transaction smaller, and the one that failed last in
// the queue: one reference that the archive cannot stand delays only itself.
func (c *committer) notAsked(ctx context.Context, uid string, refused bool) error {
	c.size = max(1, c.size/2)
	return c.Jobs.NotAsked(context.WithoutCancel(ctx), uid, c.Object.after(0), refused)
}

// await takes the report on this association, if the archive is of that kind, and
// reports whether the association is still good for more.
func (c *committer) await(ctx context.Context, client *dimse.Client) bool {
	patience := c.d.c.Await
	if c.Listening && time.Since(time.Unix(c.elsewhere.Load(), 0)) < time.Hour {
		return true
	}
	if !c.Listening {
		patience *= 12 // this association is the only way
	}
	limited, cancel := context.WithTimeout(ctx, min(patience, c.Commit.Min))
	defer cancel()
	err := client.AwaitCommitment(limited, c)
	return err == nil || errors.Is(err, context.DeadlineExceeded)
}

// CommitmentReported implements dimse.CommitmentSCU for our own associations.
func (c *committer) CommitmentReported(ctx context.Context, _ *dimse.Association, r dimse.CommitmentResult) dimse.Answer {
	c.elsewhere.Store(0)
	return c.reported(ctx, []string{c.d.c.Name}, r)
}

// CommitmentReported implements dimse.CommitmentSCU for associations that an
// archive opened (PS3.4 §J.3.3.1.2): its calling AE title and its address say which
// one it is, the transaction whether it was asked, with a UID that nobody can guess.
func (f *Forwarder) CommitmentReported(ctx context.Context, a *dimse.Association, r dimse.CommitmentResult) dimse.Answer {
	var names []string
	for _, c := range f.committers {
		if c.mayReport(a.Peer()) {
			names = append(names, c.d.c.Name)
		}
	}
	answer := f.reported(ctx, names, r)
	for _, name := range names {
		if answer.Status.IsSuccess() {
			f.committers[name].elsewhere.Store(time.Now().Unix())
		}
	}
	return answer
}

// mayReport says whether this may be the archive on an association of its own:
// others may have the same title at other addresses.
func (c *committer) mayReport(p dimse.Peer) bool {
	return c.d.c.Called == p.Calling && MayComeFrom(c.d.c.Address, p.Addr)
}

// MayComeFrom says whether a peer at from may be the archive that is configured with
// address: the same IP, or any when that has a name, which may stand for several
// machines.
func MayComeFrom(address string, from net.Addr) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if err != nil || ip == nil {
		return true
	}
	tcp, ok := from.(*net.TCPAddr)
	return ok && tcp.IP.Equal(ip)
}

// reported answers Success when the result is durable. What has failed here is
// answered with 0110: archives report again then. A transaction that is not ours,
// or is long over, has an argument that is not valid (PS3.7 §10.1.1.1.8).
func (f *Forwarder) reported(ctx context.Context, names []string, r dimse.CommitmentResult) dimse.Answer {
	report := ledger.Report{Transaction: r.TransactionUID, GiveUp: func(destination string, committed int) int {
		return f.committers[destination].believed.giveUp(committed)
	}}
	for _, x := range r.Committed {
		report.Committed = append(report.Committed, referenceOf(x))
	}
	for _, x := range r.Failed {
		report.Failed = append(report.Failed, ledger.Failure{Reference: referenceOf(x.Reference), Reason: x.Reason})
	}
	s, err := f.Jobs.Reported(context.WithoutCancel(ctx), names, report, f.Commit.after)
	switch {
	case errors.Is(err, ledger.ErrUnknownTransaction):
		f.log.Warn("an archive reports on a storage commitment that was not asked of it", "destinations", names)
		return dimse.Answer{Status: dimse.StatusInvalidArgument, Comment: "unknown transaction"}
	case err != nil:
		f.log.Error("a report of storage commitment was not recorded", "destinations", names, "err", err)
		return dimse.Answer{Status: dimse.StatusProcessingFailure}
	}
	f.committers[s.Destination].believed.weigh(s)
	f.logSettled(names, s)
	return dimse.Answer{Status: dimse.StatusSuccess}
}

func (f *Forwarder) logSettled(names []string, s ledger.Settled) {
	level := slog.LevelInfo
	if s.Again+s.Later+s.Refused+s.Doubted+s.Unconfirmed > 0 {
		level = slog.LevelWarn
	}
	f.log.Log(context.Background(), level, "storage commitment reported", "destinations", names, "committed", s.Committed,
		"sent_again", s.Again, "asked_again", s.Later, "refused", s.Refused, "not_believed", s.Doubted, "unconfirmed", s.Unconfirmed, "not_waited_for", s.Strange)
}

func referenceOf(r dimse.Reference) ledger.Reference {
	return ledger.Reference{SOPClass: r.SOPClassUID, SOPInstance: r.SOPInstanceUID}
}

// newTransactionUID is a random one below 2.25 (PS3.5 §B.2). Who does not know it
// cannot report on it.
func newTransactionUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562 §5.4
	return "2.25." + new(big.Int).SetBytes(b[:]).String()
}
