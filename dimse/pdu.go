package dimse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The seven PDU types (PS3.8 §9.3.1).
const (
	typeRQ        = 0x01
	typeAC        = 0x02
	typeRJ        = 0x03
	typeData      = 0x04
	typeReleaseRQ = 0x05
	typeReleaseRP = 0x06
	typeAbort     = 0x07
)

// Item types inside A-ASSOCIATE (PS3.8 §9.3.2, §9.3.3).
const (
	itemApplicationContext = 0x10
	itemContextRQ          = 0x20
	itemContextAC          = 0x21
	itemAbstractSyntax     = 0x30
	itemTransferSyntax     = 0x40
	itemUser               = 0x50
)

const (
	headerSize      = 6   // type, reserved, length
	fixedSize       = 68  // what stands before the items of A-ASSOCIATE-RQ and -AC
	maxContexts     = 128 // identifiers are the odd numbers of one byte (PS3.8 §9.3.2.2)
	maxSyntaxes     = 128 // transfer syntaxes kept of one proposal; the standard has about sixty
	protocolVersion = 1
)

// Proposal is a presentation context as the requestor proposes it.
type Proposal struct {
	ID               byte // odd; Dial numbers those that are 0
	AbstractSyntax   string
	TransferSyntaxes []string
}

// ContextAnswer is what the acceptor says to one Proposal.
type ContextAnswer struct {
	ID             byte
	Result         ContextResult
	TransferSyntax string // means something only with ContextAccepted
}

// ContextResult is the result of one presentation context (PS3.8 §9.3.3.2).
type ContextResult byte

// The results of PS3.8 Table 9-18.
const (
	ContextAccepted                  ContextResult = 0
	ContextUserRejection             ContextResult = 1
	ContextNoReason                  ContextResult = 2
	ContextAbstractSyntaxUnsupported ContextResult = 3
	ContextTransferSyntaxUnsupported ContextResult = 4
)

// AssociateRQ is an A-ASSOCIATE-RQ PDU (PS3.8 §9.3.2). Titles are without
// padding, UIDs are trimmed.
type AssociateRQ struct {
	ProtocolVersion    uint16
	Called, Calling    string
	ApplicationContext string
	Contexts           []Proposal
	User               UserInfo
}

// AssociateAC is an A-ASSOCIATE-AC PDU (PS3.8 §9.3.3).
type AssociateAC struct {
	ProtocolVersion    uint16
	Called, Calling    string
	ApplicationContext string
	Contexts           []ContextAnswer
	User               UserInfo
}

var errMalformed = errors.New("malformed PDU")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
}

// eachItem walks items of one byte type, one byte reserved, two bytes length.
// Reserved bytes are not tested (PS3.8 §9.3.1).
func eachItem(b []byte, visit func(kind byte, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return malformed("%d bytes left over behind the last item", len(b))
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return malformed("item %02XH declares %d bytes, %d are there", b[0], n, len(b)-4)
		}
		if err := visit(b[0], b[4:4+n]); err != nil {
			return err
		}
		b = b[4+n:]
	}
	return nil
}

