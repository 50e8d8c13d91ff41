// Package enrol turns claim codes into certificates: the server side of EST
// (RFC 7030), as far as appliances use it, over HTTPS on the hub's TCP port.
//
//	GET  /.well-known/est/cacerts          the CA's certificate, PKCS #7 certs-only
//	POST /.well-known/est/simpleenroll     a PKCS #10 request; HTTP Basic, user
//	                                       "claim", password the code's secret
//	POST /.well-known/est/simplereenroll   the same with the certificate that the
//	                                       appliance has, even if it has run out
//	GET  /.well-known/edged/recovery-key   not of EST: the public key (PEM) that
//	                                       appliances wrap the key of their disk to;
//	                                       404 when the hub has none
//
// It promises:
//   - A code serves one key, once, until it expires. The same key may ask again
//     with the same code, because its answer may have been lost; it gets the same
//     device.
//   - The row of the device is durable before its certificate is sent.
//   - A secret is kept as a hash alone, compared in constant time, and guessing is
//     slowed down for each address and in all.
//   - A renewal takes the present key or the one before it, which is the present
//     one of an appliance that never got its answer. Who has a copy of an older one
//     renews nothing.
//   - The recovery key is given to whoever asks, because it is public; that it is this
//     hub's, the appliance knows by the certificate of the connection.
//   - No certificate is given for a key that the sender does not hold, and none of
//     the names that a request asks for is looked at: the hub names devices.
//
// It deliberately offers no server-side key generation, no CSR attributes and no
// full CMC.
package enrol
