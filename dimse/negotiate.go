package dimse

import (
	"crypto/tls"
	"net"
	"slices"
)

// Peer is who wants an association, as far as it says and the network shows.
type Peer struct {
	Calling, Called string
	Addr            net.Addr
	TLS             *tls.ConnectionState // nil without TLS
	Identity        *UserIdentity        // nil when none was offered, and after Admit
}

// Policy is what an acceptor is willing to do.
type Policy struct {
	// Titles are the called AE titles that are ours, compared without padding
	// and with case. If empty, every title is.
	Titles []string
	// Admit decides about a peer whose request is otherwise in order; nil
	// accepts it. If Admit is nil, everybody is admitted. It is also the place
	// for transient refusals. Called on the association's goroutine.
	Admit func(Peer) *Reject
	// Accepts decides about an abstract syntax for a peer. If nil, Verification
	// and everything that IsStorage.
	Accepts func(p Peer, abstractSyntax string) bool
	// TakesReports: a requestor may be the SCP of Storage Commitment, that is,
	// open an association to send us N-EVENT-REPORT (PS3.4 §J.3.3.1.2).
	TakesReports bool
	// MaxPDU is what we can receive. If zero, 128 KiB.
	MaxPDU uint32
	// ImplementationClassUID and ImplementationVersion are ours (PS3.7 §D.3.3.2).
	ImplementationClassUID string
	ImplementationVersion  string
}

const defaultMaxPDU = 128 << 10

// Negotiate answers an association request: exactly one of the results is not
// nil. It is pure, but for what Policy.Admit does.
//
// A request with no context that we can accept is accepted all the same, with
// every context answered (PS3.8 §9.3.3.2): the requestor learns what was wrong with
// each. The standard allows a rejection as well (PS3.8 §9.3.4), which says less.
func Negotiate(rq *AssociateRQ, peer Peer, p Policy) (*AssociateAC, *Reject) {
	if r := refuse(rq, peer, p); r != nil {
		return nil, r
	}
	ac := &AssociateAC{
		ProtocolVersion:    protocolVersion,
		Called:             rq.Called, // both as received (PS3.8 §9.3.3)
		Calling:            rq.Calling,
		ApplicationContext: ApplicationContext,
	}
	for _, proposal := range rq.Contexts {
		if !slices.ContainsFunc(ac.Contexts, func(c ContextAnswer) bool { return c.ID == proposal.ID }) {
			ac.Contexts = append(ac.Contexts, answerContext(proposal, peer, p))
		}
	}
	ac.User = answerUser(rq, p)
	ac.User.Roles = answerRoles(rq.User.Roles, agreed(rq.Contexts, ac.Contexts), p)
	return ac, nil
}

func refuse(rq *AssociateRQ, peer Peer, p Policy) *Reject {
	switch {
	case rq.ProtocolVersion&protocolVersion == 0: // a bit mask (PS3.8 §9.3.2)
		return RejectProtocolVersion.pointer()
	case rq.ApplicationContext != ApplicationContext:
		return RejectApplicationName.pointer()
	case len(p.Titles) > 0 && !slices.Contains(p.Titles, rq.Called):
		return RejectCalled.pointer()
	case p.Admit != nil:
		return p.Admit(peer)
	}
	return nil
}

func answerContext(proposal Proposal, peer Peer, p Policy) ContextAnswer {
	accepts := p.Accepts
	if accepts == nil {
		accepts = acceptsByDefault
	}
	c := ContextAnswer{ID: proposal.ID, TransferSyntax: ImplicitVRLE}
	switch {
	case proposal.ID%2 == 0: // PS3.8 §9.3.2.2: odd
		c.Result = ContextNoReason
	case !accepts(peer, proposal.AbstractSyntax):
		c.Result = ContextAbstractSyntaxUnsupported
	case len(proposal.TransferSyntaxes) == 0:
		c.Result = ContextTransferSyntaxUnsupported
	default:
		c.TransferSyntax = chooseSyntax(proposal.TransferSyntaxes)
	}
	return c
}

func acceptsByDefault(_ Peer, abstractSyntax string) bool {
	return abstractSyntax == Verification || IsStorage(abstractSyntax)
}

// chooseSyntax takes the first transfer syntax proposed, whatever it is: the
// order is the sender's habit, and its first choice is what costs it least. If
// that one is uncompressed, Explicit VR Little Endian is taken wherever it
// stands in the list, because it keeps the VR of private elements. The answer
// depends on the proposal alone, so it is the same on every association.
func chooseSyntax(proposed []string) string {
	if uncompressed(proposed[0]) && slices.Contains(proposed, ExplicitVRLE) {
		return ExplicitVRLE
	}
	return proposed[0]
}

