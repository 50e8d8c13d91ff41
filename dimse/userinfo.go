package dimse

import (
	"encoding/binary"
	"fmt"
)

// Sub-items of the user information item (PS3.8 Annex D, PS3.7 Annex D.3.3).
const (
	userMaxPDU           = 0x51
	userImplementation   = 0x52
	userAsync            = 0x53
	userRole             = 0x54
	userVersion          = 0x55
	userExtended         = 0x56
	userIdentity         = 0x58
	userIdentityResponse = 0x59
)

const maxUserItems = 256 // roles and extended negotiations kept of one PDU

// UserInfo is the user information item. What it does not know is skipped, as
// PS3.8 §9.3.1 asks (SOP class common extended negotiation, 57H, among it).
type UserInfo struct {
	MaxPDU                 uint32 // what the sender of this can receive in the variable field of P-DATA-TF; 0: anything
	ImplementationClassUID string
	ImplementationVersion  string
	Async                  *AsyncWindow
	Roles                  []Role
	Extended               []Extended
	Identity               *UserIdentity // in a request
	IdentityResponse       []byte        // in an answer; nil: no item
}

// AsyncWindow is the asynchronous operations window (PS3.7 §D.3.3.3).
type AsyncWindow struct{ Invoked, Performed uint16 }

// Role is SCP/SCU role selection for one SOP class (PS3.7 §D.3.3.4), from the
// point of view of the association requestor.
type Role struct {
	SOPClassUID string
	SCU, SCP    bool
}

// Extended is SOP class extended negotiation (PS3.7 §D.3.3.5); what Info means
// is up to the service class.
type Extended struct {
	SOPClassUID string
	Info        []byte
}

// UserIdentity is user identity negotiation (PS3.7 §D.3.3.7). It holds secrets:
// it is never logged, and it never grants anything by itself.
type UserIdentity struct {
	Type              byte
	ResponseRequested bool
	Primary           []byte
	Secondary         []byte
}

// String leaves out what nobody may see in a log.
func (id *UserIdentity) String() string { return fmt.Sprintf("user identity of type %d", id.Type) }

// kept is what an association remembers of its peer: no secrets, nothing large.
func (u UserInfo) kept() UserInfo {
	return UserInfo{MaxPDU: u.MaxPDU, ImplementationClassUID: u.ImplementationClassUID, ImplementationVersion: u.ImplementationVersion}
}

func parseUserInfo(v []byte) (u UserInfo, err error) {
	err = eachItem(v, func(kind byte, v []byte) error {
		switch kind {
		case userImplementation:
			u.ImplementationClassUID = trimUID(v)
		case userVersion:
			u.ImplementationVersion = trimAE(v)
		case userIdentityResponse:
			u.IdentityResponse = counted(v)
		default:
			u.parseBinary(kind, v)
		}
		return nil
	})
	return u, err
}

// parseBinary reads the sub-items that are not text. One that is too short for
// its kind is skipped: it costs the peer what it wanted to negotiate, not the
// association.
func (u *UserInfo) parseBinary(kind byte, v []byte) {
	switch {
	case kind == userMaxPDU && len(v) >= 4:
		u.MaxPDU = binary.BigEndian.Uint32(v)
	case kind == userAsync && len(v) >= 4:
		u.Async = &AsyncWindow{binary.BigEndian.Uint16(v), binary.BigEndian.Uint16(v[2:])}
	case kind == userRole && len(u.Roles) < maxUserItems:
		if uid, rest, ok := cutCounted(v); ok && len(rest) >= 2 {
			u.Roles = append(u.Roles, Role{trimUID(uid), rest[0] == 1, rest[1] == 1})
		}
	case kind == userExtended && len(u.Extended) < maxUserItems:
		if uid, rest, ok := cutCounted(v); ok {
			u.Extended = append(u.Extended, Extended{trimUID(uid), append([]byte{}, rest...)})
		}
	case kind == userIdentity && len(v) >= 2:
		u.Identity = parseIdentity(v)
	}
}

func parseIdentity(v []byte) *UserIdentity {
	_, rest, _ := cutCounted(v[2:])
	return &UserIdentity{Type: v[0], ResponseRequested: v[1] == 1, Primary: counted(v[2:]), Secondary: counted(rest)}
}

// cutCounted takes a field that stands behind its length of two bytes.
func cutCounted(v []byte) (field, rest []byte, ok bool) {
	if len(v) < 2 || int(binary.BigEndian.Uint16(v)) > len(v)-2 {
		return nil, v, false
	}
	n := 2 + int(binary.BigEndian.Uint16(v))
	return v[2:n], v[n:], true
}

// counted is a copy of such a field, empty when it is not there.
func counted(v []byte) []byte {
	field, _, _ := cutCounted(v)
	return append([]byte{}, field...)
}

func appendCounted(b []byte, field []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
	return append(b, field...)
}

// append writes the item with its sub-items in the order of their numbers,
// which some peers take for granted (dimse/COMPAT.md).
func (u *UserInfo) append(b []byte) []byte {
	at := len(b)
	b = append(b, itemUser, 0, 0, 0, userMaxPDU, 0, 0, 4)
	b = binary.BigEndian.AppendUint32(b, u.MaxPDU)
	b = appendItem(b, userImplementation, u.ImplementationClassUID)
	if u.Async != nil {
		b = append(b, userAsync, 0, 0, 4)
		b = binary.BigEndian.AppendUint16(b, u.Async.Invoked)
		b = binary.BigEndian.AppendUint16(b, u.Async.Performed)
	}
	for _, r := range u.Roles {
		b = appendSub(b, userRole, append(appendCounted(nil, []byte(r.SOPClassUID)), bit(r.SCU), bit(r.SCP)))
	}
	if u.ImplementationVersion != "" {
		b = appendItem(b, userVersion, u.ImplementationVersion)
	}
	for _, x := range u.Extended {
		b = appendSub(b, userExtended, append(appendCounted(nil, []byte(x.SOPClassUID)), x.Info...))
	}
	if id := u.Identity; id != nil {
		b = appendSub(b, userIdentity, appendCounted(appendCounted([]byte{id.Type, bit(id.ResponseRequested)}, id.Primary), id.Secondary))
	}
	if u.IdentityResponse != nil {
		b = appendSub(b, userIdentityResponse, appendCounted(nil, u.IdentityResponse))
	}
	closeItem(b, at)
	return b
}

func appendSub(b []byte, kind byte, value []byte) []byte { return appendItem(b, kind, string(value)) }

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}
