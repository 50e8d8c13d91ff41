package wire

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrMalformed means that bytes are not a frame of this protocol.
var ErrMalformed = errors.New("malformed frame")

// encoder writes core deterministic CBOR (RFC 8949 §4.2.1). Strings are byte
// strings: UIDs and AE titles travel as the modality sent them, UTF-8 or not.
var encoder = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.String = cbor.StringToByteString
	return must(o.EncMode())
}()

// decoder accepts only what the encoder could have written, plus unknown keys.
// The library checks that an item is well-formed within the bytes at hand
// before it allocates for it.
var decoder = must(cbor.DecOptions{
	DupMapKey:          cbor.DupMapKeyEnforcedAPF,
	IndefLength:        cbor.IndefLengthForbidden,
	TagsMd:             cbor.TagsForbidden,
	ByteStringToString: cbor.ByteStringToStringAllowed,
	MaxNestedLevels:    4,
	MaxArrayElements:   MaxItems,
	MaxMapPairs:        32,
}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constants of this file
	}
	return v
}

func decode(b []byte, into any) error {
	if err := decoder.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return nil
}

// idHead begins a CBOR byte string of 32 bytes.
const idHead = "\x58\x20"

// MarshalCBOR writes the ID as a byte string.
func (id ID) MarshalCBOR() ([]byte, error) {
	return append([]byte(idHead), id[:]...), nil
}

// UnmarshalCBOR reads what MarshalCBOR wrote and nothing shorter or longer,
// which the library would pad or cut.
func (id *ID) UnmarshalCBOR(b []byte) error {
	if len(b) != len(idHead)+len(id) || string(b[:len(idHead)]) != idHead {
		return fmt.Errorf("an object id has %d bytes", len(id))
	}
	copy(id[:], b[len(idHead):])
	return nil
}
