// Package status is what an appliance tells about itself: whether it works, how
// many images it holds, which devices it met. The local page, the terminal, the
// metrics and the hub's console all speak from these same values, so that two
// people on the telephone look at the same numbers.
//
// It promises that the JSON names are stable (they are the body of
// /api/v1/status, /api/v1/studies and /api/v1/devices), that no value here names
// a person or carries a UID (P10: a study is known by an opaque key), and that
// the four states are derived by pure functions from facts, so that the same
// facts never show two colours.
//
// It deliberately holds no words: reasons, warnings and refusals are codes that
// the reader's language turns into sentences. It does not collect facts; whoever
// owns them (the spool, the uplink, the DICOM server) is asked by the wiring.
package status
