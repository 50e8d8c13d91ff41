package status

import "time"

// Implementation is what a DICOM node says it is (PS3.7 §D.3.3.2).
type Implementation struct {
	ClassUID string `json:"class_uid"`
	Version  string `json:"version,omitempty"`
}

// Negotiation is what a device proposed for an association and what it was
// answered (PS3.8 §9.3.2, §9.3.3). All text in it is the device's: of a UID only
// digits and dots are kept, of the rest only printable ASCII, and all of it is
// bounded.
type Negotiation struct {
	At       time.Time `json:"at"`
	Called   string    `json:"called"`
	Accepted bool      `json:"accepted"`
	TLS      string    `json:"tls,omitempty"` // version and cipher suite
	MaxPDU   int64     `json:"max_pdu"`       // what it can receive; 0 is anything
	Contexts []Context `json:"contexts"`
	Left     int64     `json:"left,omitempty"` // contexts proposed that do not stand here
}

// Context is a presentation context.
type Context struct {
	ID               int64         `json:"id"`
	AbstractSyntax   string        `json:"abstract_syntax"`
	Name             string        `json:"name,omitempty"`    // the standard's, of the abstract syntax; empty for one of its own
	TransferSyntaxes []string      `json:"transfer_syntaxes"` // proposed; the first ones where there are many
	Result           ContextResult `json:"result"`
	TransferSyntax   string        `json:"transfer_syntax,omitempty"`      // chosen
	SyntaxName       string        `json:"transfer_syntax_name,omitempty"` // the standard's
}

// ContextResult is the answer to a presentation context.
type ContextResult string

const (
	ContextAccepted       ContextResult = "accepted"
	ContextRefused        ContextResult = "refused"                   // without a reason that would help
	ContextAbstractSyntax ContextResult = "abstract_syntax_refused"   // the service is not offered to this device
	ContextTransferSyntax ContextResult = "transfer_syntaxes_refused" // none was proposed
	ContextUnanswered     ContextResult = "unanswered"                // the whole association was refused
)

// ContextResults lists all of them.
var ContextResults = []ContextResult{ContextAccepted, ContextRefused, ContextAbstractSyntax, ContextTransferSyntax, ContextUnanswered}
