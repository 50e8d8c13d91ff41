// Package recovery wraps the key of a spool to a public key whose private half
// lies offline, so that the disk of an appliance that is broken, or whose TPM is
// gone, can be opened by whoever holds that half (D-S12).
//
// It promises:
//   - What Seal wrote is read by the holder of the private key and by nobody else:
//     HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//     AES-256-GCM.
//   - A wrapped key that was moved to another name, cut, or edited is refused: the
//     HPKE info string binds the version of the format, the name of the wrapped key
//     and the name of the key that it is wrapped to.
//
// The forms, all of them text:
//
//	-----BEGIN EDGED RECOVERY PUBLIC KEY-----     32 bytes, X25519 (RFC 7748)
//	-----BEGIN EDGED RECOVERY PRIVATE KEY-----    32 bytes, X25519
//
//	edged wrapped key 1                           format and version
//	id 0123456789abcdef                           names the key inside (its owner's name for it)
//	to 0123456789abcdef                           the public key: SHA-256 of it, first 8 bytes
//	key BASE64                                    enc (32) | ciphertext (32) | tag (16)
//	sum 0123456789abcdef                          SHA-256 of the lines above, first 8 bytes
//
// The sum is for accidents; against forgery there is the tag.
//
// It deliberately keeps no file, knows no spool and no TPM: a hub makes key pairs
// with it and links nothing else.
package recovery
