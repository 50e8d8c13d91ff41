package spool

import (
	"crypto/sha256"
	"encoding/binary"
)

// voucher is whose word a receipt or a confirmation is: a sum of Receipt.From, so that
// a name of any length costs eight bytes. Zero: nobody knows, an earlier version wrote
// the row. A sum that somebody forges gains nothing that the name itself, which is no
// secret, would not.
type voucher uint64

func voucherOf(name string) voucher {
	sum := sha256.Sum256([]byte("edged hub|" + name))
	return max(1, voucher(binary.BigEndian.Uint64(sum[:])))
}

// or is other where v is nobody's.
func (v voucher) or(other voucher) voucher {
	if v == 0 {
		return other
	}
	return v
}

// encode writes nothing for nobody, as earlier versions did.
func (v voucher) encode(b []byte) []byte {
	if v == 0 {
		return b
	}
	return binary.BigEndian.AppendUint64(b, uint64(v))
}

func decodeVoucher(d *decoder) voucher {
	if len(d.b) == 0 {
		return 0
	}
	return voucher(d.u64())
}
