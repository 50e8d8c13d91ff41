package steps

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
)

// Store keeps steps. What it has done when it returns without error is durable.
// Called by one goroutine at a time.
type Store interface {
	// Put keeps a step under its UID, in place of an older one. packed is what
	// Step.Append wrote. ErrFull means that there is no room now.
	Put(ctx context.Context, uid string, packed []byte) error
	// Drop forgets one; to forget one that is not there is no error.
	Drop(ctx context.Context, uid string) error
	// All gives every step that was put and not dropped.
	All(ctx context.Context) ([][]byte, error)
}

// ErrFull is what a Store has no room for.
var ErrFull = errors.New("no room for another procedure step")

// Config is what an Engine needs to know.
type Config struct {
	// Store keeps the steps. Required.
	Store Store
	// Changed hears of each step as it is now: when it has begun, was changed or has
	// ended, before the modality hears success, and at each start. It does not call
	// the Engine, and is called by one goroutine at a time, as the Store is, which
	// Drop tells when a step is no more. If nil, nobody hears.
	Changed func(Summary)
	// Log gets a line a step, without UIDs. If nil, nothing is logged.
	Log *slog.Logger
	// MaxSteps and MaxBytes bound what is kept. If zero, 2000 and 64 MiB.
	MaxSteps, MaxBytes int
	// MaxAge is for how long a step is kept. If zero, 14 days.
	MaxAge time.Duration
}

// Engine is a dimse.StepSCP.
type Engine struct {
	cfg Config

	mu    sync.Mutex // guards what follows, and the order of changes in the Store
	ready bool
	steps map[string]*kept
	bytes int
}

// kept is a step in memory.
type kept struct {
	packed []byte
	ended  bool
	since  time.Time     // when this process learnt of it
	age    time.Duration // before that, as the Store has it
}

var _ dimse.StepSCP = (*Engine)(nil)

// New makes an engine. It starts nothing, ever: it works when it is called.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil {
		return nil, errors.New("steps: Store is required")
	}
	if cfg.Changed == nil {
		cfg.Changed = func(Summary) {}
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.MaxSteps, cfg.MaxBytes = cmp.Or(cfg.MaxSteps, 2000), cmp.Or(cfg.MaxBytes, 64<<20)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, 14*24*time.Hour)
	return &Engine{cfg: cfg, steps: map[string]*kept{}}, nil
}

// Load reads the Store. Before it nothing is taken. What is in it and cannot be
// read stays there, and keeps nobody from reading the rest.
func (e *Engine) Load(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	all, err := e.cfg.Store.All(ctx)
	if err != nil {
		return fmt.Errorf("read procedure steps: %w", err)
	}
	for _, packed := range all {
		s, err := Parse(packed)
		if err != nil {
			e.unreadable(&s, packed, err)
			continue
		}
		e.keep(&s, packed)
		e.cfg.Changed(s.Summary())
	}
	e.ready = true
	return nil
}

// unreadable takes note of a step of the Store that Parse does not understand. If
// its name can be told, the step is there: it is not made anew over the old bytes,
// cannot be changed, and goes when it is too old. Otherwise its bytes stay in the
// Store for somebody to look at.
func (e *Engine) unreadable(s *Step, packed []byte, err error) {
	e.cfg.Log.Error("a procedure step in the store cannot be read, it is left as it is", "bytes", len(packed), "err", err)
	if s.UID != "" {
		e.keep(s, packed)
	}
}

// CreateStep takes an N-CREATE (PS3.4 §F.7.2.1).
func (e *Engine) CreateStep(ctx context.Context, a *dimse.Association, uid string, attributes dimse.DataSet) dimse.Answer {
	if uid == "" {
		uid = newUID() // PS3.7 §10.1.5: then the SCP chooses
	}
	answer := e.create(ctx, a.Peer().Calling, uid, attributes)
	if answer.Status == dimse.StatusSuccess {
		answer.InstanceUID = uid
	}
	e.log("procedure step begun", a, answer)
	return answer
}

