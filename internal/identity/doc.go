// Package identity is who appliance and hub are to each other: keys,
// certificates, the hub's small certificate authority, the TLS configurations
// that follow from them, and the claim code that introduces one to the other.
//
// It promises:
//   - A private key is written once, to a file that only its owner can read, and
//     durably: temporary file, fsync, rename, fsync of the directory. Key and
//     certificate lie in one file, so that a crash never parts them.
//   - An appliance trusts one CA key, the one whose hash stood in its claim code,
//     and no certificate of the public web. It verifies the fixed name HubName
//     instead of host names, so that a hub may move to another address.
//   - TLS 1.3 only, no session tickets, no early data; "edged/1" needs a client
//     certificate that the CA signed and that is valid now.
//
// It deliberately has no revocation lists (the hub looks at its own row of the
// device in each handshake), no intermediate CAs, and no key types beside ECDSA
// P-256.
//
// # Claim code
//
// 80 secret bits, then the first 80 bits of SHA-256 over the CA's
// SubjectPublicKeyInfo (DER), in Crockford's base 32, in eight groups. A group
// is four digits (20 bits) and a check digit:
//
//	K7M2Q-0FZ9D-...        8 groups of 5, 40 digits
//	\__/|
//	20  check = sum over i of a^(i+1) * digit[i], plus the group's number (0..7),
//	bit        in GF(32) with x^5+x^2+1, a = x
//
// One wrong digit, two digits exchanged, and two groups exchanged are always
// found, and the group is named. The check is for fingers, not against forgery.
package identity
