package ledger

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

func (b *batch) wake() {
	for device := range b.awake {
		b.broadcast(device)
	}
	if b.jobsGrew {
		b.broadcast(jobsKey)
	}
}

// jobsKey is no device's name.
const jobsKey = ""

// Changed returns a channel that is closed when the device's outbox may have
// grown after this call.
func (l *Ledger) Changed(device string) <-chan struct{} {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	c, ok := l.wakes[device]
	if !ok {
		c = make(chan struct{})
		l.wakes[device] = c
	}
	return c
}

// JobsChanged is the same for the queue of jobs. What another process changes is seen
// here over PostgreSQL while Listen runs, and may be missed: look again after some seconds.
func (l *Ledger) JobsChanged() <-chan struct{} { return l.Changed(jobsKey) }

func (l *Ledger) broadcast(key string) {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	if c, ok := l.wakes[key]; ok {
		close(c)
		delete(l.wakes, key)
	}
}

// broadcastAll wakes everybody: something may have been missed.
func (l *Ledger) broadcastAll() {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	for key, c := range l.wakes {
		close(c)
		delete(l.wakes, key)
	}
}

// channel is where nodes tell each other what has grown, one payload a transaction:
//
//	WRITER LF KEY LF KEY ...     KEY is a device, or empty for the queue of jobs
//	WRITER LF *                  more than fit: look at everything
const (
	channel    = "hubd"
	maxPayload = 7900 // of 8000 (PostgreSQL's NOTIFY)
	everything = "*"
)

// news are the payloads for the other nodes, none or one.
func (b *batch) news() []string {
	var keys []string
	for device := range b.awake {
		keys = append(keys, device)
	}
	if b.jobsGrew {
		keys = append(keys, jobsKey)
	}
	if len(keys) == 0 {
		return nil
	}
	return []string{payload(b.engine.(*postgres).writer, keys)}
}

func payload(writer string, keys []string) string {
	size := len(writer)
	for _, k := range keys {
		if size += 1 + len(k); size > maxPayload || strings.Contains(k, "\n") {
			return writer + "\n" + everything
		}
	}
	return encode(writer + "\n" + strings.Join(keys, "\n"))
}

// Listen hears what other nodes have written until ctx ends, so that Changed and
// JobsChanged wake for that too. With SQLite there are no other nodes, and it waits.
func (l *Ledger) Listen(ctx context.Context) error {
	e, ok := l.engine.(*postgres)
	for ok && ctx.Err() == nil {
		if err := e.listen(ctx); ctx.Err() == nil {
			l.log.Debug("the database's notifications are not heard", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
	<-ctx.Done()
	return nil
}

// listen is one connection's life.
func (e *postgres) listen(ctx context.Context) error {
	c, err := pgx.ConnectConfig(ctx, e.config.Copy())
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), connectTimeout)
		defer cancel()
		_ = c.Close(end) // nothing was written
	}()
	if _, err := c.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	e.l.broadcastAll() // what was said before now was not heard
	for {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		e.heard(n.Payload)
	}
}

func (e *postgres) heard(words string) {
	writer, keys, _ := strings.Cut(decode(words), "\n")
	if writer == e.writer {
		return
	}
	if keys == everything {
		e.l.broadcastAll()
		return
	}
	for key := range strings.SplitSeq(keys, "\n") {
		e.l.broadcast(key)
	}
}
