// Package enrol turns a claim code into this appliance's certificate: the client
// side of EST (RFC 7030).
//
//	1  connect without trust, GET cacerts
//	2  demand that the CA's key has the hash that stands in the code
//	3  connect again, now verifying the hub against that CA and its fixed name
//	4  POST simpleenroll with a fresh key and the code's secret
//	5  verify the certificate, write key, certificate and CA in one durable file
//
// Renew gets a new certificate for a fresh key before the present one ends
// (simplereenroll), authorised by the present one, and replaces the file of step 5.
//
// RecoveryKey gets the public key that the key of the disk is wrapped to, over a
// connection that is verified as in step 3.
//
// Where only a proxy leads out, Config.Dial leads through it. The proxy sees the hub's
// address and TLS, in all steps.
//
// It promises:
//   - The secret is sent to nobody but the holder of the CA key in the code.
//   - The key is durable before it is sent for, and the same key is used when the
//     attempt is repeated: an answer that was lost is given again.
//   - Run again after success with the same directory it changes nothing (Enrol
//     returns ErrEnrolled), so that an appliance does not become two.
//   - Errors are one line that says what to do.
//   - Until the new identity is durable under its name the old one is there and
//     valid: a renewal that fails anywhere, or whose answer is lost, changes nothing
//     and may be repeated.
//
// It deliberately does not know when to renew, and does not touch the configuration.
package enrol