// answerUser answers what was asked, and nothing else: an item that was not in
// the request must not be in the answer (PS3.7 §D.3.3).
func answerUser(rq *AssociateRQ, p Policy) UserInfo {
	u := UserInfo{
		MaxPDU:                 p.maxPDU(), // what we receive; what we send is bounded by theirs (PS3.8 §D.1)
		ImplementationClassUID: p.ImplementationClassUID,
		ImplementationVersion:  p.ImplementationVersion,
	}
	if rq.User.Async != nil {
		u.Async = &AsyncWindow{1, 1} // one at a time (PS3.7 §D.3.3.3)
	}
	for _, x := range rq.User.Extended { // PS3.7 §D.3.3.5
		if proposes(rq, x.SOPClassUID) && IsStorage(x.SOPClassUID) {
			u.Extended = append(u.Extended, Extended{x.SOPClassUID, storageSupport()})
		}
	}
	if id := rq.User.Identity; id != nil && id.ResponseRequested {
		u.IdentityResponse = []byte{} // tolerated; it grants nothing (PS3.7 §D.3.3.7.2)
	}
	return u
}

// answerRoles answers each role selection whose class has a context, once. We
// may say no to what was proposed, never yes to what was not; a class without an
// item has the default roles (PS3.7 §D.3.3.4).
func answerRoles(proposed []Role, contexts []Context, p Policy) (roles []Role) {
	for _, r := range proposed {
		accepted := slices.ContainsFunc(contexts, func(c Context) bool { return c.AbstractSyntax == r.SOPClassUID })
		twice := slices.ContainsFunc(roles, func(x Role) bool { return x.SOPClassUID == r.SOPClassUID })
		if accepted && !twice {
			r.SCP = r.SCP && requestorServes(r.SOPClassUID, contexts, p)
			roles = append(roles, r)
		}
	}
	return roles
}

// requestorServes: who opened the association is SCU, but for the instances that
// a C-GET brings it, and for the reports that answer our own requests.
func requestorServes(class string, contexts []Context, p Policy) bool {
	switch {
	case class == StorageCommitmentPush:
		return p.TakesReports // PS3.4 §J.3.3.1.2
	case IsStorage(class):
		return slices.ContainsFunc(contexts, func(c Context) bool { return isGet(c.AbstractSyntax) }) // PS3.4 §C.5.3.1
	}
	return false
}

func isGet(class string) bool { return class == PatientRootGet || class == StudyRootGet }

// Negotiation is what was proposed and what was answered; Answer is nil when the
// answer was a rejection. It holds no secrets and is bounded: of an identity
// only its type, of a proposal at most 64 transfer syntaxes, of an extended
// negotiation at most 64 bytes.
type Negotiation struct {
	Request AssociateRQ
	Answer  *AssociateAC
}

const keptSyntaxes, keptInfo = 64, 64

// kept makes the bounded copy that is kept as long as the association is.
func (n Negotiation) kept() Negotiation {
	rq := n.Request
	rq.Contexts = slices.Clone(rq.Contexts)
	for i, c := range rq.Contexts {
		rq.Contexts[i].TransferSyntaxes = slices.Clone(c.TransferSyntaxes[:min(len(c.TransferSyntaxes), keptSyntaxes)])
	}
	rq.User.Extended = slices.Clone(rq.User.Extended)
	for i, x := range rq.User.Extended {
		rq.User.Extended[i].Info = slices.Clone(x.Info[:min(len(x.Info), keptInfo)])
	}
	if id := rq.User.Identity; id != nil {
		rq.User.Identity = &UserIdentity{Type: id.Type, ResponseRequested: id.ResponseRequested}
	}
	return Negotiation{rq, n.Answer}
}

// storageSupport is the application information of the Storage service: level
// 2, all attributes kept, private ones too; digital signature level 3, kept bit
// by bit; no coercion (PS3.4 §B.3.1).
func storageSupport() []byte { return []byte{2, 0, 3, 0, 0, 0} }

func proposes(rq *AssociateRQ, sopClass string) bool {
	return slices.ContainsFunc(rq.Contexts, func(p Proposal) bool { return p.AbstractSyntax == sopClass })
}

func (p *Policy) maxPDU() uint32 {
	if p.MaxPDU == 0 {
		return defaultMaxPDU
	}
	return p.MaxPDU
}

// Context is a presentation context that was accepted.
type Context struct {
	ID             byte
	AbstractSyntax string
	TransferSyntax string
}

// agreed joins proposals with answers. An answer that was not proposed, or that
// chose a transfer syntax that was not, is worth nothing: it is left out.
func agreed(proposals []Proposal, answers []ContextAnswer) []Context {
	var contexts []Context
	for _, answer := range answers {
		i := slices.IndexFunc(proposals, func(p Proposal) bool { return p.ID == answer.ID })
		if i < 0 || answer.Result != ContextAccepted || !slices.Contains(proposals[i].TransferSyntaxes, answer.TransferSyntax) {
			continue
		}
		contexts = append(contexts, Context{answer.ID, proposals[i].AbstractSyntax, answer.TransferSyntax})
	}
	return contexts
}
