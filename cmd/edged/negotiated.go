package main

import (
	"crypto/tls"
	"strings"

	"edged/agent/status"
	"edged/dimse"
)

// Bounds of a negotiation that is remembered (P9): with them one has at most
// 25 KB, that of a stranger 3 KB.
const (
	maxSyntaxes        = 256 // transfer syntaxes of all contexts together
	maxContextSyntaxes = 32  // of one
	maxStrangeContexts = 12
)

// negotiationOf is what the page shows of one.
func negotiationOf(p dimse.Peer, n dimse.Negotiation) (*status.Implementation, *status.Negotiation) {
	rq := n.Request
	out := &status.Negotiation{Called: visible(rq.Called, 16), Accepted: n.Answer != nil, MaxPDU: int64(rq.User.MaxPDU), TLS: tlsOf(p.TLS), Contexts: []status.Context{}}
	answers := make(map[byte]dimse.ContextAnswer)
	if n.Answer != nil {
		for _, a := range n.Answer.Contexts {
			answers[a.ID] = a
		}
	}
	room := maxSyntaxes
	for _, c := range rq.Contexts {
		mine := c.TransferSyntaxes[:min(len(c.TransferSyntaxes), room, maxContextSyntaxes)]
		room -= len(mine)
		answer, answered := answers[c.ID]
		out.Contexts = append(out.Contexts, contextOf(c, mine, answer, answered))
	}
	return implementationOf(rq.User), out
}

func implementationOf(u dimse.UserInfo) *status.Implementation {
	if u.ImplementationClassUID == "" && u.ImplementationVersion == "" {
		return nil
	}
	return &status.Implementation{ClassUID: uidText(u.ImplementationClassUID), Version: visible(u.ImplementationVersion, 16)}
}

func contextOf(c dimse.Proposal, syntaxes []string, answer dimse.ContextAnswer, answered bool) status.Context {
	out := status.Context{ID: int64(c.ID), AbstractSyntax: uidText(c.AbstractSyntax), Name: dimse.Name(c.AbstractSyntax), TransferSyntaxes: []string{}, Result: status.ContextUnanswered}
	for _, s := range syntaxes {
		out.TransferSyntaxes = append(out.TransferSyntaxes, uidText(s))
	}
	switch {
	case !answered:
	case answer.Result == dimse.ContextAccepted:
		out.Result, out.TransferSyntax, out.SyntaxName = status.ContextAccepted, uidText(answer.TransferSyntax), dimse.Name(answer.TransferSyntax)
	case answer.Result == dimse.ContextAbstractSyntaxUnsupported:
		out.Result = status.ContextAbstractSyntax
	case answer.Result == dimse.ContextTransferSyntaxUnsupported:
		out.Result = status.ContextTransferSyntax
	default:
		out.Result = status.ContextRefused
	}
	return out
}

// uidText keeps of a UID what may stand in one; what may not shows as '?'.
func uidText(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '?'
	}, clip(s, 64))
}

// visible keeps printable ASCII of at most n bytes.
func visible(s string, n int) string {
	return strings.Map(func(r rune) rune {
		if r >= ' ' && r <= '~' {
			return r
		}
		return '?'
	}, clip(s, n))
}

func tlsOf(s *tls.ConnectionState) string {
	if s == nil {
		return ""
	}
	return tls.VersionName(s.Version) + ", " + tls.CipherSuiteName(s.CipherSuite)
}
