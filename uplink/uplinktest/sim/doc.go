// Package sim is the network between appliances and hubs in simulated time: to
// be used inside a bubble of testing/synctest, where minutes of outage take no time.
//
// A Sky has one line with an appliance's side and a hub's side. Datagrams on it
// are delayed, lost, doubled, overtaken, too large, or fall into an outage; a random
// generator with a seed decides. Streams on it (TCP) lose no byte: what is lost comes
// later, and an outage that lasts too long ends the connection. Both share the
// line's rate. Hubs may die and come back, the appliance may get another address.
//
// It promises that nothing passes while the line is out, and that no stream
// delivers a byte twice, not at all before a later one, or changed. It
// deliberately knows no protocol above: the same Sky carries whatever is sent.
//
// This is the one place that knows quic-go's simnet, whose API is not promised
// stable. Only tests import it. Time, the line and the choice of what happens come
// from the seed; the order in which goroutines run does not, so a seed repeats
// a scenario, not each step of it.
package sim
