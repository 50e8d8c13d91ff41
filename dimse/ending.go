package dimse

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// ending says how an association ended and after how long, for people: some
// devices limit the time of a whole transfer and abort when it is over, which
// shows here and nowhere else.
func ending(err error, after time.Duration) string {
	var abort *AbortError
	how := "failed"
	switch {
	case err == nil, errors.Is(err, ErrReleased):
		how = "peer released"
	case errors.As(err, &abort) && abort.ByPeer:
		how = "peer aborted"
	case errors.Is(err, ErrAborted):
		how = "we aborted"
	case errors.Is(err, ErrServerClosed):
		how = "we closed"
	case errors.Is(err, ErrTimeout):
		how = "peer stood still, we aborted"
	case errors.Is(err, ErrLost):
		how = "connection lost"
	}
	return fmt.Sprintf("%s after %.1f s", how, after.Seconds())
}

// LogValue makes a Negotiation fit for a log, whole: what was proposed in each
// presentation context, and what was answered. It names UIDs, so it belongs at
// level debug.
func (n Negotiation) LogValue() slog.Value {
	u := n.Request.User
	attrs := []slog.Attr{
		slog.Uint64("max_pdu", uint64(u.MaxPDU)), slog.String("implementation", u.ImplementationClassUID), slog.String("version", u.ImplementationVersion),
	}
	for _, p := range n.Request.Contexts {
		attrs = append(attrs, slog.String(fmt.Sprintf("context_%d", p.ID), p.AbstractSyntax+" in "+strings.Join(p.TransferSyntaxes, " or ")+": "+n.answer(p.ID)))
	}
	return slog.GroupValue(attrs...)
}

func (n Negotiation) answer(id byte) string {
	if n.Answer == nil {
		return "association rejected"
	}
	for _, c := range n.Answer.Contexts {
		if c.ID == id {
			return c.words()
		}
	}
	return "not answered"
}

// words: PS3.8 Table 9-18.
func (c ContextAnswer) words() string {
	switch c.Result {
	case ContextAccepted:
		return "accepted in " + c.TransferSyntax
	case ContextUserRejection:
		return "rejected by the user"
	case ContextAbstractSyntaxUnsupported:
		return "abstract syntax not supported"
	case ContextTransferSyntaxUnsupported:
		return "transfer syntaxes not supported"
	}
	return "rejected, no reason given"
}
