package spool

import "encoding/binary"

// resemblesSeal says whether it is worth reading a whole file, at every start, to
// learn whose it was: something of its last bytes must be left of a seal. A file
// that was torn, or whose size is wrong, ends in zeros or in anything; reading
// gigabytes of that would keep the modalities waiting.
func resemblesSeal(b []byte, content int64) bool {
	return string(b[:8]) == sealMagic || int64(binary.BigEndian.Uint64(b[16:])) == content
}
