// Package liar is a hub with good certificates that says what a script wants,
// over both carriers: what it lies about, how it breaks the protocol, how it
// falls silent. Variants lists the lies that no appliance may believe (R11).
//
// It promises that the appliance cannot tell it from a hub before it lies. It
// deliberately keeps nothing: what was sent to it is counted, no more. Only tests
// import it.
package liar
