package dimse

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// meaning says in words what one PDU of a story is.
func meaning(b []byte) []string {
	if len(b) < headerSize || b[0] < typeRQ || b[0] > typeAbort || len(b) != headerSize+int(binary.BigEndian.Uint32(b[2:])) {
		return []string{fmt.Sprintf("%d bytes that are no whole PDU", len(b))}
	}
	body := b[headerSize:]
	switch b[0] {
	case typeRQ:
		rq, err := parseAssociateRQ(body)
		if err != nil {
			return []string{"A-ASSOCIATE-RQ: " + err.Error()}
		}
		words := []string{fmt.Sprintf("A-ASSOCIATE-RQ version %d, called %q, calling %q, application context %s", rq.ProtocolVersion, body[4:20], body[20:36], rq.ApplicationContext)}
		for _, p := range rq.Contexts {
			words = append(words, fmt.Sprintf("  context %d: %s in %s", p.ID, p.AbstractSyntax, strings.Join(p.TransferSyntaxes, " or ")))
		}
		return append(words, userWords(&rq.User)...)
	case typeAC:
		ac, err := parseAssociateAC(body)
		if err != nil {
			return []string{"A-ASSOCIATE-AC: " + err.Error()}
		}
		words := []string{fmt.Sprintf("A-ASSOCIATE-AC called %q, calling %q", body[4:20], body[20:36])}
		for _, c := range ac.Contexts {
			words = append(words, fmt.Sprintf("  context %d: result %d %s", c.ID, c.Result, c.TransferSyntax))
		}
		return append(words, userWords(&ac.User)...)
	case typeRJ:
		return []string{Reject{body[1], body[2], body[3]}.Error()}
	case typeData:
		return dataWords(body)
	case typeReleaseRQ:
		return []string{"A-RELEASE-RQ"}
	case typeReleaseRP:
		return []string{"A-RELEASE-RP"}
	}
	return []string{fmt.Sprintf("A-ABORT source %d, reason %d", body[2], body[3])}
}

func userWords(u *UserInfo) []string {
	words := []string{fmt.Sprintf("  maximum length %d, implementation %s %q", u.MaxPDU, u.ImplementationClassUID, u.ImplementationVersion)}
	if u.Async != nil {
		words = append(words, fmt.Sprintf("  asynchronous window: %d invoked, %d performed", u.Async.Invoked, u.Async.Performed))
	}
	for _, r := range u.Roles {
		words = append(words, fmt.Sprintf("  role for %s: SCU %d, SCP %d", r.SOPClassUID, bit(r.SCU), bit(r.SCP)))
	}
	for _, x := range u.Extended {
		words = append(words, fmt.Sprintf("  extended negotiation of %s: % x", x.SOPClassUID, x.Info))
	}
	if id := u.Identity; id != nil {
		words = append(words, fmt.Sprintf("  user identity of type %d, response requested: %v", id.Type, id.ResponseRequested))
	}
	if u.IdentityResponse != nil {
		words = append(words, fmt.Sprintf("  user identity response of %d bytes", len(u.IdentityResponse)))
	}
	return words
}

func dataWords(b []byte) []string {
	words := []string{fmt.Sprintf("P-DATA-TF of %d bytes", len(b))}
	for len(b) >= pdvHeader {
		n := min(int64(len(b)-4), int64(binary.BigEndian.Uint32(b)))
		if n < 2 {
			break
		}
		value, control := b[6:4+n], b[5]
		what := "data"
		if control&isCommand != 0 {
			what = "command"
		}
		if control&isLast != 0 {
			what += ", last"
		}
		words = append(words, fmt.Sprintf("  context %d, %s, %d bytes%s", b[4], what, len(value), commandWords(value, control)))
		b = b[4+n:]
	}
	return words
}

var fieldWords = map[uint16]string{cStoreRQ: "C-STORE", cEchoRQ: "C-ECHO", cCancelRQ: "C-CANCEL", 0x0020: "C-FIND", 0x0130: "N-ACTION", 0x0666: "unknown"}

// commandWords tells of a command that is whole.
func commandWords(b []byte, control byte) string {
	c, err := parseCommand(b)
	if err != nil || control != isCommand|isLast || len(c) == 0 || len(b) < 20 {
		return ""
	}
	field := c.uint16(tagCommandField)
	words := ": " + fieldWords[field&^responseBit]
	if field&responseBit == 0 {
		words += fmt.Sprintf("-RQ, message %d", c.uint16(tagMessageID)+c.uint16(tagRespondedTo))
	} else {
		words += fmt.Sprintf("-RSP to message %d, status %v", c.uint16(tagRespondedTo), Status(c.uint16(tagStatus)))
	}
	if uid := c.uid(tagAffectedClass); uid != "" {
		words += ", class " + uid
	}
	if uid := c.uid(tagAffectedInstance); uid != "" {
		words += ", instance " + uid
	}
	if !c.carriesData() {
		words += ", no data set"
	}
	return words
}