func (e *Engine) create(ctx context.Context, calling, uid string, attributes dimse.DataSet) dimse.Answer {
	set, err := dataset.Parse(attributes.Bytes, attributes.TransferSyntaxUID)
	if err != nil {
		return *failure(dimse.StatusProcessingFailure, "the attribute list cannot be read")
	}
	if wrong := begin(set); wrong != nil {
		return *wrong
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.steps[uid] != nil {
		return dimse.Answer{Status: dimse.StatusDuplicateInstance}
	}
	return e.put(ctx, &Step{UID: uid, Calling: calling, Attributes: set})
}

// SetStep takes an N-SET (PS3.4 §F.7.2.2).
func (e *Engine) SetStep(ctx context.Context, a *dimse.Association, uid string, modifications dimse.DataSet) dimse.Answer {
	answer := e.set(ctx, uid, modifications)
	e.log("procedure step changed", a, answer)
	return answer
}

func (e *Engine) set(ctx context.Context, uid string, modifications dimse.DataSet) dimse.Answer {
	set, err := dataset.Parse(modifications.Bytes, modifications.TransferSyntaxUID)
	if err != nil {
		return *failure(dimse.StatusProcessingFailure, "the modification list cannot be read")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.steps[uid]
	if old == nil {
		return dimse.Answer{Status: dimse.StatusNoSuchInstance}
	}
	s, err := Parse(old.packed)
	if err != nil { // Load has let it in
		e.cfg.Log.Error("procedure step cannot be changed, what is kept of it cannot be read", "err", err)
		return *failure(dimse.StatusProcessingFailure, "the step that was kept cannot be read")
	}
	after, wrong := change(s.Attributes, set)
	if wrong != nil {
		return *wrong
	}
	s.Attributes, s.Age = after, old.age+time.Since(old.since)
	return e.put(ctx, &s)
}

// put makes a step durable, then remembers it. Called with mu.
func (e *Engine) put(ctx context.Context, s *Step) dimse.Answer {
	if elements(s.Attributes) > maxElements {
		return *failure(dimse.StatusProcessingFailure, "the step has too many attributes")
	}
	packed, err := s.Append(nil)
	if err != nil {
		return *failure(dimse.StatusProcessingFailure, "the attribute list cannot be kept")
	}
	if !e.ready || !e.makeRoom(ctx, s.UID, len(packed)) {
		return dimse.Answer{Status: dimse.StatusResourceLimitation}
	}
	switch err := e.cfg.Store.Put(ctx, s.UID, packed); {
	case errors.Is(err, ErrFull):
		return dimse.Answer{Status: dimse.StatusResourceLimitation}
	case err != nil:
		e.cfg.Log.Error("procedure step not kept", "calling", s.Calling, "err", err)
		return dimse.Answer{Status: dimse.StatusProcessingFailure}
	}
	e.keep(s, packed)
	e.cfg.Changed(s.Summary())
	return dimse.Answer{Status: dimse.StatusSuccess}
}

func (e *Engine) keep(s *Step, packed []byte) {
	if old := e.steps[s.UID]; old != nil {
		e.bytes -= len(old.packed)
	}
	e.steps[s.UID] = &kept{packed, ended(s.Status()), time.Now(), s.Age}
	e.bytes += len(packed)
}

// makeRoom forgets what is too old, and then, as far as needed, steps that have
// ended, the oldest first.
func (e *Engine) makeRoom(ctx context.Context, uid string, size int) bool {
	now, more := time.Now(), 1
	if e.steps[uid] != nil {
		more = 0
	}
	room := func() bool { return len(e.steps)+more <= e.cfg.MaxSteps && e.bytes+size <= e.cfg.MaxBytes }
	for _, old := range e.oldest(now) {
		k := e.steps[old]
		tooOld := k.age+now.Sub(k.since) >= e.cfg.MaxAge
		if old == uid || !tooOld && (room() || !k.ended) {
			e.saveAge(ctx, k, now)
			continue
		}
		if err := e.cfg.Store.Drop(ctx, old); err != nil {
			e.cfg.Log.Error("procedure step not forgotten", "err", err)
			continue
		}
		delete(e.steps, old)
		e.bytes -= len(k.packed)
	}
	return room()
}

// saveEach is how often the age of a step is made durable: a restart takes back
// at most so much of it.
const saveEach = 24 * time.Hour

func (e *Engine) saveAge(ctx context.Context, k *kept, now time.Time) {
	if now.Sub(k.since) < saveEach {
		return
	}
	var packed []byte
	s, err := Parse(k.packed)
	if err == nil {
		s.Age = k.age + now.Sub(k.since)
		packed, err = s.Append(nil)
	}
	if err == nil {
		err = e.cfg.Store.Put(ctx, s.UID, packed)
	}
	if err != nil {
		e.cfg.Log.Warn("age of a procedure step not kept, it stays longer", "err", err)
		return
	}
	e.keep(&s, packed)
}

func (e *Engine) oldest(now time.Time) []string {
	uids := make([]string, 0, len(e.steps))
	for uid := range e.steps {
		uids = append(uids, uid)
	}
	age := func(uid string) time.Duration { return e.steps[uid].age + now.Sub(e.steps[uid].since) }
	slices.SortFunc(uids, func(x, y string) int { return cmp.Or(cmp.Compare(age(y), age(x)), cmp.Compare(x, y)) })
	return uids
}

func (e *Engine) log(what string, a *dimse.Association, answer dimse.Answer) {
	e.cfg.Log.Info(what, "association", a.ID(), "calling", a.Peer().Calling, "status", answer.Status)
}

// newUID makes a UID from 122 random bits (PS3.5 §B.2).
func newUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80 // RFC 9562, version 4
	return "2.25." + new(big.Int).SetBytes(b[:]).String()
}
