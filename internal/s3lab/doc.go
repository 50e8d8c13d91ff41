// Package s3lab runs a real S3 server for tests and tools: versitygw, at the version
// that is written here, built once with the Go toolchain into the user's cache.
//
//	b := s3lab.Start(t)       a server and an empty bucket of its own; ends with the test
//	b.Stop(); b.Restart()     an outage: the process is killed; same address, same objects
//	b.Bucket(t)               one more empty bucket of the same server
//	p := b.Proxy(t)           the same bucket at p.Endpoint, with faults at will
//	p.Refuse(s3lab.Full, s3lab.Writes)
//
// It promises:
//   - a server listens on loopback only, and ends with the test or with Close;
//   - a test is skipped, with the reason, when the server cannot be built;
//   - objects are files below Bucket.Dir, so that a test may damage them.
//
// It deliberately does not pretend to be an S3 server of its own: what the proxy does
// not refuse, cut or delay is answered by versitygw. versitygw's posix backend does
// not flush what it writes, so nothing here says anything about a power cut.
// Nothing of the product imports it.
package s3lab