// parseAssociateRQ reads what follows the six bytes of PDU header.
func parseAssociateRQ(b []byte) (*AssociateRQ, error) {
	if len(b) < fixedSize {
		return nil, malformed("A-ASSOCIATE-RQ of %d bytes", len(b))
	}
	rq := &AssociateRQ{ProtocolVersion: binary.BigEndian.Uint16(b), Called: trimAE(b[4:20]), Calling: trimAE(b[20:36])}
	err := eachItem(b[fixedSize:], func(kind byte, v []byte) (err error) {
		switch kind {
		case itemApplicationContext:
			rq.ApplicationContext = trimUID(v)
		case itemContextRQ:
			if len(rq.Contexts) == maxContexts {
				return malformed("more than %d presentation contexts", maxContexts)
			}
			var p Proposal
			p, err = parseProposal(v)
			rq.Contexts = append(rq.Contexts, p)
		case itemUser:
			rq.User, err = parseUserInfo(v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return rq, nil
}

func parseProposal(v []byte) (p Proposal, err error) {
	if len(v) < 4 {
		return p, malformed("presentation context of %d bytes", len(v))
	}
	p.ID = v[0]
	err = eachItem(v[4:], func(kind byte, v []byte) error {
		switch uid := trimUID(v); {
		case kind == itemAbstractSyntax:
			p.AbstractSyntax = uid
		case kind == itemTransferSyntax && uid != "" && len(p.TransferSyntaxes) < maxSyntaxes:
			p.TransferSyntaxes = append(p.TransferSyntaxes, uid)
		}
		return nil
	})
	return p, err
}

// parseAssociateAC reads what follows the six bytes of PDU header. The titles
// in it are not to be tested (PS3.8 §9.3.3).
func parseAssociateAC(b []byte) (*AssociateAC, error) {
	if len(b) < fixedSize {
		return nil, malformed("A-ASSOCIATE-AC of %d bytes", len(b))
	}
	ac := &AssociateAC{ProtocolVersion: binary.BigEndian.Uint16(b), Called: trimAE(b[4:20]), Calling: trimAE(b[20:36])}
	err := eachItem(b[fixedSize:], func(kind byte, v []byte) (err error) {
		switch kind {
		case itemApplicationContext:
			ac.ApplicationContext = trimUID(v)
		case itemContextAC:
			if len(ac.Contexts) == maxContexts {
				return malformed("more than %d presentation contexts", maxContexts)
			}
			var c ContextAnswer
			c, err = parseContextAnswer(v)
			ac.Contexts = append(ac.Contexts, c)
		case itemUser:
			ac.User, err = parseUserInfo(v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ac, nil
}

// parseContextAnswer does not look at the transfer syntax of a refused context:
// it is not significant, and peers leave it empty or out (PS3.8 §9.3.3.2).
func parseContextAnswer(v []byte) (c ContextAnswer, err error) {
	if len(v) < 4 {
		return c, malformed("presentation context of %d bytes", len(v))
	}
	c.ID, c.Result = v[0], ContextResult(v[2])
	if c.Result != ContextAccepted {
		return c, nil
	}
	err = eachItem(v[4:], func(kind byte, v []byte) error {
		if kind == itemTransferSyntax {
			c.TransferSyntax = trimUID(v)
		}
		return nil
	})
	return c, err
}

// append writes the whole PDU behind b.
func (rq *AssociateRQ) append(b []byte) []byte {
	start := len(b)
	b = appendFixed(b, typeRQ, rq.ProtocolVersion, rq.Called, rq.Calling)
	b = appendItem(b, itemApplicationContext, rq.ApplicationContext)
	for _, p := range rq.Contexts {
		at := len(b)
		b = append(b, itemContextRQ, 0, 0, 0, p.ID, 0, 0, 0)
		b = appendItem(b, itemAbstractSyntax, p.AbstractSyntax)
		for _, ts := range p.TransferSyntaxes {
			b = appendItem(b, itemTransferSyntax, ts)
		}
		closeItem(b, at)
	}
	b = rq.User.append(b)
	return closePDU(b, start)
}

// append writes the whole PDU behind b. A refused context carries one transfer
// syntax sub-item all the same, because PS3.8 §9.3.3.2 asks for it.
func (ac *AssociateAC) append(b []byte) []byte {
	start := len(b)
	b = appendFixed(b, typeAC, ac.ProtocolVersion, ac.Called, ac.Calling)
	b = appendItem(b, itemApplicationContext, ac.ApplicationContext)
	for _, c := range ac.Contexts {
		at := len(b)
		b = append(b, itemContextAC, 0, 0, 0, c.ID, 0, byte(c.Result), 0)
		b = appendItem(b, itemTransferSyntax, c.TransferSyntax)
		closeItem(b, at)
	}
	b = ac.User.append(b)
	return closePDU(b, start)
}

func appendFixed(b []byte, kind byte, version uint16, called, calling string) []byte {
	b = append(b, kind, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, 0, 0)
	b = append(b, padAE(called)...)
	b = append(b, padAE(calling)...)
	return append(b, make([]byte, 32)...)
}

// padAE makes the sixteen bytes of a title.
func padAE(title string) string {
	return (title + strings.Repeat(" ", 16))[:16]
}

func appendItem(b []byte, kind byte, value string) []byte {
	b = append(b, kind, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// closeItem fills in the length of the item whose header stands at at.
func closeItem(b []byte, at int) {
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at-4))
}

// closePDU fills in the length of the PDU whose header stands at start.
func closePDU(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start+2:], uint32(len(b)-start-headerSize))
	return b
}

// shortPDU makes A-ASSOCIATE-RJ, A-RELEASE-RQ and -RP and A-ABORT, which all
// have four bytes behind the header (PS3.8 §9.3.4, §9.3.6 to §9.3.8).
func shortPDU(kind, result, source, reason byte) []byte {
	return []byte{kind, 0, 0, 0, 0, 4, 0, result, source, reason}
}
