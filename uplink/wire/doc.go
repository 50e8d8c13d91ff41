// Package wire is the protocol between an appliance and the hub: frames and
// their encoding, nothing that moves by itself. Both ends use it.
//
// The format is drawn byte by byte in the documentation of package uplink.
//
// It promises that no frame makes the reader allocate more than a small
// multiple of the bytes it received, that unknown frame types and unknown header
// keys are skipped, and that hostile bytes give an error wrapping ErrMalformed,
// never a panic. It deliberately knows no connection, no order of frames and no
// meaning: who may say what when is decided by uplink and hub/receive.
package wire
