package syslog5424

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	handshakeTime = 30 * time.Second // to reach the receiver and agree on keys
	writeTime     = time.Minute      // without progress
	endTime       = 10 * time.Second // for the receiver to end its side
	drainTime     = 5 * time.Second  // for its TCP to acknowledge
	drainPoll     = 20 * time.Millisecond
	piece         = 16 << 10
	chatter       = 4 << 10 // what a receiver may say; it should say nothing
)

var past = time.Unix(1, 0)

// send brings b to the receiver on a connection of its own. If it returns nil, b arrived
// as far as anybody can know; see doc.go, "What arrived".
func (s *Sender) send(ctx context.Context, b []byte) error {
	raw, conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("reach the syslog receiver %s: %w", s.config.Address, err)
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(past) })
	defer stop()
	for len(b) > 0 && err == nil {
		n := min(len(b), piece)
		if err = deadline(ctx, raw.SetWriteDeadline, writeTime); err == nil {
			_, err = conn.Write(b[:n])
		}
		b = b[n:]
	}
	if err == nil {
		err = end(ctx, raw, conn)
	}
	if err != nil {
		return fmt.Errorf("send to the syslog receiver %s: %w", s.config.Address, err)
	}
	return nil
}

// deadline never moves one that the end of ctx has set.
func deadline(ctx context.Context, set func(time.Time) error, d time.Duration) error {
	err := set(time.Now().Add(d))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *Sender) connect(ctx context.Context) (raw net.Conn, conn *tls.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if raw, err = s.config.Dial(ctx, "tcp", s.config.Address); err != nil {
		return nil, nil, err
	}
	conn = tls.Client(raw, s.config.TLS)
	if err = conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, nil, err
	}
	return raw, conn, nil
}

var (
	errTalks   = errors.New("it speaks where it should listen: no syslog receiver")
	errNotRead = errors.New("it did not take all of it before it ended")
)

// end says that we are done (RFC 5425 §4.4) and hears whether the receiver is, too.
func end(ctx context.Context, raw net.Conn, conn *tls.Conn) error {
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if err := deadline(ctx, raw.SetReadDeadline, endTime); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(conn, chatter))
	var slow net.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case n == chatter:
		return errTalks
	case err != nil && !(errors.As(err, &slow) && slow.Timeout()):
		return err // an alert, a reset
	}
	return drained(ctx, raw)
}

// drained waits until the peer's TCP has acknowledged every byte. A peer that ended before
// our last bytes came answers them with a reset: they stay unacknowledged.
func drained(ctx context.Context, raw net.Conn) error {
	for until := time.Now().Add(drainTime); ; pause(ctx, drainPoll) {
		n, err := unacknowledged(raw)
		switch {
		case err != nil:
			return err
		case n == 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(until):
			return errNotRead
		}
	}
}
